"""Training and evaluation as a process of their own, so that whoever asked for it stays responsive.

A job is polled, never waited for. It prints a JSON object a line (`--progress json`), the last lines of
anything else it prints are kept for its obituary.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from il_ros.core.processes import prepare_child
from il_ros.policies.versions import RUNNING, next_version

Event = dict[str, Any]
KILL_AFTER_S = 10.0
STOPPED = (130, -signal.SIGINT)
"""Exit statuses of a job that was interrupted, at work or still starting."""


@dataclass(frozen=True)
class TrainingPlan:
    """What to train: see `il-ros train`. `versions` is the folder that receives v1, v2, ..."""

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
        """Return the words of `il-ros`: it works in a folder that nobody takes for a finished version."""
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

    def running(self, version: str) -> Path:
        """Return where a version is while it is being trained."""
        return self.versions / f"{version}{RUNNING}"

    def next_version(self) -> str:
        """Return the version that comes after those there are; what was left of an attempt is removed."""
        version = next_version(self.versions)
        shutil.rmtree(self.running(version), ignore_errors=True)
        return version

    def publish(self, version: str) -> Path:
        """Give a finished version its place, and return it."""
        place = self.versions / version
        self.running(version).rename(place)
        return place


@dataclass(frozen=True)
class EvaluationPlan:
    """What to evaluate: see `il-ros evaluate`."""

    checkpoint: Path
    task: str = ""
    episodes: int = 20
    seed: int = 1_000_000
    background: bool = True

    def words(self) -> list[str]:
        """Return the words of `il-ros`."""
        words = ["evaluate", str(self.checkpoint), "--episodes", str(self.episodes), "--seed", str(self.seed)]
        words += ["--task", self.task] if self.task else []
        return words + _options(self.background)


class Output:
    """What a child process prints, taken apart without ever waiting: events, and its last other words."""

    def __init__(self, stream: IO[bytes]) -> None:
        os.set_blocking(stream.fileno(), False)
        self._stream = stream
        self._said: deque[str] = deque(maxlen=20)
        self._partial = b""

    @property
    def last_words(self) -> str:
        """The last line that was no event: of a failed job, the reason."""
        return self._said[-1] if self._said else "it said nothing"

    def forget(self) -> None:
        """Begin anew with the last words."""
        self._said.clear()

    def read(self) -> list[Event]:
        """Return the events printed since the last call."""
        events: list[Event] = []
        while not self._stream.closed and (block := self._stream.read(65536)):
            *lines, self._partial = (self._partial + block).split(b"\n")
            for line in lines:
                events += self._event(line.decode(errors="replace"))
        return events

    def close(self) -> None:
        """Let go of the stream."""
        self._stream.close()

    def _event(self, line: str) -> list[Event]:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict) and "event" in event:
            return [event]
        if line.strip():
            self._said.append(line.strip())
        return []


def begin_child(command: Sequence[str], stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Start a child that says what it does on its standard output, and dies with its parent's thread."""
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C at the parent's terminal is the parent's to pass on
        preexec_fn=prepare_child,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def end_child(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a child, and end it by force when it takes too long."""
    interrupt_child(process)
    try:
        process.wait(KILL_AFTER_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def interrupt_child(process: subprocess.Popen[bytes]) -> None:
    """Ask a child to end soon; one that is stopped goes on for that."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)


class Job:
    """A running process that does one command. It dies with its parent."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = begin_child(command)
        assert self._process.stdout is not None
        self._output = Output(self._process.stdout)

    def poll(self) -> tuple[list[Event], int | None]:
        """Return the events since the last call, and the exit status once the process has ended."""
        status = self._process.poll()  # before reading: what was said before the end is then complete
        return self._output.read(), status

    def pause(self, paused: bool) -> None:
        """Have it stand still, or go on."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def interrupt(self) -> None:
        """Ask it to end soon; a second time: at once."""
        interrupt_child(self._process)

    def close(self) -> None:
        """Have it ended, by force after a while."""
        end_child(self._process)
        self._output.close()

    @property
    def last_words(self) -> str:
        """The last line that was no event: of a failed job, the reason."""
        return self._output.last_words


def python_command(words: Sequence[str]) -> list[str]:
    """Return the command of `il-ros` with these words, in this interpreter."""
    return [sys.executable, "-m", "il_ros", *words]


def _options(background: bool) -> list[str]:
    return ["--progress", "json", *(["--background"] if background else [])]
