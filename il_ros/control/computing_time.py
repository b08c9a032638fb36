"""Whether a policy is fast enough to compute between two messages, by how long its last answers took."""

from __future__ import annotations

from collections import deque

WINDOW = 16
"""Number of answers that count: a policy that computes a chunk for every eighth tick is slow at two of them."""
FEWEST = 4
"""Number of answers before a policy counts as fast."""
TOLERATED = 1
"""Number of slow answers in the window that say nothing: the process was without a processor for a while."""


class ComputingTime:
    """Measures a policy's answers. `.beside`: whether it has to compute beside the streams.

    A policy is slow when more than one of its last answers took longer than `limit_s`, and fast again when at most one
    took longer than half of that. An unknown policy counts as slow, so that not even its first answer blocks the
    reception of messages. A policy that `waits` for another process always computes beside the streams.
    Raises ValueError when `limit_s` is not positive.
    """

    def __init__(self, limit_s: float, *, waits: bool = False) -> None:
        if not limit_s > 0:
            raise ValueError(f"limit_s must be above 0, not {limit_s}")
        self._limit_s, self.waits = limit_s, waits
        self._recent_s: deque[float] = deque(maxlen=WINDOW)
        self.beside = True

    @property
    def expected_s(self) -> float:
        """How long an answer takes: the longest of the last ones but `TOLERATED`; 0 before any."""
        recent_s = sorted(self._recent_s)
        return recent_s[max(0, len(recent_s) - 1 - TOLERATED)] if recent_s else 0.0

    def add(self, *seconds: float) -> None:
        """Add the computing times of answers, in order."""
        for each in seconds:
            self._add(each)

    def _add(self, seconds: float) -> None:
        self._recent_s.append(seconds)
        most_s = self._limit_s / 2 if self.beside else self._limit_s
        if not self.beside and seconds <= most_s:
            return  # at most ticks
        slow = sum(each > most_s for each in self._recent_s) > TOLERATED
        self.beside = self.waits or slow or len(self._recent_s) < FEWEST
