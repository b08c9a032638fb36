"""The files that `il-ros migrate` looks at: those given, and those in given folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from il_ros.episodes.bag.reader import bag_files
from il_ros.episodes.layout import INFO_FILE, METADATA_FILE
from il_ros.policies.lineage import FILE as VERSION_FILE

SUFFIXES = (".yaml", ".yml", ".py", ".launch.xml")
_NOT_SOURCES = "COLCON_IGNORE"
"""colcon marks its folders build, install and log by this file; they hold copies."""
_CHECKPOINT = ("config.json", "contract.yaml")


@dataclass(frozen=True)
class Search:
    """`given`: files named by the user; `found`: files in folders; `kept`: folders of recordings and checkpoints."""

    given: tuple[Path, ...]
    found: tuple[Path, ...]
    kept: tuple[Path, ...]


def search(paths: Sequence[Path]) -> Search:
    """Return the files to look at, each once; hidden folders, recordings and checkpoints are not entered.

    Raises FileNotFoundError naming a path that does not exist.
    """
    given, found, kept = [], [], []
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file or folder")
        if path.is_file():
            given.append(path)
            continue
        for folder, folders, names in os.walk(path):
            here = Path(folder)
            if _is_data(here, names):
                kept.append(here)
                folders.clear()
                continue
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and not (here / name / _NOT_SOURCES).exists()
            )
            found += [
                here / name for name in sorted(names) if name.endswith(SUFFIXES) and not name.startswith(".")
            ]
    once = {path.resolve(): path for path in reversed([*given, *found])}
    return Search(
        tuple(path for path in given if once[path.resolve()] == path),
        tuple(path for path in found if once[path.resolve()] == path),
        tuple(kept),
    )


def _is_data(folder: Path, names: Sequence[str]) -> bool:
    """Return whether a folder is a recording, a checkpoint or a trained version."""
    if INFO_FILE in names or VERSION_FILE in names or set(_CHECKPOINT) <= set(names):
        return True
    return METADATA_FILE in names and bool(bag_files(folder))
