"""Play recorded commands again, or lead the robot to a position: targets tick by tick, at a chosen speed.

First the commanded positions are led in a straight line from the measured ones to the first target, at a share of
the speed limits. Then the targets are played. Pure: times are arguments. The supervisor's limiter bounds what is
commanded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from il_ros.core import atomic, files
from il_ros.core.contract import Contract
from il_ros.core.specs import POSE, Vector, shortest

SETTLE_S = 3.0
"""The measured positions must be at the first target this long after the led one is."""
NEAR_S = 0.1
"""A position is reached within this time of motion at the speed limit (1 rad/s: 0.1 rad)."""
GAP_PERIODS = 2.5
"""A velocity is played until the next target, but not across a longer gap: then it is zero."""
_MOST_BYTES = 1 << 30


class PlaybackError(ValueError):
    """A trajectory that can't be played; the message names file, field and value."""


class PlaybackPhase(Enum):
    """What the playback does; the values are its words for a person."""

    LEADING = "leading to the start"
    PLAYING = "playing"
    DONE = "done"
    FAILED = "not reached"


@dataclass(frozen=True)
class TargetSeries:
    """Targets (T, A) of the actions `names` (A) at `times_s` (T,), increasing from 0; T = 1: a position to go to.

    Raises PlaybackError when that does not hold.
    """

    names: tuple[str, ...]
    times_s: NDArray[np.float64]
    targets: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.targets.ndim != 2 or self.targets.shape != (len(self.times_s), len(self.names)):
            raise PlaybackError(
                f"targets {self.targets.shape} must be ({len(self.times_s)}, {len(self.names)}): times, actions"
            )
        if not len(self.times_s) or not (np.isfinite(self.targets).all() and np.isfinite(self.times_s).all()):
            raise PlaybackError("there must be at least one target, and every number must be finite")
        if self.times_s[0] != 0 or (np.diff(self.times_s) <= 0).any():
            raise PlaybackError("times_s must begin at 0 and increase")

    def save(self, path: Path) -> None:
        """Write the file; raises OSError."""
        values = {
            "names": self.names, "times_s": self.times_s.tolist(), "targets": self.targets.tolist(),
        }  # fmt: skip
        atomic.write_text(path, json.dumps(values) + "\n")

    @classmethod
    def load(cls, path: Path) -> TargetSeries:
        """Read the file; raises PlaybackError naming it."""
        try:
            values = json.loads(files.read_text(path, _MOST_BYTES))
            numbers = [np.array(values[name], dtype=np.float64) for name in ("times_s", "targets")]
            return cls(tuple(map(str, values["names"])), numbers[0].reshape(-1), numbers[1])
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise PlaybackError(f"{path}: {error}") from error


class Playback:
    """Leads to the first target and plays the others, `speed` times as fast as recorded.

    `speed`: above 0, at most 1; also the share of the speed limits while leading. Continuous joints are led and played
    the shortest way. Raises PlaybackError when the trajectory has other actions than the contract, or exceeds its
    position limits.
    """

    def __init__(self, contract: Contract, trajectory: TargetSeries, speed: float) -> None:
        if not 0 < speed <= 1:
            raise PlaybackError(f"speed is {speed:g}; it must be above 0 and at most 1")
        if trajectory.names != contract.action_names:
            raise PlaybackError(
                f"the actions are {', '.join(trajectory.names)}; contract '{contract.name}' has "
                f"{', '.join(contract.action_names)}"
            )
        self._names, self._turns, self._speed = contract.action_names, contract.turns, speed
        self._times_s, self._targets = trajectory.times_s, trajectory.targets.copy()
        for column in np.flatnonzero(self._turns):  # from target to target, the shortest way
            self._targets[:, column] = np.unwrap(self._targets[:, column], period=self._turns[column])
        limits = [spec.limits.arrays() for spec in contract.actions]
        lower, upper, self._fastest = (np.concatenate([each[place] for each in limits]) for place in range(3))
        kinds = [(not spec.is_position, spec.type == POSE) for spec in contract.actions]
        sizes = [spec.size for spec in contract.actions]
        self._velocity = np.repeat([velocity for velocity, _ in kinds], sizes)
        self._led = ~self._velocity & ~np.repeat([pose for _, pose in kinds], sizes)
        outside = (trajectory.targets < lower - 1e-9) | (trajectory.targets > upper + 1e-9)
        outside &= ~self._velocity & (self._turns == 0)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            raise PlaybackError(
                f"{self._names[column]} is {trajectory.targets[row, column]:g} at {trajectory.times_s[row]:.2f} s; its "
                f"limits are {lower[column]:g} to {upper[column]:g}"
            )
        self._gap_s = GAP_PERIODS * contract.period_ns / 1e9
        self._at: Vector | None = None
        self._ticked_s = self._began_s = 0.0
        self._arrived_s: float | None = None
        self.phase = PlaybackPhase.LEADING
        self.deviation = np.zeros(len(self._names))
        """The largest |measured - target| (A,) of each position while playing."""
        self.why = ""
        """Why the phase is FAILED."""

    def target(self, measured: Vector, now_s: float) -> Vector | None:
        """Return the target (A,) at a time, None once done or failed; `measured` (A,), NaN where unknown."""
        if self.phase is PlaybackPhase.LEADING:
            self._lead(measured, now_s)
        if self.phase is PlaybackPhase.PLAYING:
            return self._play(measured, now_s)
        return self._at.copy() if self.phase is PlaybackPhase.LEADING and self._at is not None else None

    def words(self, now_s: float) -> str:
        """Return the progress for a person."""
        if self.phase is PlaybackPhase.PLAYING:
            whole_s = float(self._times_s[-1])
            played_s = min((now_s - self._began_s) * self._speed, whole_s)
            return f"playing: {played_s:.1f} of {whole_s:.1f} s"
        if self.phase is PlaybackPhase.FAILED:
            return f"not reached: {self.why}"
        return str(self.phase.value)

    def _lead(self, measured: Vector, now_s: float) -> None:
        first = self._targets[0]
        apart = shortest(measured - first, self._turns)
        if self._at is None:
            self._at, self._ticked_s = first + np.where(self._led & np.isfinite(measured), apart, 0.0), now_s
        self._at = np.where(self._velocity, 0.0, self._at)
        step = self._speed * self._fastest * max(0.0, now_s - self._ticked_s)
        self._ticked_s = max(self._ticked_s, now_s)
        to_go = np.where(self._led, first - self._at, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.min(np.where(to_go == 0, 1.0, step / np.abs(to_go)), initial=1.0)
        self._at = np.where(self._led, self._at + min(1.0, float(share)) * to_go, self._at)
        if not np.allclose(self._at[self._led], first[self._led], atol=1e-9):
            return
        self._arrived_s = now_s if self._arrived_s is None else self._arrived_s
        off = np.where(self._led & np.isfinite(measured), np.abs(apart), 0.0)
        far = off > NEAR_S * self._fastest
        if not far.any():
            single = len(self._times_s) == 1
            self.phase, self._began_s = (PlaybackPhase.DONE if single else PlaybackPhase.PLAYING), now_s
        elif now_s - self._arrived_s > SETTLE_S:
            worst = int(np.argmax(off / self._fastest))
            self.phase = PlaybackPhase.FAILED
            self.why = (
                f"{self._names[worst]} is at {measured[worst]:.4g}, {off[worst]:.2g} from {first[worst]:.4g}; does the "
                "robot follow its commands?"
            )

    def _play(self, measured: Vector, now_s: float) -> Vector | None:
        times_s, targets = self._times_s, self._targets
        played_s = (now_s - self._began_s) * self._speed
        if played_s > times_s[-1] + 1e-6:  # rounding is no end
            self.phase = PlaybackPhase.DONE
            return None
        place = int(np.searchsorted(times_s, played_s, side="right")) - 1
        after = min(place + 1, len(times_s) - 1)
        span_s = times_s[after] - times_s[place]
        part = 0.0 if span_s == 0 else (played_s - times_s[place]) / span_s
        between = targets[place] + part * (targets[after] - targets[place])
        target = np.where(self._led, between, targets[place])
        stands = span_s > self._gap_s or after == place
        target[self._velocity] *= 0.0 if stands else self._speed
        off = np.abs(shortest(measured - target, self._turns))
        self.deviation = np.fmax(self.deviation, np.where(self._led, off, 0.0))
        moved: Vector = target
        return moved
