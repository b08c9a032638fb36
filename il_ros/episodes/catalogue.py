"""Which episodes lie under a root, and for each that can't be used, why. Nothing is silently skipped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from il_ros.episodes.bag.reader import RECOVER, BagError, UnfinishedBagError, bag_files, check_closed
from il_ros.episodes.layout import TOMBSTONE, EpisodeInfo, LayoutError, is_discarded, load_info

STATES = ("ready", "foreign", "discarded", "incomplete", "broken")


@dataclass(frozen=True)
class Entry:
    """One episode and its state.

    ready: recorded here and complete. foreign: another recorder's bag, all of it is the demonstration.
    discarded: has a tombstone. incomplete: being recorded, or its recorder was killed. broken: unusable.
    `info` is None for foreign bags and when `episode.json` can't be read. `reason` says why it isn't ready.
    """

    folder: Path
    state: str
    info: EpisodeInfo | None
    reason: str = ""

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def usable(self) -> bool:
        """True when training may read it."""
        return self.state in ("ready", "foreign")

    @property
    def outcome(self) -> str:
        """The outcome's label; foreign bags are unmarked."""
        return "unmarked" if self.info is None else self.info.outcome

    @property
    def task(self) -> str:
        """The task's name; empty when it isn't known."""
        return "" if self.info is None else self.info.task


@dataclass(frozen=True)
class Catalogue:
    """All that lies under a root, by name."""

    root: Path
    entries: tuple[Entry, ...]

    @property
    def usable(self) -> tuple[Entry, ...]:
        """The episodes that training may read."""
        return tuple(entry for entry in self.entries if entry.usable)

    @property
    def left_out(self) -> tuple[Entry, ...]:
        """The others; each says why."""
        return tuple(entry for entry in self.entries if not entry.usable)


@dataclass(frozen=True)
class Selection:
    """Which of the usable episodes are wanted; empty `tasks` or `names`: any."""

    outcomes: Sequence[str] = ("success", "unmarked")
    tasks: Sequence[str] = ()
    names: Sequence[str] = ()

    def refusal(self, entry: Entry) -> str:
        """Return why an entry is not wanted; empty when it is."""
        if entry.outcome not in self.outcomes:
            return f"outcome is {entry.outcome}; wanted: {', '.join(self.outcomes)}"
        if self.tasks and entry.task not in self.tasks:
            return f"task is '{entry.task}'; wanted: {', '.join(self.tasks)}"
        if self.names and entry.name not in self.names:
            return "not among the names asked for"
        return ""


def scan(root: Path) -> Catalogue:
    """List what lies under `root`; hidden folders and loose files that are no bags don't count.

    Raises FileNotFoundError or NotADirectoryError naming the root when there is nothing to list.
    """
    if not root.exists():
        raise FileNotFoundError(f"{root}: there is no such folder of episodes")
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: is a file; give the folder that holds the episodes")
    paths = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    return Catalogue(root, tuple(look(path) for path in paths if path.is_dir() or bag_files(path)))


def look(folder: Path) -> Entry:
    """Return what can be said of one episode without reading its messages."""
    if not folder.exists():
        return Entry(folder, "broken", None, f"{folder}: does not exist")
    if folder.is_file():
        return Entry(folder, "broken", None, f"{folder}: a loose bag file; put it in a folder of its own")
    if is_discarded(folder):
        return Entry(folder, "discarded", _info_or_none(folder), _tombstone(folder))
    try:
        check_closed(folder)
    except UnfinishedBagError as error:
        return Entry(folder, "incomplete", _info_or_none(folder), str(error))
    except BagError as error:
        return Entry(folder, "broken", _info_or_none(folder), str(error))
    if not (folder / "episode.json").exists():
        return Entry(folder, "foreign", None, "no episode.json: another recorder's bag")
    try:
        info = load_info(folder)
    except LayoutError as error:
        return Entry(folder, "broken", None, str(error))
    if not info.complete:
        reason = f"{folder}: its recorder didn't finish it; once nothing writes to it: {RECOVER} {folder}"
        return Entry(folder, "incomplete", info, reason)
    return Entry(folder, "ready", info)


def _info_or_none(folder: Path) -> EpisodeInfo | None:
    """An entry that is left out anyway is shown with what is known."""
    try:
        return load_info(folder)
    except LayoutError:
        return None


def _tombstone(folder: Path) -> str:
    try:
        record = json.loads((folder / TOMBSTONE).read_text(encoding="utf-8"))
        return f"{record['at']}: {record['reason'] or 'no reason given'}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{TOMBSTONE} can't be read: {error!r}"
