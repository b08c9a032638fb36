"""Playback of an action chunk: the step that is due at a given time."""

from __future__ import annotations


def step_due(stamp_ns: int, time_ns: int, period_ns: int) -> int:
    """Return the index k >= 0 of the step due at `time_ns` in a chunk whose step 0 is for `stamp_ns`.

    Step k is due from `stamp_ns` + k periods until step k + 1. A tolerance of a tenth of a period absorbs the
    jitter of timers that fire early.
    """
    return max(0, (time_ns - stamp_ns + period_ns // 10) // period_ns)
