"""Durations of the steps of a tick, over the last thousand ticks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from il_ros.core.specs import Vector


class Latency:
    """A window of durations, one tuple per tick, with named columns."""

    def __init__(self, names: Sequence[str], window: int = 1000) -> None:
        self._names = tuple(names)
        self._rows = np.full((window, len(self._names)), np.nan)
        self._count = 0

    def add(self, durations_s: tuple[float, ...]) -> None:
        """Add the durations of one tick, in seconds, in the order of the names; NaN: this tick had no such step.

        Raises ValueError when their count is wrong.
        """
        if len(durations_s) != len(self._names):
            raise ValueError(
                f"{len(self._names)} durations are needed ({self._names}), not {len(durations_s)}"
            )
        self._rows[self._count % len(self._rows)] = durations_s
        self._count += 1

    def summary(self) -> dict[str, float]:
        """Return the percentiles "NAME p50 [ms]" and "NAME p99 [ms]" of each name that has any durations."""
        found: dict[str, float] = {}
        for name, durations_s in zip(self._names, self._rows[: self._count].T, strict=True):
            known_s = durations_s[~np.isnan(durations_s)]
            if len(known_s):
                ordered_ms = np.sort(known_s * 1e3)
                found |= {f"{name} p{share} [ms]": _percentile(ordered_ms, share) for share in (50, 99)}
        return found


def _percentile(ordered: Vector, percent: float) -> float:
    """Return a percentile of values in ascending order, linear between two of them.

    NumPy's own imports its masked arrays at the first call: 30 ms in which a node sends no command.
    """
    place = percent / 100 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))
