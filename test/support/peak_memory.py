"""The most memory that a piece of code takes."""

import ctypes
import re
from collections.abc import Callable
from pathlib import Path


def peak_bytes(code: Callable[[], object]) -> int:
    """Return how much the resident memory of this process grew at most while `code` ran.

    The kernel counts, so that the code runs at its usual speed; `tracemalloc` makes a parser five times as slow.
    """
    ctypes.CDLL(None).malloc_trim(0)  # free memory that is still resident would hide what the code takes
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again, see proc(5)
    before = _resident("VmRSS")
    code()
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    (found,) = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(found)
