"""The command that follows a finished step, as it can be pasted into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from il_ros.core.tables import say
from il_ros.scenarios import TASKS


def after_recording(root: Path) -> str:
    """Return the command that trains on the episodes under `root`."""
    return _line("il-ros", "train", root)


def after_training(out: Path, checkpoint: Path, tasks: Sequence[str]) -> str:
    """Return the command that tests a policy: an evaluation of a simulated task, else driving the robot."""
    simulated = [task for task in tasks if task in TASKS]
    if len(tasks) == len(simulated) == 1:
        return _line("il-ros", "evaluate", out)
    return _drive(out, checkpoint, tasks)


def after_evaluation(out: Path, task: str) -> str:
    """Return the command that corrects a policy of a simulated task while it drives."""
    return _line("il-ros", "session", "run", "--task", task, "--checkpoint", out)


def tell(command: str) -> None:
    """Print the next step."""
    say(f"next: {command}")


def _drive(out: Path, checkpoint: Path, tasks: Sequence[str]) -> str:
    task = tasks[0] if len(tasks) == 1 else "NAME"
    contract = checkpoint / "contract.yaml"
    return _line(
        *("il-ros", "run", "deploy", "--sim", "false", "--task", task),
        *("--contract", contract, "--checkpoint", out),
    )


def _line(*words: object) -> str:
    return shlex.join(str(word) for word in words)
