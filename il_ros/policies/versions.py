"""A folder of trained versions, v1, v2, ...: each a training run with a checkpoint, none ever replaced."""

from __future__ import annotations

from pathlib import Path

CHECKPOINT = "checkpoint"
"""Within a training run's folder, the folder of its policy."""
RUNNING = ".running"
"""Ends the name of a version that is still being trained."""


def named_by(run: Path) -> str:
    """Return the version that a run's folder is named after, "" when its name is none."""
    return run.name if run.name[:1] == "v" and run.name[1:].isdigit() else ""


def versions(folder: Path) -> list[Path]:
    """Return the finished versions, oldest first."""
    found = [run for run in folder.glob("v*") if named_by(run) and (run / CHECKPOINT).is_dir()]
    return sorted(found, key=lambda run: int(run.name[1:]))


def next_version(folder: Path) -> str:
    """Return the name that comes after all there are."""
    numbers = [int(run.name[1:]) for run in folder.glob("v*") if named_by(run)]
    return f"v{max(numbers, default=0) + 1}"
