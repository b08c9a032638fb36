"""The steady clock that notices silence, and the allowance of motion that no burst can widen."""

from __future__ import annotations


class Watchdog:
    """Tells when a decision is overdue. Steady nanoseconds, because /clock can stop.

    After a decision for a proposal it waits `silence_ns` for the next. Once silence has been noticed,
    decisions follow half a control period quicker: with the 1.5 periods of a robot, once a period.
    """

    def __init__(self, silence_ns: int, period_ns: int):
        if silence_ns < period_ns:
            raise ValueError(f"a silence of {silence_ns} ns is shorter than a control period, {period_ns} ns")
        self._silence_ns, self._repeat_ns, self._period_ns = (
            silence_ns,
            silence_ns - period_ns // 2,
            period_ns,
        )
        self._due_ns: int | None = None
        self.latest_s = 0.0
        """How late past the due time the timer looked, at worst."""

    def fed(self, steady_ns: int) -> None:
        """Note that a proposal was answered."""
        self._due_ns = steady_ns + self._silence_ns

    def overdue(self, steady_ns: int) -> bool:
        """Tell whether it is time to decide without a proposal; if so, the next time is set."""
        if self._due_ns is None:
            self._due_ns = steady_ns + self._silence_ns
        late_ns = steady_ns - self._due_ns
        if late_ns < 0:
            return False
        self.latest_s = max(self.latest_s, late_ns / 1e9)
        # keep the pace of the due times, unless the timer itself was held up
        self._due_ns = self._repeat_ns + (self._due_ns if late_ns < self._period_ns // 2 else steady_ns)
        return True


class StepBudget:
    """How much time the next command may move through.

    Ticks say how far apart two commands should be (their stamps don't jitter); the clocks say how much time
    has really passed. Time passed is saved, up to 1.25 periods, and spent by commands, so that jitter costs
    nothing and a burst of late proposals can't move the robot by several periods at once.
    """

    def __init__(self, period_ns: int):
        self._period_ns = period_ns
        self.clear()

    def clear(self) -> None:
        """Begin anew: the next step is a whole period, as after a pause in which nothing was sent."""
        self._saved_ns = self._period_ns
        self._stamp_ns = self._now_ns = self._steady_ns = 0

    def spend(self, stamp_ns: int, now_ns: int, steady_ns: int) -> float:
        """Return the step's length in seconds, from the last command to this one; at most one period.

        `now_ns` is the node's clock and may stand still or jump; `steady_ns` goes on.
        """
        if not self._steady_ns:
            wanted = self._period_ns
        else:
            steady_passed = steady_ns - self._steady_ns
            passed = max(now_ns - self._now_ns, steady_passed)
            self._saved_ns = min(self._saved_ns + max(0, passed), self._period_ns + self._period_ns // 4)
            ticks_apart = stamp_ns - self._stamp_ns
            wanted = ticks_apart if ticks_apart > 1 else steady_passed
        step_ns = max(0, min(wanted, self._period_ns, self._saved_ns))
        self._saved_ns -= step_ns
        self._stamp_ns, self._now_ns, self._steady_ns = stamp_ns, now_ns, steady_ns
        return step_ns / 1e9
