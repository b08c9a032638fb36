"""Windows of past ticks: which ticks a policy sees at a tick, live and in recorded episodes.

A window has the newest tick and those before it, as long as each follows its predecessor within one and a half
periods. `TickWindow` and `window_frames` choose the same ticks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Observation = Mapping[str, np.ndarray[Any, Any]]


def follows(before_ns: int, after_ns: int, period_ns: int) -> bool:
    """Return whether one tick is the successor of another: later, by at most 1.5 periods."""
    return 0 < 2 * (after_ns - before_ns) <= 3 * period_ns


class TickWindow:
    """Keeps the observations of the last `length` ticks without a gap; the caller of a policy holds one."""

    def __init__(self, length: int, period_ns: int) -> None:
        self._ticks: deque[Observation] = deque(maxlen=length)
        self._period_ns = period_ns
        self._last_ns: int | None = None

    def push(self, tick_ns: int, observation: Observation) -> tuple[Observation, ...]:
        """Add a tick and return the window, oldest first; after a gap it has this tick only."""
        if self._last_ns is not None and not follows(self._last_ns, tick_ns, self._period_ns):
            self._ticks.clear()
        self._last_ns = tick_ns
        self._ticks.append(observation)
        return tuple(self._ticks)

    def lengthen(self, length: int) -> None:
        """Keep at least `length` ticks from now on; what is kept stays."""
        if length > (self._ticks.maxlen or 0):
            self._ticks = deque(self._ticks, maxlen=length)


def window_frames(
    runs: Sequence[slice], frames: int, length: int
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the frames of each frame's window (N, T), oldest first, and which of them exist (N, T).

    `runs`: the slices of frames without a gap. Before the beginning of its run, a window repeats the first frame.
    """
    starts = np.zeros(frames, dtype=np.intp)
    for run in runs:
        starts[run] = run.start
    places = np.arange(frames)[:, None] + np.arange(1 - length, 1)
    return np.maximum(places, starts[:, None]), places >= starts[:, None]
