"""Episodes that were set aside, before they are deleted, and the log of both.

ROOT/.trash/episode_000012   moved there; readers of ROOT do not look into it
ROOT/pruned.jsonl            one line for each episode that was moved, restored or deleted: when, why, its size
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from il_ros.episodes.amendments import AMENDMENTS
from il_ros.episodes.arrays.cache import FOLDER as CACHE
from il_ros.episodes.inferred_labels import INFERRED
from il_ros.episodes.layout import INFO_FILE, METADATA_FILE, TOMBSTONE, LayoutError, load_info
from il_ros.episodes.retention import folder_bytes

FOLDER, LOG = ".trash", "pruned.jsonl"
_BESIDE = (METADATA_FILE, INFO_FILE, TOMBSTONE, AMENDMENTS, INFERRED, ".reserve")
_OURS = re.compile(
    rf"({'|'.join(map(re.escape, _BESIDE))}|.+\.(mcap|db3)(-wal|-shm|-journal)?(\.(zstd|lz4))?)(\.orig(\.\d+)?)?"
)
"""The files of a recording."""


@dataclass(frozen=True)
class Trashed:
    """An episode in the trash."""

    folder: Path
    size_bytes: int


def contents(root: Path) -> list[Trashed]:
    """Return the episodes in the trash of a root, by name."""
    folder = root / FOLDER
    found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [Trashed(path, folder_bytes(path)) for path in found]


def move(episode: Path, why: str, at: str) -> Path:
    """Move an episode into its root's trash and return where it is; nothing is freed.

    Its cached arrays are deleted; they can be made again. Raises FileExistsError if the trash has one of that name.
    """
    root, place = episode.parent, episode.parent / FOLDER / episode.name
    if place.exists():
        raise FileExistsError(f"{place}: is in the trash already; empty it first, or rename one of the two")
    place.parent.mkdir(exist_ok=True)
    line = _line("moved", episode, why, at)
    episode.rename(place)
    _log(root, line)
    _forget(root, episode.name)
    return place


def restore(root: Path, name: str, at: str) -> Path:
    """Move an episode back and return where it is; raises FileNotFoundError, FileExistsError."""
    place, back = root / FOLDER / name, root / name
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: there is no such episode in the trash")
    if back.exists():
        raise FileExistsError(f"{back}: exists; move it away first")
    line = _line("restored", place, "", at)
    place.rename(back)
    _log(root, line)
    return back


def delete(episode: Path, root: Path, why: str, at: str) -> None:
    """Delete an episode, in the trash or not; it is logged before.

    Raises FileExistsError if the folder holds anything but a recording's files: those are not deleted.
    """
    for path in episode.iterdir():
        if path.is_symlink() or not path.is_file() or not _OURS.fullmatch(path.name):
            raise FileExistsError(
                f"{episode}: also holds '{path.name}', which no recorder wrote; move it away first"
            )
    _log(root, _line("deleted", episode, why, at))
    shutil.rmtree(episode)
    _forget(root, episode.name)


def _forget(root: Path, name: str) -> None:
    """Delete what is cached of an episode; it can be made again."""
    for cached in (root / CACHE).glob(f"*/{name}"):
        if cached.is_dir():
            shutil.rmtree(cached, ignore_errors=True)
        else:
            cached.unlink(missing_ok=True)


def _line(action: str, episode: Path, why: str, at: str) -> str:
    record = {"at": at, "action": action, "episode": episode.name, "bytes": folder_bytes(episode), "why": why}
    try:
        info = load_info(episode)
        record |= {"recorded_at": info.recorded_at, "task": info.task, "outcome": info.outcome}
    except LayoutError:  # another recorder's bag
        pass
    return json.dumps(record, ensure_ascii=False) + "\n"


def _log(root: Path, line: str) -> None:
    with (root / LOG).open("a", encoding="utf-8") as log:
        log.write(line)
        log.flush()
        os.fsync(log.fileno())
