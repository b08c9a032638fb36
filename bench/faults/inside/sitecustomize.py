"""Python runs this in every node of the campaign (PYTHONPATH): a kill at a chosen point, and what reached the disk.

FAULT_POINT names a file that holds "EVENT PATTERN COUNT" while a point is armed: at the COUNT-th audit event EVENT
(`open`, `os.rename`, `os.link`, `os.remove`) since then, of which an argument's file name matches PATTERN, the process
kills itself by SIGKILL, before the system call. FAULT_SYNCED names a file that gets a line "BYTES PATH" for each file
that is flushed to the disk.
"""

import fnmatch
import os
import select
import signal
import sys
import time

_POINT, _SYNCED = os.environ.get("FAULT_POINT", ""), os.environ.get("FAULT_SYNCED", "")
_EVENTS = ("open", "os.rename", "os.link", "os.remove")
_met: dict[str, int] = {}
_reading = False


def _armed() -> str:
    """Return the armed point, "" if none."""
    try:
        if os.stat(_POINT).st_size == 0:
            return ""
        with open(_POINT, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _on_event(event: str, arguments: tuple[object, ...]) -> None:
    global _reading
    if event not in _EVENTS or _reading:
        return
    _reading = True
    try:
        point = _armed()
    finally:
        _reading = False
    if not point:
        return
    wanted, pattern, count = point.split()
    names = [
        os.path.basename(os.fsdecode(each))
        for each in arguments
        if isinstance(each, (str, bytes, os.PathLike))
    ]
    if event == wanted and any(fnmatch.fnmatch(name, pattern) for name in names):
        _met[point] = _met.get(point, 0) + 1
        if _met[point] >= int(count):
            os.kill(os.getpid(), signal.SIGKILL)


def _noting(flush):  # type: ignore[no-untyped-def]
    def noted(descriptor):  # type: ignore[no-untyped-def]
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        size = os.fstat(number).st_size
        flush(descriptor)
        with open(_SYNCED, "a", encoding="utf-8") as log:
            log.write(f"{size} {os.readlink(f'/proc/self/fd/{number}')}\n")

    return noted


if _POINT:
    sys.addaudithook(_on_event)
if _SYNCED:
    os.fsync, os.fdatasync = _noting(os.fsync), _noting(os.fdatasync)
if "FAKETIME_TIMESTAMP_FILE" in os.environ:
    # Python sleeps until a time of the steady clock (clock_nanosleep), with which libfaketime 0.9.10 cannot deal
    time.sleep = lambda seconds: select.select([], [], [], seconds) and None
