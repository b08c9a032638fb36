"""Which messages of the trigger stream start a tick: at most `rate_hz` of them, evenly."""

from __future__ import annotations

from il_ros.core.synchroniser import HISTORY_NS


class Ticks:
    """Chooses ticks among the stamps of a stream that may be faster than the control rate.

    Ticks stay on a grid of one period: of the stamps around a grid point, the one nearest to it is the tick.
    A message that comes late, stamped before one that was here already, is no tick. After a gap longer than a
    period, or when a clock was set back (by more than the synchroniser remembers), the grid starts afresh.
    """

    def __init__(self, period_ns: int) -> None:
        if period_ns <= 0:
            raise ValueError(f"period_ns must be positive, not {period_ns}")
        self._period_ns = period_ns
        self._due_ns: int | None = None
        self._last_stamp_ns = 0

    def starts(self, stamp_ns: int) -> bool:
        """Tell whether the message stamped `stamp_ns` is a tick; ask once for each message, in order."""
        interval_ns = stamp_ns - self._last_stamp_ns
        if -HISTORY_NS <= interval_ns < 0:
            return False
        self._last_stamp_ns = stamp_ns
        if self._due_ns is None or interval_ns < 0 or stamp_ns > self._due_ns + self._period_ns:
            self._due_ns = stamp_ns + self._period_ns
            return True
        early_ns = self._due_ns - stamp_ns
        if interval_ns == 0 or 2 * early_ns > min(interval_ns, self._period_ns):
            return False  # the next message will be nearer
        self._due_ns += self._period_ns
        return True
