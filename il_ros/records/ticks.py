"""The messages of the trigger stream that start a tick: evenly spaced, at most `rate_hz` per second."""

from __future__ import annotations

from il_ros.core.synchroniser import AHEAD_NS, HISTORY_NS

AHEAD_OF_CLOCK_NS = AHEAD_NS + HISTORY_NS // 2
"""After a reset, simulated time jumps by a second, and a message may overtake the /clock that says so."""
CONFIRMED_BY = 3
"""Messages in a row, in one new time, that show that a stream's clock was set and not one stamp is wrong."""


class TriggerStamps:
    """Refuses single wrong stamps of the trigger stream: a tick far back or ahead discards the other streams.

    A stamp is wrong if it is more than `HISTORY_NS` before its predecessor although the node's clock did not go back,
    or newly more than `AHEAD_OF_CLOCK_NS` ahead of its arrival. `CONFIRMED_BY` messages in a row that agree with each
    other are a clock that was set: from the last of them on, they are right. Live and in a bag the same messages are
    refused.
    """

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None  # stamp and arrival of the last accepted message
        self._odd: tuple[int, int] | None = None  # of the last one, if it was refused
        self._odd_count = 0
        self.refused = 0
        """Number of refused messages."""

    def refusal(self, stamp_ns: int, arrival_ns: int) -> str:
        """Return why a message starts no tick, "" if it may; call once per message of the stream, in order.

        `arrival_ns`: the time on the node's clock, in a bag the log time; 0 before simulated time has begun.
        """
        reason = self._fault(stamp_ns, arrival_ns)
        if reason:
            agrees = (
                self._odd is not None
                and abs(_offset(stamp_ns, arrival_ns) - _offset(*self._odd)) <= HISTORY_NS
            )
            self._odd_count = self._odd_count + 1 if agrees else 1
            self._odd = stamp_ns, arrival_ns
            if self._odd_count < CONFIRMED_BY:
                self.refused += 1
                return reason
        self._odd, self._odd_count = None, 0
        self._last = stamp_ns, arrival_ns
        return ""

    def _fault(self, stamp_ns: int, arrival_ns: int) -> str:
        ahead_ns = _offset(stamp_ns, arrival_ns)
        if self._last is not None:
            last_stamp_ns, last_arrival_ns = self._last
            back_ns = last_stamp_ns - stamp_ns
            if back_ns > HISTORY_NS and last_arrival_ns - arrival_ns <= HISTORY_NS:
                return f"stamped {back_ns / 1e9:.3f} s before the one before it"
            if abs(ahead_ns - _offset(*self._last)) <= HISTORY_NS:
                return ""  # it has always been ahead
        if arrival_ns > 0 and ahead_ns > AHEAD_OF_CLOCK_NS:
            return f"stamped {ahead_ns / 1e9:.3f} s after it arrived"
        return ""


def _offset(stamp_ns: int, arrival_ns: int) -> int:
    return stamp_ns - arrival_ns


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
