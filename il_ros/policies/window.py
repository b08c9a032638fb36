"""Windows of past ticks: which ticks a policy sees at a tick, live and in recorded episodes.

A window has the newest tick and those before it, as long as each follows its predecessor within one and a half
periods and none is of the episode before. Every tick with an observation belongs to it, whichever source drove and
with or without a label: at a takeover, an expert's label is learnt with the past that the policy has seen there.
`TickWindow` and `window_frames` choose the same ticks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_HISTORY = 256
"""The largest number of ticks of a window."""
Array = np.ndarray[Any, Any]
Observation = Mapping[str, Array]


def follows(before_ns: int, after_ns: int, period_ns: int) -> bool:
    """Return whether one tick is the successor of another: later, by at most 1.5 periods."""
    return 0 < 2 * (after_ns - before_ns) <= 3 * period_ns


class TickWindow:
    """Keeps the observations of the last `length` ticks without a gap; the caller of a policy holds one."""

    def __init__(self, length: int, period_ns: int) -> None:
        self._ticks: deque[tuple[int, Observation]] = deque(maxlen=length)
        self._period_ns = period_ns
        self._last_ns: int | None = None

    def push(self, tick_ns: int, observation: Observation) -> tuple[Observation, ...]:
        """Add a tick and return the window, oldest first; after a gap it has this tick only."""
        if self._last_ns is not None and not follows(self._last_ns, tick_ns, self._period_ns):
            self._ticks.clear()
        self._last_ns = tick_ns
        self._ticks.append((tick_ns, observation))
        return tuple(seen for _, seen in self._ticks)

    def begin(self, from_ns: int) -> None:
        """Drop the ticks before `from_ns`, the time at which an episode began."""
        while self._ticks and self._ticks[0][0] < from_ns:
            self._ticks.popleft()

    def require(self, keys: Collection[str]) -> None:
        """Drop the ticks up to the newest one that lacks one of these observations."""
        lacking = [
            place for place, (_, seen) in enumerate(self._ticks) if not all(key in seen for key in keys)
        ]
        for _ in range(lacking[-1] + 1 if lacking else 0):
            self._ticks.popleft()

    def lengthen(self, length: int) -> None:
        """Keep at least `length` ticks from now on; what is kept stays."""
        if length > (self._ticks.maxlen or 0):
            self._ticks = deque(self._ticks, maxlen=length)


def window_frames(
    ticks_ns: NDArray[np.int64], period_ns: int, length: int
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the places of each tick's window (N, T), oldest first, and which of them exist (N, T).

    `ticks_ns` (N,): the ticks of an episode, strictly increasing. Before its beginning, and that of the ticks without
    a gap, a window repeats the first tick.
    """
    places = np.arange(len(ticks_ns))
    begins = np.ones(len(ticks_ns), dtype=bool)
    begins[1:] = 2 * np.diff(ticks_ns) > 3 * period_ns  # as `follows`
    starts = np.maximum.accumulate(np.where(begins, places, 0))
    windows = places[:, None] + np.arange(1 - length, 1)
    return np.maximum(windows, starts[:, None]), windows >= starts[:, None]
