"""A process that has imported all that training needs, and does one `il-ros` command after another.

Importing torch takes seconds on a busy machine; between a correction and the policy that learnt from it they
count. A job of it looks like a `Job` of its own process.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from il_ros.training.trainer.job import Event, Output, begin_child, end_child, interrupt_child

ENDED = "ended"
"""The event, with its `status`, by which the process tells that a command is done."""


class Resident:
    """Keeps the process; when it has died, the next job has a new one. Call `close` to end.

    `warm_up()` starts it before there is a job. It dies with its parent.
    """

    def __init__(self, background: bool) -> None:
        self._background = background
        self._process: subprocess.Popen[bytes] | None = None
        self._output: Output | None = None

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The process, None before the first."""
        return self._process

    def warm_up(self) -> None:
        """See that there is a living process."""
        if self._process is not None and self._process.poll() is None:
            return
        self._release()
        words = ["-m", "il_ros.cli.resident", *(["--background"] if self._background else [])]
        self._process = begin_child([sys.executable, *words], stdin=subprocess.PIPE)
        assert self._process.stdout is not None
        self._output = Output(self._process.stdout)

    def begin(self, words: Sequence[str]) -> ResidentJob:
        """Have a command done; one at a time."""
        self.warm_up()
        for attempt in range(2):
            assert self._process is not None
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps(list(words)).encode() + b"\n")
                self._process.stdin.flush()
                break
            except BrokenPipeError:  # it died just now
                if attempt:
                    raise
                self._process.wait()
                self.warm_up()
        assert self._process is not None
        assert self._output is not None
        self._output.read()
        self._output.forget()
        return ResidentJob(self._process, self._output)

    def close(self) -> None:
        """End the process, by force: between two jobs it has nothing to save, and whoever leaves would wait.

        Taking idle time only, on a busy machine it would need seconds to leave by itself.
        """
        self._release()

    def _release(self) -> None:
        if self._process is not None and self._output is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                self._close_input(self._process.stdin)
            self._output.close()
        self._process = self._output = None

    @staticmethod
    def _close_input(stream: Any) -> None:
        try:
            stream.close()
        except BrokenPipeError:  # what was left to write has no reader any more
            return


class ResidentJob:
    """One command of a resident process, with the face of a `Job`; `close` leaves the process to the next."""

    def __init__(self, process: subprocess.Popen[bytes], output: Output) -> None:
        self._process, self._output = process, output
        self._status: int | None = None

    def poll(self) -> tuple[list[Event], int | None]:
        """Return the events since the last call, and the status once the command has ended."""
        died = self._process.poll()
        events = []
        for event in self._output.read() if self._status is None else []:
            if event["event"] == ENDED:
                self._status = int(event["status"])
            elif self._status is None:
                events.append(event)
        if self._status is None:
            self._status = died
        return events, self._status

    def pause(self, paused: bool) -> None:
        """Have it stand still, or go on."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def interrupt(self) -> None:
        """Ask it to end soon; a second time: at once."""
        if self._status is None:
            interrupt_child(self._process)

    def close(self) -> None:
        """Have it ended: one that is still at work goes with its process, which else is free for the next."""
        if self._status is None:
            end_child(self._process)
        else:
            self.pause(False)  # it may have been stopped between its end and the word of it

    @property
    def last_words(self) -> str:
        """The last line that was no event: of a failed command, the reason."""
        return self._output.last_words
