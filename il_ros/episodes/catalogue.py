"""List the episodes under a root, with a reason for each unusable one. No episode is skipped silently."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from il_ros.core import files
from il_ros.episodes import amendments
from il_ros.episodes.bag.reader import (
    RECOVER,
    BagError,
    BeingRecordedError,
    UnfinishedBagError,
    bag_files,
    check_closed,
    damage_of,
    require_whole,
)
from il_ros.episodes.bag.recovery.damage import DamagedSpan
from il_ros.episodes.bag.recovery.integrity import sentence
from il_ros.episodes.layout import (
    INFO_FILE,
    METADATA_FILE,
    MOST_BYTES,
    TOMBSTONE,
    EpisodeInfo,
    LayoutError,
    is_discarded,
    load_info,
)
from il_ros.records import strict_json as check
from il_ros.records.outcomes import OUTCOMES, UNMARKED


class Omission(str, Enum):
    """The kind of reason why an episode is not in a dataset; a sentence accompanies it."""

    BEING_RECORDED = "being_recorded"
    DISCARDED = "discarded"
    NO_FRAMES = "no_frames"
    NOT_SELECTED = "not_selected"
    POOR = "poor"
    UNUSABLE = "unusable"


CHECKED_BYTES = 8_000_000
"""A file up to this size is read whole to find damage; that of a larger one is known once it was read."""
STATES = ("ready", "foreign", "discarded", "incomplete", "broken")


@dataclass(frozen=True)
class Entry:
    """One episode and its state.

    ready: recorded by this package and complete. foreign: another recorder's bag; the whole bag is the
    demonstration. discarded: has a tombstone. incomplete: being recorded, or its recorder was killed.
    broken: unusable. `info` is None for foreign bags and when `episode.json` can't be read. `reason` says
    why the episode is not ready. `damage`: the damaged spans, if they make the episode broken, or if it is a
    split recording whose intact part is read.
    """

    folder: Path
    state: str
    info: EpisodeInfo | None
    reason: str = ""
    being_recorded: bool = False
    damage: tuple[DamagedSpan, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def without_folder(self, reason: str) -> str:
        """Return a reason that is shown beside the name, without the folder at its beginning."""
        return reason.removeprefix(f"{self.folder}: ")

    @property
    def usable(self) -> bool:
        """Whether training may read the episode."""
        return self.state in ("ready", "foreign")

    @property
    def poor(self) -> str:
        """Why it can hardly be learnt from, by the recorder's grade; empty when it is not graded poor."""
        grade = None if self.info is None else self.info.grade
        if grade is None or grade.level != "poor":
            return ""
        return grade.reasons[0] if grade.reasons else "graded poor"

    @property
    def omission(self) -> Omission | None:
        """The kind of reason why training may not read the episode, None if it may."""
        if self.usable:
            return None
        if self.being_recorded:
            return Omission.BEING_RECORDED
        return Omission.DISCARDED if self.state == "discarded" else Omission.UNUSABLE

    @property
    def outcome(self) -> str:
        """The episode's outcome; foreign bags are unmarked."""
        return UNMARKED if self.info is None else self.info.outcome

    @property
    def outcome_by(self) -> str:
        """The model that gave the outcome; "" if a person or a program did."""
        return "" if self.info is None else self.info.outcome_by

    @property
    def task(self) -> str:
        """The task's name; empty when unknown."""
        return "" if self.info is None else self.info.task


@dataclass(frozen=True)
class Catalogue:
    """All episodes under a root, sorted by name."""

    root: Path
    entries: tuple[Entry, ...]

    @property
    def usable(self) -> tuple[Entry, ...]:
        """The episodes that training may read."""
        return tuple(entry for entry in self.entries if entry.usable)

    @property
    def left_out(self) -> tuple[Entry, ...]:
        """The unusable episodes; the `reason` of each says why."""
        return tuple(entry for entry in self.entries if not entry.usable)


@dataclass(frozen=True)
class Selection:
    """A choice among the usable episodes; empty `tasks` or `names` accept any. `poor`: also poor ones.

    `by_model`: also those whose outcome a model gave.

    By default all outcomes are accepted: labels depend on the source in authority, so that the corrections in
    a failed episode are learnt.
    """

    outcomes: Sequence[str] = OUTCOMES
    tasks: Sequence[str] = ()
    names: Sequence[str] = ()
    poor: bool = False
    by_model: bool = True

    def refusal(self, entry: Entry) -> str:
        """Return why an entry is not selected; empty when it is."""
        if entry.outcome not in self.outcomes:
            return f"outcome is {entry.outcome}; wanted: {', '.join(self.outcomes)}"
        if entry.outcome_by and not self.by_model:
            return f"a model gave its outcome, {entry.outcome}, and no person: {entry.outcome_by}"
        if self.tasks and entry.task not in self.tasks:
            return f"task is '{entry.task}'; wanted: {', '.join(self.tasks)}"
        if self.names and entry.name not in self.names:
            return "not among the selected names"
        return ""

    def poorness(self, entry: Entry) -> str:
        """Return why a selected entry is left out as poor; empty when it is not."""
        return "" if self.poor else entry.poor


def scan(root: Path) -> Catalogue:
    """List the episodes under `root`; hidden folders, and files other than bags, are ignored.

    A link to another episode under `root` is broken: otherwise the episode would count twice.
    Raises FileNotFoundError when `root` does not exist, NotADirectoryError when it is a file or one episode.
    """
    paths = _paths(root)
    twice = _linked_twice(paths)
    return Catalogue(root, tuple(twice.get(path) or look(path) for path in paths))


def require_episodes(root: Path) -> None:
    """Raise as `usable_in` if `root` cannot hold episodes; looks at names only, before anything slow is imported."""
    if not _paths(root):
        raise _none_in(root)


def usable_in(data: Path) -> tuple[Entry, ...]:
    """Return the usable episodes in a folder; raises ValueError, naming it, when it holds none, else as `scan`."""
    found = scan(data)
    if found.usable:
        return found.usable
    if not found.entries:
        raise _none_in(data)
    raise ValueError(f"{data}: no usable episode; `il-ros episodes list {shlex.quote(str(data))}` says why")


def _none_in(root: Path) -> ValueError:
    return ValueError(f"{root}: no episodes; `il-ros record --root {shlex.quote(str(root))}` records some")


def _paths(root: Path) -> list[Path]:
    """Return the folders and bags under `root`, in order; raises as `scan`."""
    if not root.exists():
        raise FileNotFoundError(f"{root}: there is no such folder of episodes")
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: is a file; give the folder that holds the episodes")
    if any((root / name).is_file() for name in (INFO_FILE, METADATA_FILE)):
        folder = root.resolve().parent
        raise NotADirectoryError(f"{root}: is one episode; give the folder that holds it: {folder}")
    paths = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    return [path for path in paths if path.is_dir() or bag_files(path)]


def _linked_twice(paths: Sequence[Path]) -> dict[Path, Entry]:
    """Return the entries of links whose episode is among the paths itself, or by a link before."""
    found: dict[Path, Entry] = {}
    links = [path for path in paths if path.is_symlink()]
    if links:
        known = {path.resolve(): path for path in paths if not path.is_symlink()}
        for link in links:
            first = known.setdefault(link.resolve(), link)
            if first != link:
                found[link] = Entry(link, "broken", None, f"{link}: is a link to {first}, which counts once")
    return found


def look(folder: Path) -> Entry:
    """Return the state of one episode; its messages are not decoded, see also CHECKED_BYTES."""
    if not folder.exists():
        return Entry(folder, "broken", None, f"{folder}: does not exist")
    if folder.is_file():
        return Entry(folder, "broken", None, f"{folder}: a loose bag file; put it in a folder of its own")
    if is_discarded(folder):
        return Entry(folder, "discarded", _info_or_none(folder), _tombstone(folder))
    try:
        check_closed(folder)
    except UnfinishedBagError as error:
        recording = isinstance(error, BeingRecordedError)
        return Entry(folder, "incomplete", _info_or_none(folder), str(error), being_recorded=recording)
    except BagError as error:
        return Entry(folder, "broken", _info_or_none(folder), str(error))
    try:
        damage = damage_of(folder, most_bytes=CHECKED_BYTES)
        require_whole(folder, most_bytes=CHECKED_BYTES)
    except BagError as error:
        return Entry(folder, "broken", _info_or_none(folder), str(error), damage=damage)
    try:
        amendments.read(folder)
    except LayoutError as error:
        undo = f"this removes the amendments: il-ros episodes amend {shlex.quote(str(folder))} --undo"
        return Entry(folder, "broken", _info_or_none(folder), f"{error}; {undo}", damage=damage)
    if not (folder / INFO_FILE).exists():
        words = f"; damaged, its intact part is read: {sentence(damage)}" if damage else ""
        reason = f"no {INFO_FILE}: another recorder's bag{words}"
        return Entry(folder, "foreign", None, reason, damage=damage)
    try:
        info = load_info(folder)
    except LayoutError as error:
        return Entry(folder, "broken", None, str(error))
    if not info.complete:
        reason = f"{folder}: its recorder did not finish; when no process writes to it: {RECOVER} {folder}"
        return Entry(folder, "incomplete", info, reason)
    return Entry(folder, "ready", info)


def _info_or_none(folder: Path) -> EpisodeInfo | None:
    """Return the description of an unusable episode if it can be read, for display."""
    try:
        return load_info(folder)
    except LayoutError:
        return None


def _tombstone(folder: Path) -> str:
    try:
        record = _CHECK(check.loads(files.read_text(folder / TOMBSTONE, MOST_BYTES)), "")
        return f"{record['at']}: {record['reason'] or 'no reason given'}"
    except (OSError, ValueError) as error:
        return f"{TOMBSTONE} can't be read: {error}"


_CHECK = check.record("a tombstone", {"at": check.text, "reason": check.text}, others=True)
