"""A training with own steps: from demonstrations, a recipe and environments to a folder like that of any training.

OUT/checkpoint/             the policy of the seed that was evaluated best so far
    reward/                 its reward, if that is a model
    version.json            origin and training data (`policies.lineage`)
    curves.csv curves.png   the evaluations of all seeds
    resume/                 the state from which an interrupted training goes on, to the bit
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from il_ros.core.contract import Contract
from il_ros.envs.gym_task import REWARD
from il_ros.envs.task_env import TaskEnv
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.policies import checkpoint, lineage
from il_ros.policies.features import Inputs
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.versions import CHECKPOINT
from il_ros.rewards import checkpoint as rewards
from il_ros.rl import curves
from il_ros.rl.curves import SeedScore
from il_ros.rl.demonstrations import fit_scales, steps_of, warnings_of
from il_ros.rl.learner import TASK, ImitationLearner, Progress
from il_ros.rl.recipe import ImitationRecipe
from il_ros.rl.world import BrokenEnvironmentError, Scales, World
from il_ros.sim.tasks.task import Task, is_judged
from il_ros.training import outputs, saved
from il_ros.training.evaluate import evaluate
from il_ros.training.loop import TrainingError
from il_ros.training.run import SAVE_EVERY_S, package_version, torch_settings

TEST_SEED = 3_000_000
"""First seed of the evaluations during a training; those of `il-ros evaluate` are others."""


@dataclass(frozen=True)
class ImitationOutcome:
    """`policy`: the kept one; None when it was stopped before the first evaluation. `finished`: not stopped."""

    policy: LoadedPolicy | None
    scores: tuple[SeedScore, ...]
    finished: bool


class Environments:
    """What a training acts in: an environment for the own steps of each seed, and a task for evaluations.

    `make()`: returns a new task of that name. Raises ValueError when the contract does not fit the task.
    """

    def __init__(self, name: str, contract: Contract, make: Callable[[], Task], seeds: int) -> None:
        self.name = name
        with ExitStack() as stack:
            tasks = [stack.enter_context(closing(make())) for _ in range(seeds + 1)]
            self.test = tasks.pop()
            self.own = [TaskEnv(task, contract) for task in tasks]
            self._opened = stack.pop_all()

    @property
    def most_steps(self) -> int:
        """The limit of an episode's steps."""
        return round(self.test.time_limit_s * 1e9 / self.test.control_period_ns)

    def close(self) -> None:
        """Close all tasks."""
        self._opened.close()


class _Run:
    """A training between two steps: what is saved of it, see `il_ros.training.saved`."""

    def __init__(self, learner: ImitationLearner) -> None:
        self.learner, self.scores, self.notes = learner, list[SeedScore](), list[str]()

    def tensors(self) -> dict[str, Tensor]:
        return self.learner.tensors()

    def curves_plain(self) -> list[dict[str, Any]]:
        return [asdict(score) for score in self.scores]

    def restore(self, tensors: Mapping[str, Tensor], scores: list[dict[str, Any]]) -> None:
        self.notes = self.learner.restore(tensors)
        self.scores = [SeedScore(**score) for score in scores]


def train(
    dataset: Dataset,
    recipe: ImitationRecipe,
    out: Path,
    environments: Environments,
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

    `on_step` is called after each step; returning False stops the training, which can be resumed. `start`: a policy of
    the family actor, whose weights and scales all seeds begin with.
    Raises OutputError and OSError as `training.run.train`, ValueError on unusable demonstrations or settings,
    TrainingError when a training cannot be resumed, a number is not finite or an environment breaks; what was saved
    last is then kept.
    """
    outputs.require_writable(out)
    checkpoint.require_text(dataset.contract)
    if recipe.family == TASK and REWARD in environments.test.streams:
        raise ValueError(
            f"reward: '{TASK}' needs demonstrations whose rewards are known: a simulated task, which gives 1 for a "
            f"success; {environments.name} has rewards of its own"
        )
    out.mkdir(parents=True, exist_ok=True)
    scales = _scales(dataset, recipe, start)
    for sentence in warnings_of(dataset.train, environments.most_steps):
        on_warning(sentence)
    worlds = [
        World(environment, scales, f"environment {seed} ({environments.name})")
        for seed, environment in enumerate(environments.own)
    ]
    shown = [step for episode in dataset.train for step in steps_of(episode, scales, environments.most_steps)]
    identity: dict[str, Any] = {
        "recipe": recipe.to_plain(),
        "contract": dataset.contract.hash,
        "data": {"train": [episode.name for episode in dataset.train], "validation": []},
        "environment": environments.name,
    }
    if start is not None:
        identity["start"] = start.version
    with torch_settings(threads=1):  # several threads wait for each other longer than such networks take
        run = _Run(
            ImitationLearner(
                recipe.imitation,
                recipe.policy,
                recipe.agent,
                (recipe.family, recipe.reward),
                scales,
                worlds,
                shown,
                start,
            )
        )
        if resume:
            saved.restore(out, run, identity)
            for note in run.notes:
                on_warning(note)
        base = _metrics(dataset, recipe, environments, start)
        finished = _take_steps(
            run, recipe, out, identity, environments, base | {"version": version}, on_step, on_scores, clock
        )
    return _ended(run, recipe, dataset, out, finished)


def _take_steps(
    run: _Run,
    recipe: ImitationRecipe,
    out: Path,
    identity: dict[str, Any],
    environments: Environments,
    base: dict[str, Any],
    on_step: Callable[[Progress], bool],
    on_scores: Callable[[Sequence[SeedScore]], None],
    clock: Callable[[], float],
) -> bool:
    """Take the steps that are left, evaluate and save; return whether none is left."""
    settings, written_s = recipe.imitation, clock()
    if base["parent"] and not run.scores:  # what it begins with is the first to be kept
        scores = list(_evaluated(run, Progress(0, {}), settings.tests, environments))
        _keep_best(run, scores, out, base)
        on_scores(scores)
    try:
        for progress in run.learner.steps():
            due = progress.step % settings.every == 0 or progress.step == settings.steps
            if due and progress.step > settings.random_steps:
                scores = list(_evaluated(run, progress, settings.tests, environments))
                _keep_best(run, scores, out, base)
                on_scores(scores)
            if due or clock() - written_s > SAVE_EVERY_S:
                saved.save(out, run, identity)
                curves.write_table(out, run.scores)
                written_s = clock()
            if not on_step(progress) and progress.step < settings.steps:
                saved.save(out, run, identity)
                curves.write_table(out, run.scores)
                return False
    except (FloatingPointError, BrokenEnvironmentError) as error:
        kept = "--resume goes on from the state saved last" if saved.exists(out) else "nothing was saved yet"
        raise TrainingError(f"{error}; {kept}") from error
    return True


def _evaluated(run: _Run, progress: Progress, tests: int, environments: Environments) -> Iterator[SeedScore]:
    """Yield the score of each seed's present policy."""
    for seed in range(len(environments.own)):
        policy = run.learner.policy(seed)
        seeds = range(TEST_SEED, TEST_SEED + tests)
        result = evaluate(policy, policy.contract, environments.test, seeds)
        success = result.rate if is_judged(environments.test) else None
        yield SeedScore(progress.step, seed, result.mean_return, success, False, dict(progress.measured))


def _keep_best(run: _Run, scores: list[SeedScore], out: Path, base: dict[str, Any]) -> None:
    """Add scores to the curves, and write policy and reward of the best one if none before was better."""
    best = max(scores, key=lambda score: score.score)
    before = [score.score for score in run.scores if score.kept]
    if not before or best.score >= max(before):
        scores[scores.index(best)] = best = replace(best, kept=True)
        metrics = {
            **base,
            "own_steps": best.step,
            "seed": best.seed,
            "mean_return": best.mean_return,
            "success": best.success,
            "finished": False,
        }
        version = metrics.pop("version")
        policy = replace(run.learner.policy(best.seed), version=version, metrics=metrics)
        checkpoint.save(out / CHECKPOINT, policy)
        reward = run.learner.reward_model(best.seed)
        if reward is not None:
            rewards.save(out / rewards.FOLDER, replace(reward, version=version, metrics=metrics))
    run.scores += scores


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
    lineage.write(
        out,
        lineage.Lineage(
            policy.version,
            policy.metrics["parent"],
            policy.metrics["data"],
            policy.metrics["frames"],
            recipe.to_plain(),
            {key: policy.metrics[key] for key in ("own_steps", "mean_return", "success", "finished")},
            dataset.contract.hash,
            datetime.now(timezone.utc).isoformat(timespec="seconds"),
        ),
    )
    return ImitationOutcome(policy, tuple(run.scores), finished)


def _scales(dataset: Dataset, recipe: ImitationRecipe, start: LoadedPolicy | None) -> Scales:
    inputs = Inputs.for_policy(dataset.contract, recipe.policy)
    if start is None:
        return fit_scales(dataset.train, dataset.contract, inputs, recipe.imitation.action_range)
    if start.family != "actor" or start.settings != recipe.policy:
        raise ValueError(
            f"--from {start.version}: is a policy of the family {start.family} with other settings; a training with "
            "own steps goes on with an actor of the recipe's settings (`il-ros train --recipe actor`)"
        )
    return Scales(dataset.contract, inputs, start.normaliser, start.form)  # the weights depend on them


def _metrics(
    dataset: Dataset, recipe: ImitationRecipe, environments: Environments, start: LoadedPolicy | None
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
