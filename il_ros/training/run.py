"""A training run: from a dataset and a recipe to a folder with a checkpoint.

OUT/checkpoint/             the policy, replaced atomically during training
    version.json            origin and training data (`policies.lineage`)
    curves.csv curves.png   the losses of every epoch
    resume/                 the state from which an interrupted run resumes
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from il_ros.core import share
from il_ros.core.contract import Contract
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.doctor.camera_view import VIEWS
from il_ros.policies import checkpoint, lineage
from il_ros.policies.action_form import ActionForm
from il_ros.policies.families.registry import build_network, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.joint.contracts import JoinedContract
from il_ros.policies.joint.part import TASKS
from il_ros.policies.lineage import Lineage
from il_ros.policies.normaliser import Normaliser
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.uncertainty import RAW
from il_ros.policies.versions import CHECKPOINT
from il_ros.policies.vocabulary import Vocabulary
from il_ros.training import outputs, saved
from il_ros.training.advice import still_warning, unvalidated_warning, warmup_warning
from il_ros.training.batches import Batches
from il_ros.training.device import device_of, torch_settings
from il_ros.training.fitting import (
    camera_views,
    extended_normaliser,
    fit_normaliser,
    made_assets,
    sampled_as,
    used_samples,
)
from il_ros.training.joint.episodes import tasks_by_part
from il_ros.training.loop import EpochMetrics, TrainingLoop
from il_ros.training.metrics import curves, writers
from il_ros.training.processes import ALONE, Processes
from il_ros.training.recipe import Recipe
from il_ros.training.samples import samples
from il_ros.training.simulator.policy_tests import policy_tests, tests_so_far
from il_ros.training.trainer import warm_start
from il_ros.training.uncertainty import fit_uncertainty
from il_ros.training.weighting import corrections

SAVE_EVERY_S = 20.0

OnWarning = Callable[[str], None]
"""Called before the first epoch with each warning about the training data."""
OnEpoch = Callable[[EpochMetrics], bool]
"""Called after each epoch; returning False stops the run, which can be resumed later."""


@dataclass(frozen=True)
class Outcome:
    """The result of a run. `finished` is False if it was stopped."""

    policy: LoadedPolicy
    checkpoint: Path
    curves: tuple[EpochMetrics, ...]
    finished: bool


def train(
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    *,
    version: str = "",
    resume: bool = False,
    start: LoadedPolicy | None = None,
    on_warning: OnWarning = lambda _: None,
    on_epoch: OnEpoch = lambda _: True,
    clock: Callable[[], float] = time.monotonic,
    processes: Processes = ALONE,
    jobs: int = 1,
    log: Collection[str] = (),
) -> Outcome:
    """Train a policy and write it to `out`.

    `resume`: continue the run in `out`. `start`: initialise with the weights of this policy, which must be
    compatible (`warm_start.incompatibility`), and keep its normaliser, on which the weights depend; the range
    to which inputs are clipped grows.
    If the recipe's time limit is too short for all frames, only a part of the old frames is replayed.
    `processes`: those that train together; the first one writes, and all stop when `on_epoch` of one says so.
    `jobs`: processes that may share the tests in the simulator, of which there are none where the task has none.
    `log`: programs for which the metrics are written, too (`metrics.writers`).
    Raises OutputError if `out` holds anything that no training wrote, ValueError on unusable data, a device that does
    not exist, or processes with different data, TrainingError if a run cannot be resumed or its loss is not finite,
    LostProcessError if another process is gone, OSError if `out` cannot be written.
    """
    checkpoint.require_text(dataset.contract)
    if processes.first:
        outputs.require_writable(out)  # fail before training, not after
        out.mkdir(parents=True, exist_ok=True)
    inputs = Inputs.for_policy(dataset.contract, recipe.policy)
    identity = {
        "recipe": recipe.to_plain(),
        "contract": dataset.contract.hash,
        saved.DATA: _names(dataset),
        saved.EPISODES: _hashes(dataset),
    }
    if start is not None:
        identity["start"] = start.version
    if inputs.formulas:
        identity["derived"] = inputs.formulas
    if resume:  # first of all: what follows fits what was trained
        saved.require_same(out, identity)
    interrupted = None
    if resume and (out / CHECKPOINT / checkpoint.CONFIG).exists():
        interrupted = checkpoint.load(out / CHECKPOINT)  # the saved weights depend on its normaliser
    before = interrupted or start
    form = ActionForm(dataset.contract) if before is None else before.form
    training_samples, shown, used = used_samples(dataset.train, inputs, recipe, form)
    assets = (
        made_assets(training_samples, inputs, recipe.policy) if before is None else before.network.assets()
    )
    if interrupted is not None:
        normaliser = interrupted.normaliser
    elif start is None:
        normaliser = fit_normaliser(training_samples, inputs, dataset.contract, recipe)
    else:
        normaliser = extended_normaliser(start, training_samples, inputs, recipe, _names(dataset)["train"])
    if warning := still_warning(normaliser, inputs):
        on_warning(warning)
    device, _ = device_of(recipe.training.device, images=bool(inputs.images), place=processes.place)
    training, replay = recipe.training, None
    if start is not None:
        training, replay = warm_start.replayed(shown, start.metrics, training, used)
    reading = {"vocabulary": Vocabulary.among(assets), "follows": recipe.policy.follows}
    train_batches = Batches(training_samples, inputs, normaliser, device, replay, **reading)
    steps_per_epoch = len(train_batches.sizes(training.batch_size))
    if warning := warmup_warning(training, training.epochs * steps_per_epoch):
        on_warning(warning)
    validation = None
    if dataset.validation:
        validation_samples = samples(dataset.validation, inputs, *sampled_as(recipe, form))
        validation = Batches(validation_samples, inputs, normaliser, device, **reading)
    elif warning := unvalidated_warning(recipe.training):
        on_warning(warning)
    views = camera_views(dataset.train, inputs)
    del training_samples  # the batches hold what training needs of it
    with torch_settings(recipe.training.threads), ExitStack() as opened:
        tests = policy_tests(dataset, recipe, jobs, on_warning)
        if tests is not None:
            opened.callback(tests.close)
        else:
            training = replace(training, test_every=0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.training.seed)
            built = (recipe.family, recipe.policy, dataset.contract, normaliser, assets)
            network = make_network(*built)
            if recipe.training.uncertainty != RAW:  # fail before training, not after
                probe = build_network(*built)
                untrained = LoadedPolicy(dataset.contract, recipe.family, recipe.policy, probe, normaliser)
                fit_uncertainty(untrained, dataset, recipe.training.uncertainty, frames=3)
        if start is not None:
            network.load_state_dict(start.network.state_dict())
        loop = TrainingLoop(network.to(device), training, processes)
        if resume:
            saved.restore(out, loop)
        processes.require_same({**identity, "epochs done": len(loop.curves)})
        written_s = clock()
        stopped = False

        def test(weights: Mapping[str, Tensor]) -> tuple[float, float]:
            assert tests is not None
            return tests.measured(_with_weights(loop, weights, dataset, recipe, normaliser))

        begun = loop.curves[-1].step if loop.curves else 0
        programs = log if processes.first else ()
        write = opened.enter_context(writers.opened(programs, out, recipe.to_plain(), begun))
        for metrics in loop.epochs(train_batches, validation, clock, None if tests is None else test):
            write(
                metrics.step, {name: value for name, value in curves.row(metrics).items() if name != "step"}
            )
            stopped = processes.any(not on_epoch(metrics))
            if stopped:
                break
            if processes.first and clock() - written_s > SAVE_EVERY_S:
                unfinished = _policy(loop, dataset, recipe, normaliser, version, start, views, finished=False)
                _write(out, loop, identity, unfinished)
                written_s = clock()
        policy = _policy(loop, dataset, recipe, normaliser, version, start, views, finished=not stopped)
        if not processes.first:
            return Outcome(policy, out / CHECKPOINT, tuple(loop.curves), not stopped)
        _write(out, loop, identity, policy)
    if loop.curves:
        curves.write_picture(out, loop.curves)
    kept = checkpoint.load(out / CHECKPOINT)  # return exactly what was written
    measured = ("epochs", "best_epoch", "train_loss", "validation_loss", "duration_s", "finished")
    made = (kept.version, kept.metrics, measured, recipe.to_plain(), kept.contract.hash)
    lineage.write(out, Lineage.of_training(*made))
    return Outcome(kept, out / CHECKPOINT, tuple(loop.curves), not stopped)


def _policy(
    loop: TrainingLoop,
    dataset: Dataset,
    recipe: Recipe,
    normaliser: Normaliser,
    version: str,
    start: LoadedPolicy | None,
    views: Mapping[str, Any],
    *,
    finished: bool,
) -> LoadedPolicy:
    """Return the policy with the weights to keep; `loop` can continue training."""
    metrics = {
        **_metrics(loop, dataset, recipe),
        "parent": start.version if start else "",
        **({"transfer": start.metrics["transferred"]} if start and "transferred" in start.metrics else {}),
        "finished": finished,
        **({VIEWS: views} if views else {}),
    }
    policy = replace(
        _with_weights(loop, loop.best_weights(), dataset, recipe, normaliser),
        version=version,
        metrics=metrics,
    )
    return replace(policy, uncertainty_model=fit_uncertainty(policy, dataset, recipe.training.uncertainty))


def _with_weights(
    loop: TrainingLoop,
    weights: Mapping[str, Tensor],
    dataset: Dataset,
    recipe: Recipe,
    normaliser: Normaliser,
) -> LoadedPolicy:
    """Return a policy with these weights and buffers of the network in training."""
    with torch.random.fork_rng(devices=[]):
        assets = loop.network.assets()
        network = build_network(recipe.family, recipe.policy, dataset.contract, normaliser, assets)
    network.load_state_dict(weights)
    return LoadedPolicy(dataset.contract, recipe.family, recipe.policy, network, normaliser)


def _metrics(loop: TrainingLoop, dataset: Dataset, recipe: Recipe) -> dict[str, Any]:
    best = loop.best_metrics
    episodes = (*dataset.train, *dataset.validation)
    return {
        "data": _names(dataset),
        "hashes": _hashes(dataset),
        "tasks": sorted({episode.task for episode in episodes if episode.task}),
        **_by_part(dataset.contract, episodes),
        "frames": sum(len(episode) for episode in episodes),
        "corrections": corrections(episodes),
        "training": recipe.to_plain()["training"],
        "reason": recipe.reason,
        "epochs": len(loop.curves),
        "steps": loop.curves[-1].step if loop.curves else 0,
        "best_epoch": best.epoch if best else 0,
        "train_loss": best.train_loss if best else None,
        "validation_loss": best.validation_loss if best and not math.isnan(best.validation_loss) else None,
        "duration_s": loop.curves[-1].seconds if loop.curves else 0.0,
        **tests_so_far(loop.curves, recipe.training),
        "il_ros": share.package_version(),
        "torch": str(torch.__version__),
    }


def _by_part(own: Contract, episodes: Sequence[EpisodeArrays]) -> dict[str, Any]:
    """Return the tasks of each part of a joined contract; nothing for another one."""
    return {TASKS: tasks_by_part(own, episodes)} if isinstance(own, JoinedContract) else {}


def _hashes(dataset: Dataset) -> dict[str, str]:
    return {episode.name: episode.digest for episode in (*dataset.train, *dataset.validation)}


def _names(dataset: Dataset) -> dict[str, list[str]]:
    parts = {"train": dataset.train, "validation": dataset.validation}
    return {part: [episode.name for episode in episodes] for part, episodes in parts.items()}


def _write(out: Path, loop: TrainingLoop, identity: dict[str, Any], policy: LoadedPolicy) -> None:
    saved.save(out, loop, identity)
    checkpoint.save(out / CHECKPOINT, policy)
    curves.write_table(out, loop.curves)
