"""A folder of trained versions v1, v2, ...: each is a training run with a checkpoint; none is overwritten."""

from __future__ import annotations

from pathlib import Path

CHECKPOINT = "checkpoint"
"""The checkpoint folder inside a training run's folder."""
RUNNING = ".running"
"""Suffix of a version's folder while it is being trained."""


def named_by(run: Path) -> str:
    """Return the version that a run's folder name denotes, "" if the name is not a version."""
    return run.name if run.name[:1] == "v" and run.name[1:].isdigit() else ""


def versions(folder: Path) -> list[Path]:
    """Return the finished versions, oldest first."""
    found = [run for run in folder.glob("v*") if named_by(run) and (run / CHECKPOINT).is_dir()]
    return sorted(found, key=lambda run: int(run.name[1:]))


def next_version(folder: Path) -> str:
    """Return the name after the highest existing one."""
    numbers = [int(run.name[1:]) for run in folder.glob("v*") if named_by(run)]
    return f"v{max(numbers, default=0) + 1}"
