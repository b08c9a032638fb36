"""The watchdog that detects silence on the steady clock, and the time budget of each command."""

from __future__ import annotations


class Watchdog:
    """Detects overdue decisions. Times are steady nanoseconds, because /clock can stop.

    A decision is overdue `silence_ns` after the last proposal was answered. While the silence lasts, the next
    one is due half a control period sooner: with the usual 1.5 periods, that is once per period.
    Raises ValueError when `silence_ns` is shorter than a control period.
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
        """Largest delay of `overdue` calls past the due time, in seconds."""

    def feed(self, steady_ns: int) -> None:
        """Restart the wait: a proposal was answered."""
        self._due_ns = steady_ns + self._silence_ns

    def overdue(self, steady_ns: int) -> bool:
        """Return whether a decision without a proposal is due; if so, schedule the next one."""
        if self._due_ns is None:
            self._due_ns = steady_ns + self._silence_ns
        late_ns = steady_ns - self._due_ns
        if late_ns < 0:
            return False
        self.latest_s = max(self.latest_s, late_ns / 1e9)
        # keep the rhythm of the due times, unless the timer itself was delayed
        self._due_ns = self._repeat_ns + (self._due_ns if late_ns < self._period_ns // 2 else steady_ns)
        return True


class StepBudget:
    """The time step dt that the next command may use.

    The stamps of ticks give the nominal interval between commands, without jitter; the robot's clock gives the
    elapsed time: the steady clock, or with `simulated` the node's clock, because a simulator may run faster or
    slower than real time. Elapsed time is saved, up to 1.25 periods, and commands spend it. So jitter does not
    shorten the motion, and neither a burst of proposals nor a stamp ahead of the clock adds to it.
    """

    def __init__(self, period_ns: int, *, simulated: bool = False):
        self._period_ns, self._simulated = period_ns, simulated
        self.clear()

    def clear(self) -> None:
        """Reset the budget: the next step is a whole period, as after a pause without commands."""
        self._saved_ns = self._period_ns
        self._stamp_ns = 0
        self._clock_ns: int | None = None

    def spend(self, stamp_ns: int, now_ns: int, steady_ns: int) -> float:
        """Return the time step in seconds, from the last command to this one; at most one period.

        `now_ns` is the node's clock and may stop or jump; `steady_ns` is monotonic.
        """
        clock_ns = now_ns if self._simulated else steady_ns
        if self._clock_ns is None:
            wanted = self._period_ns
        else:
            passed = max(0, clock_ns - self._clock_ns)
            self._saved_ns = min(self._saved_ns + passed, self._period_ns + self._period_ns // 4)
            ticks_apart = stamp_ns - self._stamp_ns
            wanted = ticks_apart if ticks_apart > 1 else passed
        step_ns = max(0, min(wanted, self._period_ns, self._saved_ns))
        self._saved_ns -= step_ns
        self._stamp_ns, self._clock_ns = stamp_ns, clock_ns
        return step_ns / 1e9
