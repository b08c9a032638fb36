"""What commands that run for long have in common: idle priority, and an end by a signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def lower_priority() -> None:
    """Run at idle priority, so that a control loop on the same computer keeps its period."""
    os.nice(19)  # 19 is the maximum: a second call changes nothing
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function: True after SIGINT or SIGTERM. A second signal raises KeyboardInterrupt."""
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
