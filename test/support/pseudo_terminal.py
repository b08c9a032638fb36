"""A process in its own pseudo-terminal, as over SSH: type keys, read the screen."""

import contextlib
import os
import pty
import re
import select
import subprocess
import termios
import time

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class InTerminal:
    """A command that runs in an interactive terminal; `patience_s`: the longest wait for words on its screen."""

    def __init__(self, command, patience_s=60):
        self.patience_s = patience_s
        self.controller, terminal = pty.openpty()
        self.before = termios.tcgetattr(terminal)
        self.process = subprocess.Popen(
            command, stdin=terminal, stdout=terminal, stderr=terminal, preexec_fn=self._take_terminal
        )
        self.terminal = terminal
        self.screen = ""

    @staticmethod
    def _take_terminal():
        import fcntl

        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def type(self, keys):
        os.write(self.controller, keys.encode())

    def read(self):
        while select.select([self.controller], [], [], 0)[0]:
            self.screen += os.read(self.controller, 4096).decode(errors="replace")
        return self.screen

    @property
    def text(self):
        """The screen without colours."""
        return COLOUR.sub("", self.screen)

    def shows(self, *words, press=""):
        """Wait until one of `words` is on the screen; press the key `press` repeatedly, if given."""
        end_s = time.monotonic() + self.patience_s
        while not any(each in COLOUR.sub("", self.read()) for each in words):
            assert time.monotonic() < end_s, f"none of {words} on the screen: {self.screen[-3000:]}"
            assert self.process.poll() is None, self.screen[-3000:]
            if press:
                self.type(press)
            time.sleep(0.5 if press else 0.05)

    def begins(self, word):
        """Press n until `word` is shown: the first requests may be refused, with a message, while nodes start."""
        while word not in self.text:
            self.screen = ""
            self.type("n")
            self.shows(word, "refused")

    def wait(self, timeout_s=60):
        """Return the exit status; keeps reading, because a full terminal blocks the writer."""
        end_s = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < end_s, f"still running; screen: {self.screen}"
            self.read()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
        self.read()
        return self.process.returncode

    def hang_up(self):
        """Close the terminal, as a lost SSH connection does: the kernel sends SIGHUP to its processes."""
        os.close(self.controller)
        os.close(self.terminal)
        self.controller = self.terminal = None

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for descriptor in filter(None, (self.controller, self.terminal)):
            os.close(descriptor)
