"""Noticing new episodes under a root, and deciding when it is time to train on them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from il_ros.episodes.bag.reader import BagError
from il_ros.episodes.catalogue import look
from il_ros.episodes.counts import EpisodeCounts, tally
from il_ros.episodes.layout import episode_folders, is_discarded


@dataclass(frozen=True)
class News:
    """What has changed since the last look. `damaged`: (name, why) of episodes that can't be used."""

    finished: tuple[tuple[str, EpisodeCounts], ...] = ()
    discarded: tuple[str, ...] = ()
    damaged: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.finished or self.discarded or self.damaged)


class EpisodeWatcher:
    """Looks at the episodes under a root again and again; a finished one is opened once.

    An episode that isn't finished may be in the making, or being saved: it is damaged when a later one has
    begun and its files are as they were at the look before.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._finished: set[str] = set()
        self._discarded: set[str] = set()
        self._damaged: dict[str, str] = {}
        self._as_it_was: dict[str, tuple[tuple[str, int, int], ...]] = {}
        self.unfinished = ""
        """Name of the newest episode, while it isn't finished."""

    @property
    def discarded(self) -> frozenset[str]:
        """All episodes that were seen to have a tombstone."""
        return frozenset(self._discarded)

    def look(self) -> News:
        """Return what is new; nothing when there is no root yet."""
        if not self._root.is_dir():
            return News()
        finished: list[tuple[str, EpisodeCounts]] = []
        discarded: list[str] = []
        damaged: list[tuple[str, str]] = []
        folders = episode_folders(self._root)
        self.unfinished = ""
        for folder in folders:
            name = folder.name
            if is_discarded(folder):
                if name not in self._discarded:
                    self._discarded.add(name)
                    discarded.append(name)
                self._finished.discard(name)  # a tombstone may be taken away again
                continue
            self._discarded.discard(name)
            if name in self._finished:
                continue
            files = _files(folder)
            if name in self._damaged and self._as_it_was[name] == files:
                continue
            entry = look(folder)
            reason = entry.reason
            if entry.usable:
                try:
                    finished.append((name, tally(entry)))
                    self._finished.add(name)
                    self._damaged.pop(name, None)
                    continue
                except BagError as error:
                    reason = str(error)
            elif entry.state in ("incomplete", "broken"):
                newest, changed = folder == folders[-1], self._as_it_was.get(name) != files
                self._as_it_was[name] = files
                self.unfinished = name if newest else self.unfinished
                if newest or changed:
                    continue
            self._as_it_was[name] = files
            if self._damaged.get(name) != reason:
                self._damaged[name] = reason
                damaged.append((name, reason))
        return News(tuple(finished), tuple(discarded), tuple(damaged))

    @property
    def damaged(self) -> dict[str, str]:
        """The episodes that can't be used, and why."""
        return dict(self._damaged)


def _files(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what tells whether an episode has changed: names, sizes and times of its files."""
    stats = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


@dataclass
class RetrainTrigger:
    """What there is to learn that the newest policy hasn't seen, and whether a training is due.

    It is when an episode with an intervention has ended, when `labels` new labelled ticks are there, or when
    an episode that the newest good policy has seen was discarded.
    """

    labels: int = 200
    new: dict[str, EpisodeCounts] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)
    _known: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.labels < 1:
            raise ValueError(f"labels must be at least 1, not {self.labels}")

    def newest(self, version: str, learnt: Collection[str], discarded: Collection[str]) -> None:
        """Note the newest good version: it may have learnt what was discarded while it was trained."""
        if version not in self._known:  # once for each: a version that can't be bettered isn't tried for ever
            self._known.add(version)
            self.undone |= set(learnt) & set(discarded)

    def take(self, news: News, learnt: Collection[str]) -> None:
        """Note what changed; `learnt`: the episodes that the newest good policy has seen."""
        self.new |= {name: count for name, count in news.finished if name not in learnt}
        for name in news.discarded:
            self.new.pop(name, None)
            if name in learnt:
                self.undone.add(name)

    def due(self) -> str:
        """Return why it is time to train, "" when it isn't."""
        if self.undone:
            return f"discarded: {', '.join(sorted(self.undone))}"
        corrected = sorted(name for name, count in self.new.items() if count.labelled and count.interventions)
        if corrected:
            return f"corrected: {', '.join(corrected)}; {self.labelled} new labels"
        return f"{self.labelled} new labels" if self.labelled >= self.labels else ""

    @property
    def labelled(self) -> int:
        """How many labels there are that the newest policy hasn't seen."""
        return sum(count.labelled for count in self.new.values())

    def begun(self) -> None:
        """A training has begun and takes all that is there; what comes later is for the next one."""
        self.new.clear()
        self.undone.clear()
