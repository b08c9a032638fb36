"""Durations of the steps of a tick, over the last thousand ticks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np


class Latency:
    """A window of durations, one tuple per tick, with named columns."""

    def __init__(self, names: Sequence[str], window: int = 1000) -> None:
        self._names = tuple(names)
        self._rows: deque[tuple[float, ...]] = deque(maxlen=window)

    def add(self, durations_s: tuple[float, ...]) -> None:
        """Add the durations of one tick, in seconds, in the order of the names; NaN: this tick had no such step.

        Raises ValueError when their count is wrong.
        """
        if len(durations_s) != len(self._names):
            raise ValueError(
                f"{len(self._names)} durations are needed ({self._names}), not {len(durations_s)}"
            )
        self._rows.append(durations_s)

    def summary(self) -> dict[str, float]:
        """Return the percentiles "NAME p50 [ms]" and "NAME p99 [ms]" of each name that has any durations."""
        if not self._rows:
            return {}
        found: dict[str, float] = {}
        for name, durations_s in zip(self._names, np.array(self._rows).T, strict=True):
            known_s = durations_s[~np.isnan(durations_s)]
            if len(known_s):
                half, most = np.percentile(known_s * 1e3, [50, 99])
                found |= {f"{name} p50 [ms]": float(half), f"{name} p99 [ms]": float(most)}
        return found
