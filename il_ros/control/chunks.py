"""Playing a chunk: which of its steps is due now."""

from __future__ import annotations


def step_due(stamp_ns: int, time_ns: int, period_ns: int) -> int:
    """Return the step k >= 0 that is in force at `time_ns`, of a chunk whose step 0 is for `stamp_ns`.

    Step k holds from `stamp_ns` + k periods until the next. A tick that comes up to a tenth of a period early
    (timers jitter) counts as its own.
    """
    return max(0, (time_ns - stamp_ns + period_ns // 10) // period_ns)
