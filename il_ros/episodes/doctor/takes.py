"""The episodes that the doctor examines together, and what its checks compare."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import LASER_SCAN, ObservationSpec, Vector, shortest
from il_ros.core.tables import counted, listed
from il_ros.episodes.amendments import NONE, Amendments
from il_ros.episodes.arrays.episode import EpisodeArrays

Array = np.ndarray[Any, Any]

MOST_ELEMENTS = 20
"""An observation of more numbers, such as a laser scan, is judged as a whole, not by element."""
_THINNED = 4
"""Every fourth row and column of a picture is enough to see that it changes."""


@dataclass(frozen=True)
class TakeSet:
    """Episodes of one contract.

    By the name of an episode: `folders`, where it is; `started_s`, the time from the start of its demonstration to its
    first frame; `amended`, what is amended already. Angles of continuous joints go on over the ends of their turn, as
    `unwound` returns them.
    """

    contract: Contract
    episodes: tuple[EpisodeArrays, ...]
    folders: Mapping[str, Path]
    started_s: Mapping[str, float]
    amended: Mapping[str, Amendments] = field(default_factory=dict)

    @property
    def period_s(self) -> float:
        """Time between ticks."""
        return self.contract.period_ns / 1e9

    @cached_property
    def uninterrupted(self) -> TakeSet:
        """The takes in which no policy was corrected: where one was, the frames are parts of the task only."""
        kept = tuple(
            each for each in self.episodes if not (each.takeovers_ns or any(each.group_takeovers_ns.values()))
        )
        return self if len(kept) == len(self.episodes) else replace(self, episodes=kept)

    @cached_property
    def numeric(self) -> tuple[ObservationSpec, ...]:
        """The observations that are numbers."""
        return tuple(spec for spec in self.contract.observations if spec.kind == "numeric")

    @cached_property
    def small(self) -> tuple[ObservationSpec, ...]:
        """Those whose numbers have a meaning each."""
        return tuple(spec for spec in self.numeric if spec.size <= MOST_ELEMENTS and spec.type != LASER_SCAN)

    @cached_property
    def cameras(self) -> tuple[ObservationSpec, ...]:
        """The observations that are pictures with brightness; depth is none."""
        return tuple(
            spec
            for spec in self.contract.observations
            if spec.image is not None and spec.image.encoding != "depth"
        )

    def times_s(self, episode: EpisodeArrays) -> Vector:
        """Return the time of each frame from the start of the demonstration (T,), as `il-ros episodes amend` counts."""
        since = (np.asarray(episode.ticks_ns) - int(episode.ticks_ns[0])) / 1e9
        return since + self.started_s.get(episode.name, 0.0)

    def measured(self, episode: EpisodeArrays) -> Vector:
        """Return the measurement of each number of the action (T, A); NaN where nothing measures it."""
        out = np.full(episode.commands.shape, np.nan)
        for action in self.contract.actions:
            if action.reference is not None and action.is_position:
                seen = np.asarray(episode.observations[action.reference])
                out[:, self.contract.action_slices[action.key]] = seen[:, list(action.reference_index)]
        return out

    @cached_property
    def action_scales(self) -> Vector:
        """The range of each number of the action (A,): its limits, or without them what is commanded."""
        lower, upper = (
            np.concatenate([getattr(a.limits, end) for a in self.contract.actions]) for end in _ENDS
        )
        commands = np.concatenate([np.asarray(each.commands) for each in self.episodes])
        ranged = np.nanmax(commands, axis=0) - np.nanmin(commands, axis=0)
        limited = upper - lower
        scales: Vector = np.where(np.isfinite(limited), limited, np.maximum(ranged, 1e-9))
        return scales

    @cached_property
    def moved(self) -> Vector:
        """How far each number of the action is commanded over all takes (A,)."""
        commands = np.concatenate([np.asarray(each.commands) for each in self.episodes])
        moved: Vector = np.nanmax(commands, axis=0) - np.nanmin(commands, axis=0)
        return moved

    def activity(self, episode: EpisodeArrays, key: str) -> Vector:
        """Return how much an observation changes from each frame to the next (T - 1,), in its own scale."""
        spec = self.contract.observation(key)
        values = np.asarray(episode.observations[key])
        if spec.image is not None:
            thin = values[:, ::_THINNED, ::_THINNED].astype(np.float32)
            changes: Vector = np.abs(np.diff(thin, axis=0)).mean(axis=(1, 2, 3)).astype(np.float64)
            return changes
        steps = np.abs(np.diff(values, axis=0))
        if spec.size > MOST_ELEMENTS or spec.type == LASER_SCAN:
            return np.asarray(np.median(steps, axis=1))
        return np.asarray(np.linalg.norm(steps / self._step_scales[key], axis=1))

    @cached_property
    def _step_scales(self) -> dict[str, Vector]:
        """The usual size of a step of each number of an observation (D,), over all takes."""
        found = {}
        for spec in self.small:
            steps = [np.diff(np.asarray(each.observations[spec.key]), axis=0) for each in self.episodes]
            scale = np.sqrt(np.mean(np.square(np.concatenate(steps)), axis=0))
            found[spec.key] = np.where(scale > 1e-12, scale, np.inf)
        return found

    def motion(self, episode: EpisodeArrays) -> tuple[str, Vector]:
        """Return what moves the robot, its name, and by how much at each frame but the last (T - 1,).

        The measured joints; without them the size of velocity commands, else the steps of commands.
        """
        measured = self.measured(episode)
        known = np.isfinite(measured).all(axis=0)
        if known.any():
            steps = np.diff(measured[:, known], axis=0) / self.action_scales[known]
            return "the measured joints", np.asarray(np.linalg.norm(steps, axis=1))
        commands = np.nan_to_num(np.asarray(episode.commands)) / self.action_scales
        velocity = np.concatenate([np.full(a.size, a.is_velocity) for a in self.contract.actions])
        sizes = np.hstack([np.diff(commands[:, ~velocity], axis=0), commands[:-1, velocity]])
        return "the commands", np.asarray(np.linalg.norm(sizes, axis=1))

    @cached_property
    def states(self) -> tuple[Vector, ...]:
        """The numbers that a policy sees, of each episode (T, D), in units of their spread over all takes."""
        parts = [np.zeros((len(each), 0)) for each in self.episodes]
        for spec in self.numeric:
            scaled = _scaled([_on_circles(each.observations[spec.key], spec.turns) for each in self.episodes])
            parts = [np.hstack(pair) for pair in zip(parts, scaled, strict=True)]
        return tuple(parts)

    @cached_property
    def learnt(self) -> tuple[Vector, ...]:
        """The labels as motion, of each episode (T, A): positions minus the measured ones, in units of their spread."""
        raw = [
            np.nan_to_num(np.asarray(each.commands)) - np.nan_to_num(self.measured(each))
            for each in self.episodes
        ]
        parts = [np.zeros((len(each), 0)) for each in self.episodes]
        for place in self.contract.action_slices.values():
            scaled = _scaled([values[:, place] for values in raw], _NOISE * self.action_scales[place])
            parts = [np.hstack(pair) for pair in zip(parts, scaled, strict=True)]
        return tuple(parts)

    def listed(self, names: Sequence[str], most: int = 3) -> str:
        """Return a few names, or 'all 40 episodes'."""
        if len(names) == len(self.episodes) and len(names) > most:
            return f"all {counted(len(names), 'episode')}"
        return listed(names, most)

    def command(self, verb: str, names: Sequence[str], *words: str) -> str:
        """Return a command line of `il-ros episodes` about these episodes."""
        return shlex.join(["il-ros", "episodes", verb, *(str(self.folders[name]) for name in names), *words])

    def amend_offset(self, names: Sequence[str], element: str, by: float) -> tuple[str, ...]:
        """Return the commands that add to the labels of an element, beside what is amended already."""
        return self._amend(names, "--offset", element, by, lambda each: each.offsets.get(element, 0.0))

    def amend_shift(self, names: Sequence[str], key: str, by_s: float) -> tuple[str, ...]:
        """Return the commands that take a stream as earlier, beside what is amended already."""
        return self._amend(names, "--shift", key, by_s, lambda each: each.shifts.get(key, 0.0))

    def _amend(
        self, names: Sequence[str], option: str, key: str, by: float, before: Callable[[Amendments], float]
    ) -> tuple[str, ...]:
        groups: dict[float, list[str]] = {}
        for name in names:
            groups.setdefault(before(self.amended.get(name, NONE)), []).append(name)
        return tuple(
            self.command("amend", alike, option, f"{key}={was + by:.4g}") for was, alike in groups.items()
        )

    def discard(self, names: Sequence[str], reason: str) -> str:
        """Return the command that excludes episodes; `undo` reverts it."""
        return self.command("discard", names, "--reason", reason)


def unwound(contract: Contract, episode: EpisodeArrays) -> EpisodeArrays:
    """Return an episode whose angles of continuous joints have no jump at the end of a turn.

    Each measured angle is in the turn that is nearest to the one before, each command in that of its measurement, or
    without one in that of the command before.
    """
    if not contract.turns.any() and not any(spec.continuous for spec in contract.observations):
        return episode
    observations = dict(episode.observations)
    for spec in contract.observations:
        if spec.kind == "numeric" and spec.key in observations:
            observations[spec.key] = _even_turns(np.asarray(observations[spec.key]), spec.turns)
    commands = np.array(episode.commands)
    for action in contract.actions:
        place = contract.action_slices[action.key]
        if action.reference is None:
            commands[:, place] = _even_turns(commands[:, place], action.turns)
        else:
            measured = observations[action.reference][:, list(action.reference_index)]
            commands[:, place] = measured + shortest(commands[:, place] - measured, action.turns)
    return replace(episode, observations=observations, commands=commands)


def _even_turns(values: Array, turns: Vector) -> Array:
    """Return numbers (T, D), those with a turn (D,) in the turn nearest to the number before; NaN stays."""
    out = values
    for column in np.flatnonzero(turns):
        out = np.array(values) if out is values else out
        known = np.isfinite(out[:, column])
        out[known, column] = np.unwrap(out[known, column], period=turns[column])
    return out


def _on_circles(values: Array, turns: Vector) -> Vector:
    """Return numbers (T, D), those with a turn (D,) as cosine and sine: equal angles are near each other."""
    values = np.asarray(values)
    angles = values[:, turns > 0] * (2 * np.pi / turns[turns > 0])
    return np.hstack([values[:, turns == 0], np.cos(angles), np.sin(angles)])


_ENDS = ("lower", "upper")
_LEAST_SPREAD = 0.02
"""Numbers of one observation or action share a scale: a spread below this share of the largest is noise."""


_NOISE = 1e-3
"""A label that differs from the measurement by less than this share of its range is noise."""


def _scaled(values: Sequence[Vector], noise: float | Vector = 0.0) -> list[Vector]:
    """Return the values (T, D) of each take in units of their spread over all, without the numbers that don't vary.

    `noise`: the least spread that counts (D,).
    """
    joined = np.concatenate(values)
    spread = joined.std(axis=0)
    kept = spread > 1e-9 * np.maximum(1.0, np.abs(joined).max(axis=0, initial=0.0))
    scale = np.maximum(np.maximum(spread, _LEAST_SPREAD * spread.max(initial=0.0)), noise)[kept]
    centre = joined.mean(axis=0)[kept]
    return [(each[:, kept] - centre) / scale for each in values]
