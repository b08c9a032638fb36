"""Playback of an action chunk: the step that is due at a given time, and the steps that are left at a tick."""

from __future__ import annotations

from il_ros.core.specs import Vector


def step_due(stamp_ns: int, time_ns: int, period_ns: int) -> int:
    """Return the index k >= 0 of the step due at `time_ns` in a chunk whose step 0 is for `stamp_ns`.

    Step k is due from `stamp_ns` + k periods until step k + 1. A tolerance of a tenth of a period absorbs the
    jitter of timers that fire early.
    """
    return max(0, (time_ns - stamp_ns + period_ns // 10) // period_ns)


def steps_left(chunk: Vector, observed_ns: int, tick_ns: int, period_ns: int) -> Vector:
    """Return the steps (K, A) of a chunk (H, A) from the one for the tick `tick_ns` on; K is 0 when all have passed.

    `observed_ns`: the tick that the chunk answers, so that its step 0 is for this one. Ticks jitter around a grid of
    `period_ns`, so the step is that of the nearest point of the grid.
    """
    passed = max(0, round((tick_ns - observed_ns) / period_ns))
    return chunk[passed:] if passed else chunk
