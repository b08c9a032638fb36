"""What a child process does before its own work: it cannot outlive its parent, and it waits for its group's start."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket

GATE_VARIABLE = "IL_ROS_GATE"
"""Descriptor of the socket at which a child waits."""
READY, GO = b"r", b"g"
"""What the child writes to the socket when it waits, and what lets it go on."""

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def prepare_child(at_parents_end: int = signal.SIGKILL) -> None:
    """Set up a new child: a signal when the thread that created it ends, and default handling of SIGINT."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, at_parents_end)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # background jobs of a shell inherit SIG_IGN


def pass_gate() -> bool:
    """Wait until the group of this process starts; return False if it does not, and at once True without a gate."""
    gate = os.environ.pop(GATE_VARIABLE, "")
    if not gate:
        return True
    with socket.socket(fileno=int(gate)) as opened:
        try:
            with contextlib.suppress(BrokenPipeError):  # the gate was opened and closed before
                opened.sendall(READY)
            return opened.recv(1) == GO
        except OSError:  # the launcher has ended
            return False
