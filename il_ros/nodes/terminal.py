"""Single keys from the terminal this process runs in, over SSH too; imports no ROS."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator


class NoTerminalError(OSError):
    """Standard input is no terminal: there are no keys to read."""


@contextlib.contextmanager
def keys() -> Iterator[Terminal]:
    """Read keys without Enter and without echo; the terminal is put back as it was, whatever happens.

    Ctrl-C stays a signal. Raises NoTerminalError when standard input is not a terminal (ros2 launch, a pipe).
    """
    descriptor = sys.stdin.fileno()
    if not os.isatty(descriptor):
        raise NoTerminalError(
            "standard input is no terminal: start it in one of its own, not from a launch file"
        )
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield Terminal(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class Terminal:
    """Keys waiting, and one status line that is written over."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._shown = ""

    def pressed(self) -> list[str]:
        """Return the keys pressed since the last call, without waiting; arrows as their escape sequences."""
        text = ""
        while select.select([self._descriptor], [], [], 0)[0]:
            block = os.read(self._descriptor, 1024)
            if not block:  # the terminal has gone: it stays readable for ever
                break
            text += block.decode(errors="ignore")
        return split_keys(text)

    def show(self, line: str) -> None:
        """Write the status line over the one of before."""
        if line != self._shown:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            self._shown = line


def split_keys(text: str) -> list[str]:
    """Return single keys: letters, and the arrows' escape sequences ESC [ A (some send ESC O A)."""
    found, place = [], 0
    while place < len(text):
        sequence = (
            text[place] == "\x1b" and text[place + 1 : place + 2] in ("[", "O") and len(text) > place + 2
        )
        if sequence:
            found.append("\x1b[" + text[place + 2])
        else:
            found.append(text[place])
        place += 3 if sequence else 1
    return found
