"""A process in its own pseudo-terminal, as over SSH: type keys, read the screen."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

_SHELL = """
import os, signal, sys
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a group in the background may not take the terminal otherwise
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
"""
"""Runs a command as a shell with job control does: as a group of its own, which Ctrl-Z suspends."""

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class InTerminal:
    """A command that runs in an interactive terminal; `patience_s`: the longest wait for words on its screen.

    `shell`: a shell has started it, which can continue it after Ctrl-Z; otherwise it is alone, as in `ssh -t`.
    """

    def __init__(self, command, patience_s=60, *, shell=False):
        self.patience_s = patience_s
        self.controller, terminal = pty.openpty()
        self.before = termios.tcgetattr(terminal)
        if shell:
            command = [sys.executable, "-c", _SHELL, *command]
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

    @property
    def state(self):
        """The state of the process in the foreground, such as S, or T if it is suspended."""
        status = Path(f"/proc/{os.tcgetpgrp(self.controller)}/stat").read_text()
        return status.rpartition(")")[2].split()[0]

    def continue_(self):
        """Continue it as `fg` does."""
        os.killpg(os.tcgetpgrp(self.controller), signal.SIGCONT)

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
