"""Training and evaluation jobs in child processes, so that the caller stays responsive.

The caller polls a job and never blocks. A job prints one JSON object per line (`--progress json`); the last
of its other lines is the error message of a failed job.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from il_ros.core.processes import prepare_child
from il_ros.policies.versions import RUNNING, next_version, remove_unfinished
from il_ros.sim import HELD_OUT_SEED

Event = dict[str, Any]
KILL_AFTER_S = 10.0
STOPPED = (130, -signal.SIGINT)
"""Exit statuses of an interrupted job."""


@dataclass(frozen=True)
class TrainingPlan:
    """The arguments of a training, see `il-ros train`. `versions`: the folder that receives v1, v2, ..."""

    root: Path
    versions: Path
    contract: str = ""
    recipe: str = ""
    changes: tuple[str, ...] = ()
    background: bool = True
    outcomes: tuple[str, ...] = ()
    start: Path | None = None
    warm_epochs: int = 0
    warm_s: float = 0.0

    def words(self, version: str) -> list[str]:
        """Return the arguments of `il-ros`; the output goes to `running(version)`."""
        words = ["train", str(self.root), "--out", str(self.running(version)), "--version", version]
        for name, value in (("--contract", self.contract), ("--recipe", self.recipe)):
            words += [name, value] if value else []
        for change in self.changes:
            words += ["--set", change]
        for outcome in self.outcomes:
            words += ["--outcome", outcome]
        if self.start is not None:
            words += ["--from", str(self.start), "--warm-epochs", str(self.warm_epochs)]
            words += ["--warm-seconds", str(self.warm_s)]
        return words + _options(self.background)

    def by_hand(self, version: str) -> str:
        """Return the command with which a person trains the same, for a training that ended unfinished."""
        words = ["il-ros", "train", str(self.root), "--out", str(self.versions / version)]
        for name, value in (("--contract", self.contract), ("--recipe", self.recipe)):
            words += [name, value] if value else []
        words += [word for change in self.changes for word in ("--set", change)]
        words += [word for outcome in self.outcomes for word in ("--outcome", outcome)]
        return shlex.join(words)

    def running(self, version: str) -> Path:
        """Return the folder of a version during its training; it is not a valid version name."""
        return self.versions / f"{version}{RUNNING}"

    def next_version(self) -> str:
        """Return the next version's name; remove what an earlier attempt left behind.

        Raises FileExistsError if its folder holds anything else.
        """
        version = next_version(self.versions)
        remove_unfinished(self.running(version))
        return version

    def publish(self, version: str) -> Path:
        """Rename a finished version's folder to its final name, and return it."""
        place = self.versions / version
        self.running(version).rename(place)
        return place


@dataclass(frozen=True)
class EvaluationPlan:
    """The arguments of an evaluation, see `il-ros evaluate`."""

    checkpoint: Path
    task: str = ""
    episodes: int = 20
    seed: int = HELD_OUT_SEED
    background: bool = True

    def words(self) -> list[str]:
        """Return the arguments of `il-ros`."""
        words = ["evaluate", str(self.checkpoint), "--episodes", str(self.episodes), "--seed", str(self.seed)]
        words += ["--task", self.task] if self.task else []
        return words + _options(self.background)


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


def begin_child(command: Sequence[str], stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start a child process with piped standard output that is killed with the parent's thread."""
    return subprocess.Popen(
        command,
        stdin=stdin,
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
    """A child process that runs one command. It is killed with its parent."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = begin_child(command)
        assert self._process.stdout is not None
        self._output = Output(self._process.stdout)

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


def python_command(words: Sequence[str]) -> list[str]:
    """Return the command line of `il-ros` with these arguments, in this interpreter."""
    return [sys.executable, "-m", "il_ros", *words]


def _options(background: bool) -> list[str]:
    return ["--progress", "json", *(["--background"] if background else [])]
