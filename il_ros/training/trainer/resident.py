"""A resident process that has imported everything for training and carries out plans in sequence.

Importing torch takes seconds on a busy machine, which would delay the policy after a correction. A
`ResidentJob` has the interface of `Job`.
"""

from __future__ import annotations

import signal
import subprocess
from typing import Any

from il_ros.training.trainer import plans
from il_ros.training.trainer.job import WORKER, Event, Output, begin_child, end_child, interrupt_child
from il_ros.training.trainer.plans import Plan

ENDED = "ended"
"""The event, with its `status`, that marks the end of a plan."""


class Resident:
    """Owns the resident process; restarts it for the next job if it died. Call `close` at the end.

    `warm_up()` starts the process before the first job. It is killed with its parent.
    """

    def __init__(self, background: bool) -> None:
        self._background = background
        self._process: subprocess.Popen[bytes] | None = None
        self._output: Output | None = None

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The process; None before the first start."""
        return self._process

    def warm_up(self) -> None:
        """Start the process unless it is running."""
        if self._process is not None and self._process.poll() is None:
            return
        self._release()
        words = ["--resident", *(["--background"] if self._background else [])]
        self._process = begin_child([*WORKER, *words])
        assert self._process.stdout is not None
        self._output = Output(self._process.stdout)

    def begin(self, plan: Plan) -> ResidentJob:
        """Carry out a plan; one at a time."""
        self.warm_up()
        for attempt in range(2):
            assert self._process is not None
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(plans.encode(plan).encode() + b"\n")
                self._process.stdin.flush()
                break
            except BrokenPipeError:  # it has just died
                if attempt:
                    raise
                self._process.wait()
                self.warm_up()
        assert self._process is not None
        assert self._output is not None
        self._output.read()
        self._output.clear()
        return ResidentJob(self._process, self._output)

    def close(self) -> None:
        """Kill the process: between jobs it has no state to save.

        A regular exit would take seconds on a busy machine, because the process has idle priority.
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
        except BrokenPipeError:  # unwritten input of a dead process
            return


class ResidentJob:
    """One plan of a resident process, with the interface of `Job`; `close` keeps the process running."""

    def __init__(self, process: subprocess.Popen[bytes], output: Output) -> None:
        self._process, self._output = process, output
        self._status: int | None = None

    def poll(self) -> tuple[list[Event], int | None]:
        """Return the events since the last call, and the status once the plan has ended."""
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
        """Pause or resume the process."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def interrupt(self) -> None:
        """Interrupt the job; a second call ends it immediately."""
        if self._status is None:
            interrupt_child(self._process)

    def close(self) -> None:
        """End the process if the job is still running; otherwise leave it for the next one."""
        if self._status is None:
            end_child(self._process)
        else:
            self.pause(False)  # it may be paused although the job has ended

    @property
    def last_line(self) -> str:
        """The last line that is not an event; if the job failed, its error message."""
        return self._output.last_line
