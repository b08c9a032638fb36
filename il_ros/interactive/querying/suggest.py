"""Candidates for demonstrations: starts in the simulator, and moments and episodes that were recorded.

A start's uncertainty is the mean of the policy's own while it drives from there, a moment's that at its tick. Both are
in units of the policy's median uncertainty on the demonstrations, so above 1: more uncertain than there. For a policy
without an uncertainty it is 1 everywhere, and coverage alone decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from il_ros.core.specs import Vector
from il_ros.core.tables import listed
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.interactive.querying.ranking import Ranked, ranked
from il_ros.policies.protocol import PolicyError
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.window import TickWindow
from il_ros.records.outcomes import FAILURE
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import Task

APART_S = 1.0
"""Two suggested moments of an episode are at least so far apart."""
_FRAMES = 2000
_SHOWN = 4000

Observation = Mapping[str, Any]
Progress = Callable[[Sequence[EpisodeArrays]], Iterable[EpisodeArrays]]


@dataclass(frozen=True)
class Suggestion:
    """One line of the list. `seed`: of a start in the simulator; `episode` and `time_s`: of a recorded moment."""

    name: str
    reason: str
    score: float
    seed: int | None = None
    episode: str = ""
    time_s: float | None = None


class Querying:
    """A policy and what it was shown: labelled `episodes`. Raises ValueError without any."""

    def __init__(self, policy: LoadedPolicy, episodes: Sequence[EpisodeArrays]) -> None:
        if not episodes:
            raise ValueError("there is no demonstration to compare with")
        self.policy = policy
        self.starts = np.stack(
            [policy.normalised_state(each.observation(0), clipped=False) for each in episodes]
        )
        states = np.concatenate(
            [policy.normalised_state(each.observations, clipped=False) for each in episodes]
        )
        self.states = states[:: -(-len(states) // _SHOWN)]
        self._unit = self._usual(episodes)

    def suggested_starts(self, task: Task, seeds: Iterable[int], count: int) -> list[Suggestion]:
        """Return the best of the starts of these seeds; the policy drives from each.

        Raises ValueError when the contract does not fit the task.
        """
        states, uncertainty, ended, tried = [], [], [], []
        for seed in seeds:
            driven = _Driven(self.policy)
            try:
                done = rollout(task, driven.act, self.policy.contract, seed)
                end = "succeeds" if done.success else "does not succeed"
            except PolicyError as error:
                end = f"cannot drive ({error})"
            if not driven.states:
                continue
            tried.append(seed)
            ended.append(end)
            states.append(driven.states[0])
            uncertainty.append(self._relative(driven.uncertainty))
        if not states:
            return []
        best = ranked(np.stack(states), np.array(uncertainty), self.starts, count)
        return [
            Suggestion(
                f"start {tried[each.place]}",
                f"the policy {ended[each.place]} there; {self._why(each, 'start')}",
                each.score,
                seed=tried[each.place],
            )
            for each in best
        ]

    def suggested_moments(
        self, episodes: Sequence[EpisodeArrays], count: int, progress: Progress = iter
    ) -> list[Suggestion]:
        """Return the best moments of recorded `episodes`, whoever drove there (rule `DRIVEN`).

        `progress` wraps the sequence of episodes, in which the policy is asked at each frame.
        """
        states, uncertainty, where = [], [], []
        for episode in progress(episodes):
            for row, (state, own) in enumerate(_along(self.policy, episode)):
                states.append(state)
                uncertainty.append(self._relative([own]))
                where.append((episode, row))
        if not states:
            return []
        found: list[Suggestion] = []
        taken: list[tuple[str, float]] = []
        for each in ranked(np.stack(states), np.array(uncertainty), self.states, 20 * count):
            episode, row = where[each.place]
            time_s = float(episode.ticks_ns[row] - episode.ticks_ns[0]) / 1e9
            if any(name == episode.name and abs(time_s - other) < APART_S for name, other in taken):
                continue
            taken.append((episode.name, time_s))
            name = f"{episode.name} at {time_s:.1f} s"
            reason = self._why(each, "state")
            found.append(Suggestion(name, reason, each.score, episode=episode.name, time_s=time_s))
            if len(found) == count:
                break
        return found

    def suggested_episodes(
        self, episodes: Sequence[EpisodeArrays], count: int, progress: Progress = iter
    ) -> list[Suggestion]:
        """Return the recorded episodes whose task is best shown again, from the same start; `progress` as above."""
        starts, uncertainty = [], []
        for episode in progress(episodes):
            along = list(_along(self.policy, episode))
            starts.append(along[0][0])
            uncertainty.append(self._relative([own for _, own in along]))
        if not starts:
            return []
        return [
            Suggestion(
                f"{episodes[each.place].name}, from its start",
                ("it failed; " if episodes[each.place].outcome == FAILURE else "") + self._why(each, "start"),
                each.score,
                episode=episodes[each.place].name,
            )
            for each in ranked(np.stack(starts), np.array(uncertainty), self.starts, count)
        ]

    def _usual(self, episodes: Sequence[EpisodeArrays]) -> float:
        found: list[float] = []
        for episode in episodes:
            found += [own for _, own in _along(self.policy, episode) if own is not None]
            if len(found) > _FRAMES:
                break
        return max(float(np.median(found)), 1e-9) if found else 1.0

    def _relative(self, own: Sequence[float | None]) -> float:
        known = [each for each in own if each is not None]
        return float(np.mean(known)) / self._unit if known else 1.0

    def _why(self, each: Ranked, what: str) -> str:
        names = listed([self.policy.inputs.features_of[place] for place in each.features])
        differs = f", mostly in {names}" if names else ""
        return (
            f"uncertainty {_times(each.uncertainty)} that on demonstrations; {_times(each.distance)} as far "
            f"from the nearest shown {what} as these are from each other{differs}"
        )


def _times(ratio: float) -> str:
    return f"{float(f'{ratio:.2g}'):g} times"  # 130 times, not 1.3e+02


class _Driven:
    """The policy on one episode, which notes states and uncertainties."""

    def __init__(self, policy: LoadedPolicy) -> None:
        self._policy, self._period_ns = policy, policy.contract.period_ns
        self._window = TickWindow(policy.history, self._period_ns)
        self.states: list[Vector] = []
        self.uncertainty: list[float | None] = []

    def act(self, observation: Observation) -> Vector:
        """Return the policy's chunk (H, A)."""
        seen = self._window.push(len(self.states) * self._period_ns, observation)
        self.states.append(self._policy.normalised_state(observation, clipped=False))
        commands, own = self._policy.act_with_uncertainty(seen)
        self.uncertainty.append(own)
        return commands


def _along(policy: LoadedPolicy, episode: EpisodeArrays) -> list[tuple[Vector, float | None]]:
    """Return the normalised state and the policy's uncertainty at each frame."""
    window = TickWindow(policy.history, episode.period_ns)
    found = []
    for row, tick_ns in enumerate(episode.ticks_ns.tolist()):
        observation = episode.observation(row)
        seen = window.push(tick_ns, observation)
        found.append(
            (policy.normalised_state(observation, clipped=False), policy.act_with_uncertainty(seen)[1])
        )
    return found
