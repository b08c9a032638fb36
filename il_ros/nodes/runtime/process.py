"""Operating-system settings of a node's process. Imports no ROS, because it must run first."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
from pathlib import Path

DDS_PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
DDS_PROFILE_VARIABLES = (DDS_PROFILE_VARIABLE, "FASTDDS_DEFAULT_PROFILES_FILE")
DDS_PROFILE = Path(__file__).with_name("fastdds.xml")

# glibc's mallopt parameters (malloc.h)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 32 * 1024 * 1024  # the largest mmap threshold that every glibc accepts


def set_dds_profile() -> None:
    """Select the packaged Fast DDS profile by environment variable, unless the user selected another.

    Child processes inherit it. Other middlewares ignore it.
    """
    if not any(os.environ.get(name) for name in DDS_PROFILE_VARIABLES):
        os.environ[DDS_PROFILE_VARIABLE] = str(DDS_PROFILE)


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
