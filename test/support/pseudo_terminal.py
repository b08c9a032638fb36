"""A process in its own pseudo-terminal, as over SSH: type keys, read the screen."""

import contextlib
import os
import pty
import select
import subprocess
import termios
import time


class InTerminal:
    """A command that runs in an interactive terminal."""

    def __init__(self, command):
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
