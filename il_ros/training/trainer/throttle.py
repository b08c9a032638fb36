"""When a training beside the control loop must pause: the loop's decisions come late.

Lateness is a share of the tick period, the usual distance of the ticks. It is the worst of three: a
decision's time minus its tick's, beyond the least of late (the robot's own latency); a tick left out; and
how much longer than usual the decision was waited for, since a simulated clock stands still while
everybody is late.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass

BREAK_NS = 1_000_000_000
"""After so long without a decision the loop stood still by intention: what was measured before is void."""
ENOUGH = 5
"""Decisions without which there is no judgement."""
FAST = 2.0
"""A simulation that runs faster than so many times real time is hurrying: nobody can be late in it."""


@dataclass(frozen=True)
class ThrottleLimits:
    """Pause when `many` of the last `window` decisions were later than `pause_above` periods.

    Resume when `window` decisions in a row were earlier than `resume_below`, and in any case after
    `longest_s`: if pausing doesn't help, the training isn't the cause; it then runs for `least_s` at least.
    """

    pause_above: float = 0.5
    resume_below: float = 0.25
    window: int = 20
    many: int = 3
    longest_s: float = 5.0
    least_s: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.resume_below <= self.pause_above:
            raise ValueError(
                f"0 < resume_below <= pause_above is needed, not {self.resume_below} and {self.pause_above}"
            )
        if not 1 <= self.many <= self.window:
            raise ValueError(f"1 <= many <= window is needed, not {self.many} and {self.window}")
        if self.longest_s <= 0 or self.least_s < 0:
            raise ValueError(f"longest_s above 0 and least_s from 0 are needed: {self}")


class Throttle:
    """Hears decisions, and tells whether to pause now. Times are seconds of a steady clock."""

    def __init__(self, limits: ThrottleLimits | None = None) -> None:
        self._limits = ThrottleLimits() if limits is None else limits
        self._delays_ns: deque[int] = deque(maxlen=4 * self._limits.window)
        self._gaps_ns: deque[int] = deque(maxlen=4 * self._limits.window)
        self._late: deque[float] = deque(maxlen=self._limits.window)
        self._waits_s: deque[float] = deque(maxlen=4 * self._limits.window)
        self._stamp_ns, self._heard_s = 0, 0.0
        self._since_s = -1e9  # of the present state
        self._in_time = 0  # decisions in a row
        self.paused = False
        self.pauses = 0

    @property
    def lateness(self) -> float:
        """The worst of the last decisions, in periods."""
        return max(self._late, default=0.0)

    def hear(self, stamp_ns: int, sent_ns: int, now_s: float) -> bool:
        """Take in a decision for the tick `stamp_ns` that was sent at `sent_ns`; return whether to pause."""
        gap_ns = stamp_ns - self._stamp_ns
        if not 0 < gap_ns < BREAK_NS:
            self._delays_ns.clear()
            self._gaps_ns.clear()
            self._waits_s.clear()
            self._late.clear()
        else:
            self._gaps_ns.append(gap_ns)
            self._waits_s.append(now_s - self._heard_s)
        self._stamp_ns, self._heard_s = stamp_ns, now_s
        self._delays_ns.append(sent_ns - stamp_ns)
        if len(self._gaps_ns) >= ENOUGH:
            period_ns = statistics.median(self._gaps_ns)
            delay_ns = self._delays_ns[-1] - min(self._delays_ns)
            late = max(delay_ns, gap_ns - period_ns) / period_ns  # a tick left out makes the next one late
            usual_s = statistics.median(self._waits_s)
            if usual_s * FAST > period_ns / 1e9:
                late = max(late, (self._waits_s[-1] - usual_s) / usual_s)
            self._late.append(late)
            self._in_time = self._in_time + 1 if late < self._limits.resume_below else 0
        return self.look(now_s)

    def look(self, now_s: float) -> bool:
        """Return whether to pause, also when no decision came."""
        limits = self._limits
        lasted_s = now_s - self._since_s
        if self.paused:
            if self._in_time >= limits.window or lasted_s >= limits.longest_s:
                self._change(False, now_s)
        else:
            many = sum(late > limits.pause_above for late in self._late) >= limits.many
            if many and lasted_s >= limits.least_s:
                self._change(True, now_s)
                self.pauses += 1
        return self.paused

    def _change(self, paused: bool, now_s: float) -> None:
        self.paused, self._since_s, self._in_time = paused, now_s, 0
        self._late.clear()
