"""Operating-system settings of a node's process. Imports no ROS, because it must run first."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import platform
import signal
from collections.abc import Iterator
from pathlib import Path

DDS_PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
DDS_PROFILE_VARIABLES = (DDS_PROFILE_VARIABLE, "FASTDDS_DEFAULT_PROFILES_FILE")
DDS_PROFILE = Path(__file__).with_name("fastdds.xml")
DDS_PROFILE_UDP = Path(__file__).with_name("fastdds_udp.xml")
_SHARED_MEMORY, _SHARED_BYTES = "/dev/shm", 36 << 20
"""What a node takes there: the segment of the profile, and its ports."""
NO_SHARED_MEMORY = (
    f"{_SHARED_MEMORY} has less than {_SHARED_BYTES >> 20} MiB free, which a node needs: this one goes without shared "
    "memory, and large images may be lost. Free space there, or enlarge it (Docker: --shm-size=1g), and start it again"
)

_WRITES_S = 0.5  # until all threads are written

# glibc's mallopt parameters (malloc.h)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 32 * 1024 * 1024  # the largest mmap threshold that every glibc accepts


def set_dds_profile() -> None:
    """Select the packaged Fast DDS profile by environment variable, unless the user selected another.

    Child processes inherit it, and look again. Other middlewares ignore it. Where /dev/shm has no room for a node, it
    is the profile without shared memory: Fast DDS would announce ports there that it could not create, and the node
    would find the others but hear nothing from them.
    """
    ours = (str(DDS_PROFILE), str(DDS_PROFILE_UDP))
    if all(os.environ.get(name, "") in ("", *ours) for name in DDS_PROFILE_VARIABLES):
        os.environ[DDS_PROFILE_VARIABLE] = ours[0] if _has_shared_memory() else ours[1]


def without_shared_memory() -> bool:
    """Return whether `set_dds_profile` selected the profile without shared memory."""
    return os.environ.get(DDS_PROFILE_VARIABLE) == str(DDS_PROFILE_UDP)


def _has_shared_memory() -> bool:
    try:
        found = os.statvfs(_SHARED_MEMORY)
    except OSError:  # another operating system
        return True
    return found.f_bavail * found.f_frsize >= _SHARED_BYTES


def keep_large_buffers() -> bool:
    """Make glibc keep freed image-sized buffers; return False without glibc.

    Otherwise each message above 128 kB is mapped, its pages faulted in, and unmapped again: a subscriber
    to three cameras spends 16 % of a core instead of 5 %.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES) and mallopt(_M_TRIM_THRESHOLD, 2 * _KEPT_BYTES))


def settle_objects() -> None:
    """Exempt all existing objects from Python's garbage collection; later objects are still collected.

    A full collection visits every object, which with torch loaded takes a tenth of a second or more: several
    ticks of a control loop. Only for a process's main program: existing reference cycles are never freed.
    """
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def ends_within(limit_s: float) -> Iterator[None]:
    """End this process by SIGALRM if the block takes longer; before that, write to stderr where its threads are.

    C code that keeps the interpreter's lock does not prevent it. Only for a process's main program, in its main thread.
    """
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    faulthandler.dump_traceback_later(limit_s)
    signal.setitimer(signal.ITIMER_REAL, limit_s + _WRITES_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def set_realtime(priority: int) -> str:
    """Schedule all threads of this process SCHED_FIFO at `priority` (1..99); return the problem, or ""."""
    if not hasattr(os, "sched_setscheduler"):
        return f"realtime_priority {priority} ignored: this system has no SCHED_FIFO"
    try:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(priority))
    except PermissionError:
        return (
            f"realtime_priority {priority} not permitted, normal scheduling stays: allow it with "
            f"`ulimit -r {priority}` (/etc/security/limits.conf: rtprio) or CAP_SYS_NICE"
        )
    return ""
