"""One episode as arrays for training, derived from the bag. The bag remains the archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import ActionGroup, Vector
from il_ros.core.tables import counted
from il_ros.records.outcomes import UNMARKED

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class EpisodeArrays:
    """The T frames of an episode, in time order. Arrays are read-only and may be memory-mapped.

    `observations[key]`: (T, *spec.shape) in the spec's dtype; text is a (T,) string array.
    `commands` (T, A): the absolute command label of each tick, in the contract's flat order and units.
    `offsets` (T, A): subtracted from the command: the measured state for delta actions, else zero.
    A chunk of H steps learnt at frame t is `commands[t : t + H] - offsets[t]` within one of `runs`.
    `ticks_ns` (T,): strictly increasing. A tick without observation or label has no frame, so successive
    ticks may be more than `period_ns` apart; `skipped` counts the missing frames by reason.
    `authority`: the source in authority at each tick; empty when the bag has no decisions. `takeovers_ns`:
    the ticks at which the expert took over from the policy, including ticks without a frame. `notes`:
    sentences about how the bag was read, to be shown.
    `groups`: the contract's action groups where it has several. Then the commands of a group without a label at a tick
    are NaN, and `authorities` and `group_takeovers_ns` are authority and takeovers of each group.
    """

    name: str
    observations: Mapping[str, Array]
    commands: Vector
    offsets: Vector
    ticks_ns: NDArray[np.int64]
    period_ns: int
    outcome: str = UNMARKED
    task: str = ""
    authority: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    takeovers_ns: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    groups: tuple[ActionGroup, ...] = ()
    authorities: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group_takeovers_ns: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frames = len(self.ticks_ns)
        if frames == 0:
            raise ValueError(f"{self.name}: has no frames; at least one is required")
        if self.commands.ndim != 2 or self.commands.shape != self.offsets.shape:
            raise ValueError(
                f"{self.name}: commands {self.commands.shape} and offsets {self.offsets.shape} must be (T, A)"
            )
        lengths = {"commands": len(self.commands), "authority": len(self.authority) or frames}
        lengths |= {key: len(values) for key, values in self.observations.items()}
        lengths |= {f"authority of {group}": len(names) for group, names in self.authorities.items()}
        for what, length in lengths.items():
            if length != frames:
                raise ValueError(
                    f"{self.name}: {what} has {counted(length, 'frame')} for {counted(frames, 'tick')}"
                )
        if frames > 1 and np.diff(self.ticks_ns).min() <= 0:
            raise ValueError(f"{self.name}: ticks_ns must be strictly increasing")
        if self.period_ns <= 0:
            raise ValueError(f"{self.name}: period_ns must be positive, not {self.period_ns}")

    def __len__(self) -> int:
        return len(self.ticks_ns)

    @cached_property
    def actions(self) -> Vector:
        """The learnt one-step actions (T, A); equal to `commands` unless actions are deltas."""
        actions: Vector = np.asarray(self.commands) - np.asarray(self.offsets)
        actions.setflags(write=False)
        return actions

    @cached_property
    def labelled(self) -> NDArray[np.bool_]:
        """Whether each group has a label at each tick (T, G); without groups, each tick has one (T, 1)."""
        if not self.groups:
            return np.ones((len(self), 1), dtype=bool)
        commands = np.asarray(self.commands)
        return np.stack([~np.isnan(commands[:, group.index]).all(axis=1) for group in self.groups], axis=1)

    @cached_property
    def runs(self) -> tuple[slice, ...]:
        """Slices of frames without a gap: successive ticks are at most 1.5 periods apart."""
        gaps = np.flatnonzero(2 * np.diff(self.ticks_ns) > 3 * self.period_ns) + 1
        bounds = [0, *gaps.tolist(), len(self)]
        return tuple(slice(start, stop) for start, stop in pairwise(bounds))

    @property
    def duration_s(self) -> float:
        """Time from the first tick to the last, gaps included."""
        return float(self.ticks_ns[-1] - self.ticks_ns[0]) / 1e9
