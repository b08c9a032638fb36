"""Read single keys from the process's terminal, also over SSH; imports no ROS."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator

from il_ros.core.processes import stopping
from il_ros.core.processes.stopping import leave_lost_terminal

ALWAYS = (" ", "\x04")
"""Keys that count whenever they are pressed: the emergency stop, and ctrl-D, which ends."""
TOO_EARLY = "keys pressed before this console was ready have no effect"
NO_TERMINAL = "standard input is not a terminal: start the node in its own terminal, not from a launch file"


class NoTerminalError(OSError):
    """Standard input is not a terminal, so no keys can be read."""


@contextlib.contextmanager
def keys() -> Iterator[Terminal]:
    """Read keys without Enter and without echo; the terminal settings are always restored.

    Ctrl-C stays a signal. Raises NoTerminalError when standard input is not a terminal (ros2 launch, a pipe).
    """
    descriptor = sys.stdin.fileno()
    if not os.isatty(descriptor):
        raise NoTerminalError(NO_TERMINAL)
    found = Terminal(descriptor)
    with _single_keys(descriptor, found):
        yield found


@contextlib.contextmanager
def keys_or_none(*, anywhere: bool = False) -> Iterator[Terminal | None]:
    """Read keys as `keys` does; None without a terminal.

    `anywhere`: use the controlling terminal when standard input is not a terminal (a node of a launch file).
    """
    with contextlib.ExitStack() as stack:
        found = None
        with contextlib.suppress(NoTerminalError):
            found = stack.enter_context(keys())
        if found is None and anywhere:
            with contextlib.suppress(OSError):
                descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
                stack.callback(os.close, descriptor)
                found = Terminal(descriptor, descriptor)
                stack.enter_context(_single_keys(descriptor, found))
        yield found


@contextlib.contextmanager
def _single_keys(descriptor: int, terminal: Terminal) -> Iterator[None]:
    """Read single keys inside the context, also after a suspension (Ctrl-Z) and `fg`.

    Before the process is suspended, `terminal.on_suspend` is called and the terminal restored for the shell. Where no
    shell could continue it (`ssh -t`, a container), it is not suspended.
    """
    before = termios.tcgetattr(descriptor)

    def restore() -> None:
        with contextlib.suppress(termios.error, OSError):  # the terminal was closed
            termios.tcsetattr(descriptor, termios.TCSANOW, before)

    def suspend(*_: object) -> None:
        try:
            terminal.on_suspend()
        finally:
            restore()
            stopping.suspend()
            resume()  # it was not suspended, or has been continued

    def resume(*_: object) -> None:
        with contextlib.suppress(termios.error, OSError):
            tty.setcbreak(descriptor)
        terminal.redraw()

    handlers = {
        number: signal.signal(number, handler)
        for number, handler in ((signal.SIGTSTP, suspend), (signal.SIGCONT, resume))
    }
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        restore()


class Terminal:
    """Pending keys, and a status overwritten in place; `screen`: output descriptor, default stderr."""

    def __init__(self, descriptor: int, screen: int | None = None) -> None:
        self._descriptor = descriptor
        self._screen = screen
        self._shown = ""
        self._lost, self._begun = False, False
        self._kept: list[str] = []
        self.on_suspend: Callable[[], None] = lambda: None
        """Called before the process is suspended, and when the terminal is lost: nobody can press a key."""

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self._size().columns or 80

    @property
    def height(self) -> int:
        """Lines of the terminal."""
        return self._size().lines or 24

    def pressed(self) -> list[str]:
        """Return the keys pressed since the last call, without waiting; arrows as their escape sequences.

        Of those pressed before the first line was shown only those of `ALWAYS`: a key that was pressed while the nodes
        started must not move the robot seconds later.
        """
        self._begin()
        kept, self._kept = self._kept, []
        return kept + self._pending()

    def _begin(self) -> None:
        """Drop the keys that were pressed before this terminal showed anything, but for those of `ALWAYS`."""
        if self._begun:
            return
        self._begun = True
        early = self._pending()
        self._kept = [key for key in early if key in ALWAYS]
        if len(self._kept) < len(early):
            self.say(TOO_EARLY)

    def _pending(self) -> list[str]:
        text = ""
        while select.select([self._descriptor], [], [], 0)[0]:
            try:
                block = os.read(self._descriptor, 1024)
            except OSError:
                block = b""
            if not block:  # a closed terminal stays readable
                self._lose()
                break
            text += block.decode(errors="ignore")
        return split_keys(text)

    def _lose(self) -> None:
        """End this process as a hang-up does: the kernel sends one only where the terminal controls the process."""
        if not self._lost:
            self._lost = True
            self.on_suspend()
            os.kill(os.getpid(), signal.SIGHUP)

    def show(self, text: str) -> None:
        """Replace the status, which may have several lines."""
        self._begin()
        if text != self._shown:
            self._write(f"{self._back()}{_erasing(text)}")
            self._shown = text

    def say(self, line: str) -> None:
        """Write a permanent line above the status."""
        self._begin()
        self._write(f"{self._back()}{_erasing(line)}\n{_erasing(self._shown)}")

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Take the status away, and show it again below what is written to the terminal inside the context."""
        if not self._shown:
            yield
            return
        self._write(f"{self._back()}{_erasing('')}")
        try:
            yield
        finally:
            self.redraw()

    def redraw(self) -> None:
        """Show the status again, for example after the shell wrote to the terminal."""
        shown, self._shown = self._shown, ""
        with contextlib.suppress(OSError):
            self.show(shown)

    def ring(self, times: int) -> None:
        """Ring the bell."""
        self._write("\a" * times)

    def _size(self) -> os.terminal_size:
        """Return columns and lines, 0 if unknown."""
        try:
            return os.get_terminal_size(self._descriptor)
        except OSError:
            return os.terminal_size((0, 0))

    def _back(self) -> str:
        """Return the escape sequence that moves the cursor to the start of the status."""
        lines = self._shown.count("\n")
        return f"\r\x1b[{lines}A" if lines else "\r"

    def _write(self, text: str) -> None:
        try:
            if self._screen is not None:
                os.write(self._screen, text.encode())
            else:
                sys.stderr.write(text)
                sys.stderr.flush()
        except OSError:  # the terminal was closed; SIGHUP stops the node
            leave_lost_terminal()


def _erasing(text: str) -> str:
    """Return `text` with erasing sequences after each line; writing first avoids flicker."""
    return text.replace("\n", "\x1b[K\n") + "\x1b[J"


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
