"""One episode as arrays for training, derived from the bag. The bag remains the archive."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import ActionGroup, Vector
from il_ros.core.tables import counted
from il_ros.policies.window import window_frames
from il_ros.records.outcomes import UNMARKED

Array = np.ndarray[Any, Any]


_NO_TICKS = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class UnlabelledTicks:
    """C ticks of an episode with an observation and without a label, in time order; windows of frames hold them.

    `observations[key]` (C, ...) and `absent[key]` (C,) as those of `EpisodeArrays`.
    """

    ticks_ns: NDArray[np.int64] = field(default_factory=lambda: _NO_TICKS)
    observations: Mapping[str, Array] = field(default_factory=dict)
    absent: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ticks_ns)


@dataclass(frozen=True)
class EpisodeArrays:
    """The T frames of an episode, in time order. Arrays are read-only and may be memory-mapped.

    `observations[key]`: (T, *spec.shape) in the spec's dtype; text is a (T,) string array. Pictures may be
    `CompressedPictures`, which are indexed like an array.
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
    `absent[key]` (T,): at which ticks an optional observation is missing; `observations[key]` is zero there. Without an
    entry it is always there, or, without observations of this key, never.
    `unlabelled`: at least the ticks that windows of the length read hold besides the frames.
    `span_ns`: the first and the last tick that is a frame or lacks no more than a label; None: there are no such ticks
    beside the frames.
    `weight`: that of its labels beside those of other episodes.
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
    absent: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    unlabelled: UnlabelledTicks = field(default_factory=UnlabelledTicks)
    span_ns: tuple[int, int] | None = None
    weight: float = 1.0

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
        lengths |= {f"absent {key}": len(missing) for key, missing in self.absent.items()}
        lengths |= {f"authority of {group}": len(names) for group, names in self.authorities.items()}
        for what, length in lengths.items():
            if length != frames:
                raise ValueError(
                    f"{self.name}: {what} has {counted(length, 'frame')} for {counted(frames, 'tick')}"
                )
        for key, values in self.unlabelled.observations.items():
            if key not in self.observations or len(values) != len(self.unlabelled):
                raise ValueError(
                    f"{self.name}: unlabelled ticks have {counted(len(values), 'row')} of '{key}'"
                )
        if np.intersect1d(self.unlabelled.ticks_ns, self.ticks_ns).size:
            raise ValueError(f"{self.name}: a tick is both a frame and without a label")
        if frames > 1 and np.diff(self.ticks_ns).min() <= 0:
            raise ValueError(f"{self.name}: ticks_ns must be strictly increasing")
        if self.span_ns is not None and not (
            self.span_ns[0] <= self.ticks_ns[0] and self.ticks_ns[-1] <= self.span_ns[1]
        ):
            raise ValueError(
                f"{self.name}: span_ns is {self.span_ns}; the frames are from {self.ticks_ns[0]} to {self.ticks_ns[-1]}"
            )
        if self.period_ns <= 0:
            raise ValueError(f"{self.name}: period_ns must be positive, not {self.period_ns}")

    def __len__(self) -> int:
        return len(self.ticks_ns)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ticks, commands, offsets and observations; of pictures only the shape and type: they are large."""
        found = hashlib.sha256()
        parts = {"ticks_ns": self.ticks_ns, "commands": self.commands, "offsets": self.offsets}
        for name, values in {
            **parts,
            **{f"/{key}": value for key, value in self.observations.items()},
        }.items():
            found.update(f"{name} {values.dtype.str} {values.shape}".encode())
            if values.ndim < 4:
                found.update(np.ascontiguousarray(values).tobytes())
        return found.hexdigest()

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

    def windows(self, length: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the rows of each frame's window (T, length), oldest first, and which of them exist (T, length).

        Rows from T on are those of `unlabelled`: see `observation`.
        """
        ticks_ns = np.concatenate([np.asarray(self.ticks_ns), self.unlabelled.ticks_ns])
        order = np.argsort(ticks_ns)
        places, existing = window_frames(ticks_ns[order], self.period_ns, length)
        own = order < len(self)  # frames are in time order, among all ticks too
        return order[places[own]], existing[own]

    def observation(self, row: int) -> dict[str, Array]:
        """Return the observation of a frame, or of an unlabelled tick (T + its place), without what is missing."""
        part = self if row < len(self) else self.unlabelled
        place = row if row < len(self) else row - len(self)
        return {
            key: values[place]
            for key, values in part.observations.items()
            if key not in part.absent or not part.absent[key][place]
        }

    @property
    def steps(self) -> int:
        """The number of control periods from the first tick to the last one, with or without a label, and its own."""
        first_ns, last_ns = self.span_ns or (int(self.ticks_ns[0]), int(self.ticks_ns[-1]))
        return round((last_ns - first_ns) / self.period_ns) + 1

    @property
    def ends_with_a_frame(self) -> bool:
        """Whether the last frame is the last tick: what it led to is what the episode ended with."""
        return self.span_ns is None or int(self.ticks_ns[-1]) == self.span_ns[1]

    @property
    def duration_s(self) -> float:
        """Time from the first tick to the last, gaps included."""
        return float(self.ticks_ns[-1] - self.ticks_ns[0]) / 1e9


def missing_of(ticks: EpisodeArrays | UnlabelledTicks, key: str) -> NDArray[np.bool_]:
    """Return at which ticks (T,) an observation is missing."""
    return ticks.absent.get(key, np.full(len(ticks), key not in ticks.observations))


def filled(ticks: EpisodeArrays | UnlabelledTicks) -> Mapping[str, Array]:
    """Return observations whose numbers are possible values also where they are missing: those of another tick.

    One that is missing at all ticks is left out. What is derived from zeros might not be finite.
    """
    if not ticks.absent:
        return ticks.observations
    out = dict(ticks.observations)
    for key, missing in ticks.absent.items():
        if missing.all():
            del out[key]
        elif out[key].dtype == np.float64:
            values = np.array(out[key])
            values[missing] = values[~missing][0]
            out[key] = values
    return out
