"""A training with own steps: from demonstrations, a recipe and environments to a folder like that of any training.

OUT/checkpoint/             the policy that is kept: the best evaluation, or what passed the gate (`selection`)
    reward/                 its reward, if that was learnt beside it
    version.json            origin and training data (`policies.lineage`)
    curves.csv curves.png   the evaluations of all seeds
    resume/                 the state from which an interrupted training goes on, to the bit
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from il_ros.core.settings import plain
from il_ros.core.share import package_version
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.policies import checkpoint, lineage
from il_ros.policies.features import Inputs
from il_ros.policies.lineage import Lineage
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.versions import CHECKPOINT
from il_ros.rewards import checkpoint as rewards
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rl import curves
from il_ros.rl.curves import SeedScore
from il_ros.rl.learner import ImitationLearner, Progress
from il_ros.rl.optimiser import named, under
from il_ros.rl.recipe import ImitationRecipe
from il_ros.rl.reward_source import MODEL, TASK
from il_ros.rl.selection import BestScored, BetterThanClone, PolicySelection
from il_ros.rl.steps.demonstrations import fit_scales, steps_of, warnings_of
from il_ros.rl.steps.environments import OwnEnvironments
from il_ros.rl.steps.judge import ModelReward, judged_steps
from il_ros.rl.steps.world import BrokenEnvironmentError, Scales
from il_ros.training import outputs, saved
from il_ros.training.device import torch_settings
from il_ros.training.loop import TrainingError
from il_ros.training.recipe import policy_differences
from il_ros.training.run import SAVE_EVERY_S


@dataclass(frozen=True)
class ImitationOutcome:
    """`policy`: the kept one; None when it was stopped before the first evaluation. `finished`: not stopped.

    `served`: the policy of each seed, of a training from a clone the last one that passed the gate.
    """

    policy: LoadedPolicy | None
    scores: tuple[SeedScore, ...]
    finished: bool
    served: tuple[LoadedPolicy, ...] = ()


class _Run:
    """A training between two steps: what is saved of it, see `il_ros.training.saved`."""

    def __init__(self, learner: ImitationLearner, selection: PolicySelection) -> None:
        self.learner, self.selection = learner, selection
        self.scores, self.notes = list[SeedScore](), list[str]()

    def tensors(self) -> dict[str, Tensor]:
        return self.learner.tensors() | named("gate", self.selection.tensors())

    def curves_plain(self) -> list[dict[str, Any]]:
        return [asdict(score) for score in self.scores]

    def restore(self, tensors: Mapping[str, Tensor], scores: list[dict[str, Any]]) -> None:
        self.notes = self.learner.restore(tensors)
        self.selection.restore(under("gate", tensors))
        self.scores = [SeedScore(**score) for score in scores]


def train(
    dataset: Dataset,
    recipe: ImitationRecipe,
    out: Path,
    environments: OwnEnvironments,
    *,
    version: str = "",
    resume: bool = False,
    start: LoadedPolicy | None = None,
    on_warning: Callable[[str], None] = lambda _: None,
    on_step: Callable[[Progress], bool] = lambda _: True,
    on_scores: Callable[[Sequence[SeedScore]], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> ImitationOutcome:
    """Train with own steps and write the result to `out`.

    `on_step` is called after each step; returning False stops the training, which can be resumed. `start`: a clone, a
    policy of the family actor, whose weights and scales all seeds begin with; what is kept is then the clone, until
    another policy is shown to be better on the same starts.
    Raises OutputError and OSError as `training.run.train`, ValueError on unusable demonstrations or settings,
    TrainingError when a training cannot be resumed, a number is not finite or an environment breaks; what was saved
    last is then kept.
    """
    outputs.require_writable(out)
    checkpoint.require_text(dataset.contract)
    if recipe.family == TASK and not environments.is_judged:
        raise ValueError(
            f"reward: '{TASK}' needs demonstrations whose rewards are known: a simulated task, which gives 1 for a "
            f"success; {environments.name} has rewards of its own"
        )
    judge, ends = _judge(recipe, dataset)
    out.mkdir(parents=True, exist_ok=True)
    scales = _scales(dataset, recipe, start)
    short = recipe.imitation.short_demonstrations
    for sentence in warnings_of(dataset.train, environments.most_steps, short):
        on_warning(sentence)
    shown = []
    for episode in dataset.train:
        steps = steps_of(episode, scales, environments.most_steps, short)
        shown += steps if judge is None else judged_steps(judge, episode, steps, ends=ends)
    identity: dict[str, Any] = {
        "recipe": recipe.identity(),
        "contract": dataset.contract.hash,
        saved.DATA: {"train": [episode.name for episode in dataset.train], "validation": []},
        saved.EPISODES: {episode.name: episode.digest for episode in dataset.train},
        "environment": environments.name,
    }
    if start is not None:
        identity["start"] = start.version
    if environments.is_corrected:
        identity["person"] = True
    if environments.over_topics:
        identity["graph"] = True
    if judge is not None:
        identity["judge"] = judge.version
    settings = recipe.imitation
    with torch_settings(threads=1):  # several threads wait for each other longer than such networks take
        learner = ImitationLearner(
            settings,
            recipe.policy,
            recipe.agent,
            (recipe.family, recipe.reward),
            scales,
            environments.worlds(scales, judge, ends=ends),
            shown,
            start,
            recipe.clone,
            judged=recipe.family == TASK or ends,
        )
        parts = (learner, environments.evaluated, settings.seeds, settings.tests)
        selection: PolicySelection = (
            BestScored(*parts) if start is None else BetterThanClone(*parts, settings.level, start)
        )
        run = _Run(learner, selection)
        if resume:
            saved.require_same(out, identity)
            saved.restore(out, run)
            for note in run.notes:
                on_warning(note)
        base = _metrics(dataset, recipe, environments, start)
        finished = _take_steps(
            run, recipe, out, identity, base | {"version": version}, on_step, on_scores, clock
        )
        served = tuple(selection.served(seed) for seed in range(settings.seeds))
    return replace(_ended(run, recipe, dataset, out, finished), served=served)


def _take_steps(
    run: _Run,
    recipe: ImitationRecipe,
    out: Path,
    identity: dict[str, Any],
    base: dict[str, Any],
    on_step: Callable[[Progress], bool],
    on_scores: Callable[[Sequence[SeedScore]], None],
    clock: Callable[[], float],
) -> bool:
    """Take the steps that are left, evaluate and save; return whether none is left."""
    settings, written_s = recipe.imitation, clock()

    def evaluate(progress: Progress) -> None:
        before = run.selection.kept
        scores = run.selection.consider(progress.step, progress.measured, progress.episodes, run.scores)
        kept = run.selection.kept
        if kept is not None and kept is not before:
            _write(out, kept.policy, kept.score, base, run.learner.reward_model(kept.score.seed))
        run.scores += scores
        on_scores(scores)

    def save() -> None:
        saved.save(out, run, identity)
        curves.write_table(out, run.scores)

    if base["parent"] and not run.scores:  # what it begins with is the first to be kept
        evaluate(Progress(0, {}))
    try:
        for progress in run.learner.steps():
            due = progress.step % settings.every == 0 or progress.step == settings.steps
            if due and progress.step > settings.random_steps + settings.frozen_steps:
                evaluate(progress)
            if due or clock() - written_s > SAVE_EVERY_S:
                save()
                written_s = clock()
            if not on_step(progress) and progress.step < settings.steps:
                save()
                return False
    except (FloatingPointError, BrokenEnvironmentError) as error:
        kept = "--resume goes on from the state saved last" if saved.exists(out) else "nothing was saved yet"
        raise TrainingError(f"{error}; {kept}") from error
    return True


def _write(
    out: Path, policy: LoadedPolicy, score: SeedScore, base: dict[str, Any], reward: LoadedReward | None
) -> None:
    """Write the policy that is kept, with the reward that was learnt beside it."""
    metrics = {
        **base,
        "own_steps": score.step,
        "seed": score.seed,
        "mean_return": score.mean_return,
        "success": score.success,
        "finished": False,
    }
    version = metrics.pop("version")
    checkpoint.save(out / CHECKPOINT, replace(policy, version=version, metrics=metrics))
    if reward is not None:
        rewards.save(out / rewards.FOLDER, replace(reward, version=version, metrics=metrics))


def _judge(recipe: ImitationRecipe, dataset: Dataset) -> tuple[LoadedReward | None, bool]:
    """Return the reward model that rates each step, and whether it ends episodes; None where there is none."""
    if recipe.family != MODEL:
        return None, False
    assert isinstance(recipe.reward, ModelReward)
    return rewards.load(recipe.reward.path, dataset.contract), recipe.reward.ends


def _ended(
    run: _Run, recipe: ImitationRecipe, dataset: Dataset, out: Path, finished: bool
) -> ImitationOutcome:
    """Write what is known at the end; return the outcome with the kept policy as it is on disk."""
    if not run.scores:
        return ImitationOutcome(None, (), finished)
    curves.write_picture(out, run.scores)
    policy = checkpoint.load(out / CHECKPOINT)
    if finished:
        policy = replace(policy, metrics={**policy.metrics, "finished": True})
        checkpoint.save(out / CHECKPOINT, policy)
    measured = ("own_steps", "mean_return", "success", "finished")
    made = (policy.version, policy.metrics, measured, recipe.to_plain(), dataset.contract.hash)
    lineage.write(out, Lineage.of_training(*made))
    return ImitationOutcome(policy, tuple(run.scores), finished)


def _scales(dataset: Dataset, recipe: ImitationRecipe, start: LoadedPolicy | None) -> Scales:
    inputs = Inputs.for_policy(dataset.contract, recipe.policy)
    if start is None:
        return fit_scales(dataset.train, dataset.contract, inputs, recipe.imitation.action_range)
    goes_on = "a training with own steps goes on with an actor of the recipe's settings (`il-ros train --recipe actor`)"
    if start.family != "actor":
        raise ValueError(f"--from {start.version}: is a policy of the family {start.family}; {goes_on}")
    if other := policy_differences(plain(start.settings), plain(recipe.policy)):
        raise ValueError(f"--from {start.version}: {'; '.join(other)}; {goes_on}")
    return Scales(dataset.contract, inputs, start.normaliser, start.form)  # the weights depend on them


def _metrics(
    dataset: Dataset, recipe: ImitationRecipe, environments: OwnEnvironments, start: LoadedPolicy | None
) -> dict[str, Any]:
    return {
        "data": {"train": [episode.name for episode in dataset.train], "validation": []},
        "tasks": [environments.name],
        "frames": sum(len(episode) for episode in dataset.train),
        "reward": recipe.family,
        "parent": "" if start is None else start.version,
        "il_ros": package_version(),
        "torch": str(torch.__version__),
    }
