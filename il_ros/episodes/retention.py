"""Which recorded episodes may go: by rules that a person gives, never what a policy was trained on unless told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from il_ros.core import files
from il_ros.core.tables import size
from il_ros.episodes.bag.reader import bag_files
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.exchange.lerobot.layout import OWN
from il_ros.episodes.layout import LEVELS
from il_ros.policies import lineage
from il_ros.policies.versions import is_claimed
from il_ros.records.outcomes import OUTCOMES

RESUME = Path("resume", "state.json")
"""The state of an interrupted training, in its run's folder."""
_MOST_BYTES = 256 << 20
_DAY_S = 86_400


class RetentionError(ValueError):
    """What may go cannot be said; the message names the file and the remedy."""


@dataclass(frozen=True)
class RetentionRules:
    """The rules that an episode must fit, all of them, to go.

    `exported`: a data set; `copies`: its episodes, as (name, first tick in ns). `down_to_bytes`: of the episodes that
    fit, only the oldest go, until the folder has this size. `keep_last`: so many of the newest episodes stay.
    Raises RetentionError when no rule but `keep_last` is given, or a word is unknown.
    """

    older_than_s: float | None = None
    grades: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    discarded: bool = False
    exported: str = ""
    copies: frozenset[tuple[str, int]] = frozenset()
    down_to_bytes: int | None = None
    keep_last: int = 0

    def __post_init__(self) -> None:
        for name, words, known in (("grade", self.grades, LEVELS), ("outcome", self.outcomes, OUTCOMES)):
            wrong = next((word for word in words if word not in known), None)
            if wrong is not None:
                raise RetentionError(f"{name} is '{wrong}'; it must be one of: {', '.join(known)}")
        if (
            not (
                self.grades
                or self.outcomes
                or self.discarded
                or self.exported
                or self.older_than_s is not None
            )
            and self.down_to_bytes is None
        ):
            raise RetentionError("no rule is given, so every episode would go")


@dataclass(frozen=True)
class PruneCandidate:
    """An episode that the rules fit: why, its size on the disk, its age, and `kept`, why it stays ("": it may go)."""

    entry: Entry
    why: tuple[str, ...]
    size_bytes: int
    age_s: float
    kept: str = ""


@dataclass(frozen=True)
class PruneChoice:
    """`going` and `kept`: the episodes that the rules fit, oldest first; `total_bytes`: of all episodes."""

    going: tuple[PruneCandidate, ...]
    kept: tuple[PruneCandidate, ...]
    total_bytes: int

    @property
    def size_bytes(self) -> int:
        """The size of the episodes that go."""
        return sum(each.size_bytes for each in self.going)


def select(
    entries: Sequence[Entry], rules: RetentionRules, trained_on: Mapping[str, Sequence[str]], now: datetime
) -> PruneChoice:
    """Return which episodes go; `trained_on`: by an episode's name, the versions that were trained on it."""
    sizes = {entry.folder: folder_bytes(entry.folder) for entry in entries}
    ages = {entry.folder: age_s(entry, now) for entry in entries}
    newest = sorted(entries, key=lambda entry: ages[entry.folder])[: rules.keep_last]
    fitting = []
    for entry in sorted(entries, key=lambda entry: -ages[entry.folder]):
        why = _why(entry, rules, ages[entry.folder])
        if why is not None:
            kept = _kept(entry, trained_on.get(entry.name, ()), entry in newest, rules.keep_last)
            fitting.append(PruneCandidate(entry, why, sizes[entry.folder], ages[entry.folder], kept))
    going, kept_too, left = [], [], sum(sizes.values())
    for each in fitting:
        if each.kept:
            kept_too.append(each)
        elif rules.down_to_bytes is not None and left <= rules.down_to_bytes:
            kept_too.append(
                PruneCandidate(
                    each.entry, each.why, each.size_bytes, each.age_s, "the folder is small enough"
                )
            )
        else:
            going.append(each)
            left -= each.size_bytes
    return PruneChoice(tuple(going), tuple(kept_too), sum(sizes.values()))


def _why(entry: Entry, rules: RetentionRules, age: float) -> tuple[str, ...] | None:
    """Return how an episode fits the rules, in words; None if it does not."""
    grade = None if entry.info is None or entry.info.grade is None else entry.info.grade.level
    why = []
    if rules.older_than_s is not None:
        if age <= rules.older_than_s:
            return None
        why.append(f"{in_days(age)} old")
    if rules.grades:
        if grade not in rules.grades:
            return None
        why.append(f"graded {grade}")
    if rules.outcomes:
        if entry.outcome not in rules.outcomes:
            return None
        why.append(entry.outcome)
    if rules.discarded:
        if entry.state != "discarded":
            return None
        why.append("discarded")
    if rules.exported:
        if not _is_copied(entry, rules.copies):
            return None
        why.append(f"its labelled frames are in {rules.exported}")
    if rules.down_to_bytes is not None:
        why.append(f"oldest first, down to {size(rules.down_to_bytes)}")
    return tuple(why)


def _kept(entry: Entry, versions: Sequence[str], is_newest: bool, keep_last: int) -> str:
    if entry.folder.is_symlink():
        return "it is a link; what it leads to stays"
    if entry.being_recorded:
        return "it is being recorded"
    if entry.state in ("incomplete", "broken"):
        return f"it is {entry.state}, and may be recoverable"
    if versions:
        return f"trained on it: {', '.join(versions)}"
    return f"among the newest {keep_last}" if is_newest else ""


def _is_copied(entry: Entry, copies: frozenset[tuple[str, int]]) -> bool:
    if entry.info is None or entry.info.stopped_ns is None:
        return False
    start_ns, stop_ns = entry.info.started_ns, entry.info.stopped_ns
    return any(name == entry.name and start_ns <= tick_ns <= stop_ns for name, tick_ns in copies)


def copies_in(data_set: Path) -> frozenset[tuple[str, int]]:
    """Return (name, first tick in ns) of the episodes in a LeRobot data set that this package exported.

    Raises RetentionError when it does not say where its episodes are from.
    """
    file = data_set / OWN
    try:
        values = files.read_json(file, _MOST_BYTES)
        return frozenset((str(each["source"]), int(each["first_tick_ns"])) for each in values["episodes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RetentionError(
            f"{file}: does not say which episodes it has copies of ({type(error).__name__}: {error}); only LeRobot "
            "data sets that `il-ros episodes export lerobot` wrote do"
        ) from None


def trained_on(folders: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Return by an episode's name what was trained on it: versions, and interrupted trainings that can go on.

    `folders`: of the versions, searched with all that is below. Raises RetentionError when one does not exist or is
    damaged, or when a training is at work.
    """
    found: dict[str, list[str]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise RetentionError(f"{folder}: there is no such folder of versions")
        for run in sorted(
            {file.parent for file in folder.rglob(lineage.FILE)} | _interrupted(folder) | {folder}
        ):
            if any(is_claimed(each) for each in (run, *(part for part in run.iterdir() if part.is_dir()))):
                raise RetentionError(f"{run}: a training is at work there; wait until it is done")
        for file in sorted(folder.rglob(lineage.FILE)):
            try:
                names = lineage.read(file.parent).episodes
            except lineage.LineageError as error:
                raise RetentionError(f"{error}; what it was trained on is unknown") from None
            for name in names:
                found.setdefault(name, []).append(str(file.parent))
        for run in sorted(_interrupted(folder)):
            for name in _names(run / RESUME):
                found.setdefault(name, []).append(f"{run} (interrupted)")
    return {name: tuple(dict.fromkeys(runs)) for name, runs in found.items()}


def _interrupted(folder: Path) -> set[Path]:
    return {
        file.parent.parent
        for file in folder.rglob(str(RESUME))
        if not (file.parent.parent / lineage.FILE).exists()
    }


def _names(state: Path) -> list[str]:
    try:
        data = files.read_json(state, _MOST_BYTES)["run"]["data"]
        return [str(name) for names in data.values() for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RetentionError(f"{state}: what it was trained on is unknown: {error}") from None


def folder_bytes(folder: Path) -> int:
    """Return the size of all files in a folder."""
    return (
        sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir()) if folder.is_dir() else 0
    )


def age_s(entry: Entry, now: datetime) -> float:
    """Return the time since an episode was recorded, by its description or else by its newest bag file."""
    if entry.info is not None and entry.info.recorded_at:
        try:
            at = datetime.fromisoformat(entry.info.recorded_at)
            return (now - at).total_seconds()
        except (ValueError, TypeError):  # no time, or one without a zone
            pass
    times = [file.stat().st_mtime for file in bag_files(entry.folder) if file.exists()]
    return now.timestamp() - max(times) if times else 0.0


def in_days(seconds: float) -> str:
    """Return '12 h' or '42 d'."""
    return f"{seconds / 3600:.0f} h" if seconds < 2 * _DAY_S else f"{seconds / _DAY_S:.0f} d"
