"""Throttling: pauses training while the control loop's decisions are late.

Lateness is in tick periods (the period is the median tick interval) and is the largest of three: the delay
from tick to decision, minus its recent minimum (the constant latency of the robot); the time of missed ticks;
and the extra wall-clock wait for a decision, because a simulated clock stops while all nodes are late.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass

BREAK_NS = 1_000_000_000
"""A gap of this length is an intentional break: earlier measurements are discarded."""
ENOUGH = 5
"""Minimum number of tick intervals for a lateness estimate."""
FAST = 2.0
"""Above this real-time factor a simulation runs as fast as it can, and wall-clock waits are ignored."""


@dataclass(frozen=True)
class ThrottleLimits:
    """Pause if at least `many` of the last `window` decisions were later than `pause_above` periods.

    Resume when `window` decisions in a row were earlier than `resume_below` periods, and in any case after
    `longest_s`: if pausing does not help, training is not the cause. Training then runs for at least
    `least_s`. Raises ValueError on contradictory limits.
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
                f"0 < resume_below <= pause_above is required, not {self.resume_below} and {self.pause_above}"
            )
        if not 1 <= self.many <= self.window:
            raise ValueError(f"1 <= many <= window is required, not {self.many} and {self.window}")
        if self.longest_s <= 0 or self.least_s < 0:
            raise ValueError(f"longest_s > 0 and least_s >= 0 is required: {self}")


class Throttle:
    """Decides from the decisions' lateness whether to pause. Times are seconds of a monotonic clock."""

    def __init__(self, limits: ThrottleLimits | None = None) -> None:
        self._limits = ThrottleLimits() if limits is None else limits
        self._delays_ns: deque[int] = deque(maxlen=4 * self._limits.window)
        self._gaps_ns: deque[int] = deque(maxlen=4 * self._limits.window)
        self._late: deque[float] = deque(maxlen=self._limits.window)
        self._waits_s: deque[float] = deque(maxlen=4 * self._limits.window)
        self._stamp_ns, self._received_s = 0, 0.0
        self._since_s = -1e9  # start of the current state
        self._in_time = 0  # consecutive decisions in time
        self.paused = False
        self.pauses = 0

    @property
    def lateness(self) -> float:
        """The largest lateness in the window, in periods."""
        return max(self._late, default=0.0)

    def observe(self, stamp_ns: int, sent_ns: int, now_s: float) -> bool:
        """Process a decision for the tick `stamp_ns`, sent at `sent_ns`; return whether to pause."""
        gap_ns = stamp_ns - self._stamp_ns
        if not 0 < gap_ns < BREAK_NS:
            self._delays_ns.clear()
            self._gaps_ns.clear()
            self._waits_s.clear()
            self._late.clear()
        else:
            self._gaps_ns.append(gap_ns)
            self._waits_s.append(now_s - self._received_s)
        self._stamp_ns, self._received_s = stamp_ns, now_s
        self._delays_ns.append(sent_ns - stamp_ns)
        if len(self._gaps_ns) >= ENOUGH:
            period_ns = statistics.median(self._gaps_ns)
            delay_ns = self._delays_ns[-1] - min(self._delays_ns)
            late = max(delay_ns, gap_ns - period_ns) / period_ns  # a missed tick makes the next one late
            usual_s = statistics.median(self._waits_s)
            if usual_s * FAST > period_ns / 1e9:
                late = max(late, (self._waits_s[-1] - usual_s) / usual_s)
            self._late.append(late)
            self._in_time = self._in_time + 1 if late < self._limits.resume_below else 0
        return self.update(now_s)

    def update(self, now_s: float) -> bool:
        """Return whether to pause; call it regularly, also while no decisions arrive."""
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
