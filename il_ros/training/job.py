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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from il_ros.policies.versions import RUNNING, next_version
from il_ros.processes import die_with_parent

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

    def command(self, version: str) -> list[str]:
        """Return the command that trains this version, in a folder that nobody takes for a finished one."""
        words = ["train", str(self.root), "--out", str(self.running(version)), "--version", version]
        for name, value in (("--contract", self.contract), ("--recipe", self.recipe)):
            words += [name, value] if value else []
        for change in self.changes:
            words += ["--set", change]
        return _command(words, self.background)

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

    def command(self) -> list[str]:
        """Return the command."""
        words = ["evaluate", str(self.checkpoint), "--episodes", str(self.episodes), "--seed", str(self.seed)]
        return _command(words + (["--task", self.task] if self.task else []), self.background)


@dataclass
class Job:
    """A running process. It dies with its parent."""

    command: Sequence[str]
    _said: deque[str] = field(default_factory=lambda: deque(maxlen=20))
    _partial: bytes = b""

    def __post_init__(self) -> None:
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the parent's terminal is the parent's to pass on
            preexec_fn=die_with_parent,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def poll(self) -> tuple[list[Event], int | None]:
        """Return the events since the last call, and the exit status once the process has ended."""
        status = self._process.poll()  # before reading: what was said before the end is then complete
        return self._read(), status

    def interrupt(self) -> None:
        """Ask it to end soon; a second time: at once."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def close(self) -> None:
        """Have it ended, by force after a while."""
        self.interrupt()
        try:
            self._process.wait(KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def last_words(self) -> str:
        """The last line that was no event: of a failed job, the reason."""
        return self._said[-1] if self._said else "it said nothing"

    def _read(self) -> list[Event]:
        stream = self._process.stdout
        assert stream is not None
        events: list[Event] = []
        while not stream.closed and (block := stream.read(65536)):
            *lines, self._partial = (self._partial + block).split(b"\n")
            for line in lines:
                events += self._event(line.decode(errors="replace"))
        return events

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


def _command(words: Sequence[str], background: bool) -> list[str]:
    options = ["--progress", "json", *(["--background"] if background else [])]
    return [sys.executable, "-m", "il_ros", *words, *options]
