"""What a training may write into: a new folder, or one that holds what an earlier training wrote."""

from __future__ import annotations

from pathlib import Path

from il_ros.core import atomic
from il_ros.policies import checkpoint, lineage
from il_ros.policies.versions import CHECKPOINT, next_version, taken
from il_ros.training import saved
from il_ros.training.metrics import curves


class OutputError(ValueError):
    """A folder that a training must not write into; the message says why, and which one it may use."""


def require_writable(out: Path) -> None:
    """Raise OutputError when a training in `out` would replace something that no training wrote."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is not a folder")
    for folder in (out, out / CHECKPOINT):
        if names := taken(folder):
            raise OutputError(
                f"{folder} holds the versions {_listed(names)}, and a training writes one; "
                f"train into {folder / next_version(folder)}"
            )
    if (out / checkpoint.CONFIG).exists() or (out / checkpoint.MODEL).exists():
        raise OutputError(f"{out}: is a checkpoint; the folder of its training is {out.parent}")
    try:
        atomic.require_only(out / CHECKPOINT, checkpoint.FILES)
        atomic.require_only(out / saved.FOLDER, saved.FILES)
        lineage.require_ours(out)
    except (FileExistsError, ValueError) as error:
        raise OutputError(f"{error}; train into another folder") from error
    if not any((out / name).exists() for name in (CHECKPOINT, saved.FOLDER)):
        for name in (curves.TABLE, curves.PICTURE):
            if (out / name).exists():
                raise OutputError(f"{out / name}: no training wrote it; train into another folder")


def newest_saved(folder: Path) -> Path | None:
    """Return the newest version in `folder` with the state of a training to resume, None if there is none."""
    runs = [folder / name for name in taken(folder)]
    return next((run for run in reversed(runs) if saved.exists(run)), None)


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} to {names[-1]}"
