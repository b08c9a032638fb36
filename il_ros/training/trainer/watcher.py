"""Discovery of new episodes under a root, and the decision when to retrain."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from il_ros.core.tables import counted
from il_ros.episodes.bag.reader import BagError
from il_ros.episodes.catalogue import look
from il_ros.episodes.counts import EpisodeCounts, count_episode
from il_ros.episodes.layout import episode_folders, is_discarded
from il_ros.records.labelling import BY_MODE, Rule


@dataclass(frozen=True)
class News:
    """The changes since the last scan. `damaged`, `poor`: (name, reason) of episodes that are not trained on."""

    finished: tuple[tuple[str, EpisodeCounts], ...] = ()
    discarded: tuple[str, ...] = ()
    damaged: tuple[tuple[str, str], ...] = ()
    poor: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.finished or self.discarded or self.damaged or self.poor)


class EpisodeWatcher:
    """Scans the episodes under a root repeatedly; each finished episode is opened once.

    An unfinished episode may still be recorded or saved. It counts as damaged if a later episode exists and
    its files have not changed since the last scan. Episodes that the recorder graded poor are counted only if
    `poor` is set, because training leaves them out otherwise. `rule`: of the labels that are counted.
    """

    def __init__(self, root: Path, *, poor: bool = False, rule: Rule = BY_MODE) -> None:
        self._root, self._poor, self._rule = root, poor, rule
        self._finished: set[str] = set()
        self._discarded: set[str] = set()
        self._damaged: dict[str, str] = {}
        self._as_it_was: dict[str, tuple[tuple[str, int, int], ...]] = {}
        self.unfinished = ""
        """Name of the newest episode while it is unfinished, else ""."""

    @property
    def discarded(self) -> frozenset[str]:
        """All episodes marked as discarded."""
        return frozenset(self._discarded)

    def look(self) -> News:
        """Return the changes; nothing if the root does not exist."""
        if not self._root.is_dir():
            return News()
        finished: list[tuple[str, EpisodeCounts]] = []
        discarded: list[str] = []
        damaged: list[tuple[str, str]] = []
        poor: list[tuple[str, str]] = []
        folders = episode_folders(self._root)
        self.unfinished = ""
        for folder in folders:
            name = folder.name
            if is_discarded(folder):
                if name not in self._discarded:
                    self._discarded.add(name)
                    discarded.append(name)
                self._finished.discard(name)  # the discard can be undone
                continue
            self._discarded.discard(name)
            if name in self._finished:
                continue
            try:
                files = _files(folder)
            except OSError:  # it was moved away meanwhile
                continue
            if name in self._damaged and self._as_it_was[name] == files:
                continue
            entry = look(folder)
            reason = entry.reason
            if entry.usable and entry.poor and not self._poor:
                poor.append((name, entry.poor))
                self._finished.add(name)
                self._damaged.pop(name, None)
                continue
            if entry.usable:
                try:
                    finished.append((name, count_episode(entry, self._rule)))
                    self._finished.add(name)
                    self._damaged.pop(name, None)
                    continue
                except (BagError, OSError) as error:
                    reason = str(error)
            elif entry.state in ("incomplete", "broken") and not entry.damage:
                newest, changed = folder == folders[-1], self._as_it_was.get(name) != files
                self._as_it_was[name] = files
                self.unfinished = name if newest else self.unfinished
                if newest or changed:
                    continue
            self._as_it_was[name] = files
            if self._damaged.get(name) != reason:
                self._damaged[name] = reason
                damaged.append((name, reason))
        return News(tuple(finished), tuple(discarded), tuple(damaged), tuple(poor))

    @property
    def damaged(self) -> dict[str, str]:
        """The unusable episodes, and the reason for each."""
        return dict(self._damaged)


def _files(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return names, sizes and modification times of an episode's files, to detect changes."""
    stats = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


@dataclass
class RetrainTrigger:
    """Collects the data that the newest policy has not been trained on, and decides when to retrain.

    Training is due when a finished episode contains an intervention, when there are `labels` new labelled
    ticks, or when an episode in the newest good policy's training data was discarded.
    Raises ValueError if `labels` is below 1.
    """

    labels: int = 200
    new: dict[str, EpisodeCounts] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)
    _known: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.labels < 1:
            raise ValueError(f"labels must be at least 1, not {self.labels}")

    def newest(self, version: str, learnt: Collection[str], discarded: Collection[str]) -> None:
        """Register the newest good version, whose training data may contain discarded episodes."""
        if version not in self._known:  # retry once per version, not forever
            self._known.add(version)
            self.undone |= set(learnt) & set(discarded)

    def take(self, news: News, learnt: Collection[str]) -> None:
        """Register changes; `learnt`: the episodes in the newest good policy's training data."""
        self.new |= {name: count for name, count in news.finished if name not in learnt}
        for name in news.discarded:
            self.new.pop(name, None)
            if name in learnt:
                self.undone.add(name)

    def due(self) -> str:
        """Return the reason to train now, "" if training is not due."""
        if self.undone:
            return f"discarded: {', '.join(sorted(self.undone))}"
        corrected = sorted(name for name, count in self.new.items() if count.labelled and count.interventions)
        if corrected:
            return f"corrected: {', '.join(corrected)}; {counted(self.labelled, 'new label')}"
        return f"{counted(self.labelled, 'new label')}" if self.labelled >= self.labels else ""

    @property
    def labelled(self) -> int:
        """The number of labels that the newest policy has not been trained on."""
        return sum(count.labelled for count in self.new.values())

    def begun(self) -> None:
        """Reset the collected data when a training starts; later data counts for the next one."""
        self.new.clear()
        self.undone.clear()
