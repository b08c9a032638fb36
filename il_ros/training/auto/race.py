"""A race: train the recipes that may suit the episodes for a short time, and keep the one whose policy does best.

In the simulator of the task the policies are tried from the same starts, which are neither those of demonstrations nor
those of `il-ros evaluate`. Without one, the error on held-out episodes decides. It tells little about success
(Mandlekar et al. 2021), so there another recipe must be clearly better than the one that the rules choose.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector, shortest
from il_ros.core.tables import counted, percent
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.runner import LoadedPolicy
from il_ros.sim.tasks.task import Task
from il_ros.training.evaluate import evaluate
from il_ros.training.loop import TrainingError
from il_ros.training.recipe import Recipe
from il_ros.training.run import train

Progress = Callable[[Sequence[int]], Iterable[int]]
STARTS = 20
FIRST_SEED = 500_000
"""Of the starts of a race: demonstrations use seeds from 0, evaluations those from HELD_OUT_SEED (1,000,000)."""
CLEARLY = 0.9
"""On held-out episodes, another recipe wins with an error below this share of that of the first one."""


@dataclass(frozen=True)
class Judge:
    """How policies are compared: `score` of a policy, more is better; `shown` of a score; `where`, in words.

    Another recipe than the first wins if `beats(its score, the first one's)`.
    """

    where: str
    score: Callable[[LoadedPolicy], float]
    shown: Callable[[float], str]
    beats: Callable[[float, float], bool]


def in_simulator(task: Task, contract: Contract, starts: int, progress: Progress = iter) -> Judge:
    """Return the judge by success, or by the return where the task does not define success, from `starts` starts.

    `progress` wraps the seeds of a policy's starts, as tqdm does.
    """
    judged = True

    def score(policy: LoadedPolicy) -> float:
        nonlocal judged
        seeds = range(FIRST_SEED, FIRST_SEED + starts)
        tried = evaluate(policy, contract, task, progress(seeds))
        judged = tried.judged
        return float(np.mean([episode.score for episode in tried.episodes]))

    def shown(mean: float) -> str:
        return f"success {percent(mean)}" if judged else f"mean return {mean:.3g}"

    where = f"in the simulator, {starts} starts each"
    return Judge(where, score, shown, lambda other, first: other > first)


def on_held_out(train: Sequence[EpisodeArrays], held_out: Sequence[EpisodeArrays]) -> Judge:
    """Return the judge by the mean absolute error of the first action of a chunk on held-out episodes.

    Errors are in half ranges of what the training episodes show of each number; the score is minus the error.
    """
    commands = np.concatenate([np.asarray(episode.commands) for episode in train])
    half = np.maximum((np.nanmax(commands, axis=0) - np.nanmin(commands, axis=0)) / 2, 1e-3)

    def score(policy: LoadedPolicy) -> float:
        errors = [np.abs(_errors(policy, episode)) / half for episode in held_out]
        return -float(np.nanmean(np.concatenate(errors)))

    where = f"on {counted(len(held_out), 'held-out episode')}, mean error in half ranges of the labels"
    return Judge(
        where, score, lambda minus: f"error {-minus:.3g}", lambda other, first: other > CLEARLY * first
    )


def race(
    entrants: Mapping[str, Recipe],
    dataset: Dataset,
    judge: Judge,
    seconds: float,
    on_result: Callable[[str], None] = lambda _: None,
) -> Recipe:
    """Return the recipe that wins; its `reason` also says how the others did. `seconds`: of training, of all together.

    `entrants`: by name, the one that the rules choose first. `on_result` gets a sentence at the start, and
    before and after each. One whose training fails is out. Raises ValueError when all fail.
    """
    scores: dict[str, float] = {}
    faults = []
    on_result(
        f"race: {counted(len(entrants), 'recipe')}, {seconds / len(entrants):.3g} s of training each, then tried "
        f"{judge.where}, which takes its own time"
    )
    for name, recipe in entrants.items():
        share = seconds / len(entrants)
        limit = min(share, recipe.training.seconds or share)
        on_result(f"race: training {name} for at most {limit:.3g} s")
        try:
            with tempfile.TemporaryDirectory() as folder:
                short = replace(recipe, training=replace(recipe.training, seconds=limit))
                policy = train(dataset, short, Path(folder)).policy
            scores[name] = judge.score(policy)
            on_result(f"race: {name}: {judge.shown(scores[name])}")
        except (TrainingError, ValueError) as error:
            faults.append(f"{name}: {error}")
            on_result(f"race: {name} is out: {error}")
    if not scores:
        raise ValueError(f"--race: no recipe can be trained: {'; '.join(faults)}")
    first = next(iter(scores))
    best = max(scores, key=lambda name: scores[name])
    winner = best if judge.beats(scores[best], scores[first]) else first
    results = "; ".join(f"{name} {judge.shown(score)}" for name, score in scores.items())
    found = f"a race of {seconds:.0f} s of training, {judge.where}: {results}"
    before = next(iter(entrants.values())).reason
    reason = f"{before}; {found}" if winner == next(iter(entrants)) else f"auto chose {winner}: {found}"
    return replace(entrants[winner], reason=reason)


def _errors(policy: LoadedPolicy, episode: EpisodeArrays) -> Vector:
    """Return command minus label (T, A) at each frame of an episode; angles the short way."""
    rows, existing = episode.windows(policy.history)
    answers = [
        policy.act([episode.observation(row) for row in rows[frame][existing[frame]].tolist()], seed=frame)[0]
        for frame in range(len(episode))
    ]
    return shortest(np.stack(answers) - np.asarray(episode.commands), policy.contract.turns)
