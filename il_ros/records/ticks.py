"""The messages of the trigger stream that start a tick: evenly spaced, at most `rate_hz` per second."""

from __future__ import annotations

from il_ros.core.synchroniser import HISTORY_NS


class Ticks:
    """Selects ticks from the stamps of a stream that may be faster than the control rate.

    Ticks follow a grid of one period: the stamp nearest to a grid point is the tick. A message stamped before
    its predecessor is not a tick. The grid restarts after a gap of more than a period, and when the clock was
    set back by more than `HISTORY_NS`. Raises ValueError when `period_ns` is not positive.
    """

    def __init__(self, period_ns: int) -> None:
        if period_ns <= 0:
            raise ValueError(f"period_ns must be positive, not {period_ns}")
        self._period_ns = period_ns
        self._due_ns: int | None = None
        self._last_stamp_ns = 0

    def starts(self, stamp_ns: int) -> bool:
        """Return whether the message stamped `stamp_ns` is a tick; call once per message, in order."""
        interval_ns = stamp_ns - self._last_stamp_ns
        if -HISTORY_NS <= interval_ns < 0:
            return False
        self._last_stamp_ns = stamp_ns
        if self._due_ns is None or interval_ns < 0 or stamp_ns > self._due_ns + self._period_ns:
            self._due_ns = stamp_ns + self._period_ns
            return True
        early_ns = self._due_ns - stamp_ns
        if interval_ns == 0 or 2 * early_ns > min(interval_ns, self._period_ns):
            return False  # the next message is nearer to the grid point
        self._due_ns += self._period_ns
        return True
