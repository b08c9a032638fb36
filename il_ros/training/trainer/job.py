"""Training and evaluation jobs in child processes, so that the caller stays responsive.

The process reads its plan from standard input (`il_ros.cli.worker`). The caller polls a job and never blocks. A job
prints one JSON object per line; the last of its other lines is the error message of a failed job.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from typing import IO, Any

from il_ros.core.processes.child import prepare_child
from il_ros.training.trainer import plans
from il_ros.training.trainer.plans import Plan

Event = dict[str, Any]
WORKER = (sys.executable, "-m", "il_ros.cli.worker")
KILL_AFTER_S = 10.0
STOPPED = (130, -signal.SIGINT)
"""Exit statuses of an interrupted job."""


def reason_of(status: int, last_line: str) -> str:
    """Return why a job failed: its last line, or the signal that ended its process (`status` below zero)."""
    if status >= 0:
        return last_line
    try:
        name = signal.Signals(-status).name
    except ValueError:  # a real-time signal
        name = f"signal {-status}"
    why = ", as the system does when memory runs out" if -status == signal.SIGKILL else ""
    return f"its process was ended by {name}{why}; the last line of it: {last_line}"


class Output:
    """Non-blocking reader of a child process's output: events, and other lines."""

    def __init__(self, stream: IO[bytes]) -> None:
        os.set_blocking(stream.fileno(), False)
        self._stream = stream
        self._lines: deque[str] = deque(maxlen=20)
        self._partial = b""

    @property
    def last_line(self) -> str:
        """The last line that is not an event; if the job failed, its error message."""
        return self._lines[-1] if self._lines else "no output"

    def clear(self) -> None:
        """Discard the lines read so far."""
        self._lines.clear()

    def read(self) -> list[Event]:
        """Return the events printed since the last call."""
        events: list[Event] = []
        while not self._stream.closed and (block := self._stream.read(65536)):
            *lines, self._partial = (self._partial + block).split(b"\n")
            for line in lines:
                events += self._event(line.decode(errors="replace"))
        return events

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def _event(self, line: str) -> list[Event]:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            return [event]
        if line.strip():
            self._lines.append(line.strip())
        return []


def begin_child(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a child process with piped standard input and output that is killed with the parent's thread."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # the parent forwards Ctrl-C
        preexec_fn=prepare_child,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def end_child(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a child; kill it after KILL_AFTER_S."""
    interrupt_child(process)
    try:
        process.wait(KILL_AFTER_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def interrupt_child(process: subprocess.Popen[bytes]) -> None:
    """Send SIGINT to a child, and SIGCONT in case it is paused."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)


class Job:
    """A child process that runs one command, with `text` as its standard input. It is killed with its parent."""

    def __init__(self, command: Sequence[str], text: str = "") -> None:
        self._process = begin_child(command)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._output = Output(self._process.stdout)
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.close()
        except BrokenPipeError:  # it has died; its status and its output give the reason
            pass

    def poll(self) -> tuple[list[Event], int | None]:
        """Return the events since the last call, and the exit status once the process has ended."""
        status = self._process.poll()  # before reading, so that no output is lost
        return self._output.read(), status

    def pause(self, paused: bool) -> None:
        """Pause or resume the process."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def interrupt(self) -> None:
        """Interrupt the job; a second call ends it immediately."""
        interrupt_child(self._process)

    def close(self) -> None:
        """End the process; kill it after KILL_AFTER_S."""
        end_child(self._process)
        self._output.close()

    @property
    def last_line(self) -> str:
        """The last line that is not an event; if the job failed, its error message."""
        return self._output.last_line


def begin(plan: Plan) -> Job:
    """Start the process that carries out a plan."""
    return Job(WORKER, plans.encode(plan))
