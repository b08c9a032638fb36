"""Build a training dataset: select and convert episodes, split them, and report what was left out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from il_ros.core.contract import Contract
from il_ros.core.tables import counted, grouped
from il_ros.episodes.arrays import array_files, cache
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.bag.reader import BagError, BeingRecordedError
from il_ros.episodes.bag.topics import MismatchError
from il_ros.episodes.catalogue import Entry, Omission, Selection, scan
from il_ros.records.labelling import BY_MODE, Rule

UNUSABLE = (BagError, MismatchError, array_files.NoFramesError)
Progress = Callable[[Sequence[Entry]], Iterable[Entry]]


class DatasetError(ValueError):
    """No episode remains to train on; the message gives the reason for each episode."""


@dataclass(frozen=True)
class DatasetSummary:
    """The contents of a dataset: episode names, and (name, reason) of those left out.

    `omissions`: the kind of reason by the name of an episode that was left out.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    frames: int
    skipped: dict[str, int]
    left_out: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    omissions: Mapping[str, Omission] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return the summary as printable lines."""
        count = len(self.train) + len(self.validation)
        out = [
            f"{counted(count, 'episode')}, {counted(self.frames, 'frame')}: "
            f"{len(self.train)} to train, {len(self.validation)} to validate"
        ]
        out += [
            f"  {counted(ticks, 'tick')} without a frame: {reason}" for reason, ticks in self.skipped.items()
        ]
        out += [f"  left out {line}" for line in grouped(self.left_out)]
        return out + [f"  warning: {warning}" for warning in self.warnings]


@dataclass(frozen=True)
class Dataset:
    """Episodes of one contract, split into training and validation episodes."""

    contract: Contract
    train: tuple[EpisodeArrays, ...]
    validation: tuple[EpisodeArrays, ...]
    summary: DatasetSummary

    @classmethod
    def open(
        cls,
        root: Path,
        contract: Contract,
        select: Selection | None = None,
        *,
        validation: float = 0.1,
        validation_most: int | None = None,
        seed: int = 0,
        rule: Rule = BY_MODE,
        progress: Progress = iter,
    ) -> Dataset:
        """Convert the selected episodes under `root`, or load them from the cache.

        `validation`: the share of episodes used for validation, at least one episode when above 0 and at most
        `validation_most`. `progress` wraps the sequence of episodes being converted, as tqdm does.
        Raises DatasetError when no episode remains, FileNotFoundError when `root` does not exist, OSError
        when the cache can't be written.
        """
        select = Selection() if select is None else select
        wanted, left_out, omissions = _choose(root, select)
        array_files.allow_open_files(len(wanted) * len(contract.observations))
        folder = cache.cache_folder(root)
        episodes = []
        for entry in progress(wanted):
            try:
                episodes.append(cache.load(entry, contract, folder, rule))
            except UNUSABLE as error:  # the other episodes remain usable
                left_out.append((entry.name, str(error)))
                omissions[entry.name] = _omission(error)
        if not episodes:
            listed = "\n".join(f"  {line}" for line in grouped(left_out))
            raise DatasetError(
                f"{root}: no episode to train on\n{listed or '  the folder holds no episodes'}"
            )
        names = [episode.name for episode in episodes]
        held_out = validation_names(names, validation, seed, validation_most)
        return cls._split(contract, episodes, held_out, left_out, omissions, validation)

    @classmethod
    def _split(
        cls,
        contract: Contract,
        episodes: Sequence[EpisodeArrays],
        held_out: frozenset[str],
        left_out: Sequence[tuple[str, str]],
        omissions: Mapping[str, Omission],
        validation: float,
    ) -> Dataset:
        train = tuple(episode for episode in episodes if episode.name not in held_out)
        kept = tuple(episode for episode in episodes if episode.name in held_out)
        skipped: Counter[str] = Counter()
        for episode in episodes:
            skipped.update(episode.skipped)
        warnings = []
        if validation > 0 and not kept:
            warnings.append("there is only one episode: it is used for training, none for validation")
        if any(not episode.authority for episode in episodes):  # labelled by commands, not by decisions
            warnings += contract.expiry_warnings
        summary = DatasetSummary(
            train=tuple(episode.name for episode in train),
            validation=tuple(episode.name for episode in kept),
            frames=sum(len(episode) for episode in episodes),
            skipped=dict(skipped.most_common()),
            left_out=tuple(left_out),
            warnings=tuple(warnings),
            omissions=omissions,
        )
        return cls(contract, train, kept, summary)


def validation_names(
    names: Sequence[str], share: float, seed: int, most: int | None = None
) -> frozenset[str]:
    """Return the names of the validation episodes: a share of `names`, from 1 to `most`.

    A single episode is never used for validation. Episodes are ordered by a hash of seed and name, so a
    growing dataset keeps most of its split, and training episodes seldom become validation episodes.
    Raises ValueError when the share is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"validation is a share of the episodes from 0 to below 1, not {share}")
    if share == 0 or len(names) < 2:
        return frozenset()
    count = min(max(1, round(share * len(names))), len(names) - 1, len(names) if most is None else most)
    ordered: list[Any] = sorted(names, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    return frozenset(ordered[:count])


def _omission(error: Exception) -> Omission:
    if isinstance(error, array_files.NoFramesError):
        return Omission.NO_FRAMES
    return Omission.BEING_RECORDED if isinstance(error, BeingRecordedError) else Omission.UNUSABLE


def _choose(root: Path, select: Selection) -> tuple[list[Entry], list[tuple[str, str]], dict[str, Omission]]:
    catalogue = scan(root)
    left_out = [(entry.name, f"{entry.state}: {entry.reason}") for entry in catalogue.left_out]
    omissions = {entry.name: entry.omission or Omission.UNUSABLE for entry in catalogue.left_out}
    wanted = []
    for entry in catalogue.usable:
        refusal = select.refusal(entry)
        if refusal:
            left_out.append((entry.name, refusal))
            omissions[entry.name] = Omission.NOT_SELECTED
        else:
            wanted.append(entry)
    missing = set(select.names) - {entry.name for entry in catalogue.entries}
    omissions |= dict.fromkeys(missing, Omission.NOT_SELECTED)
    return wanted, left_out + [(name, "there is no such episode") for name in sorted(missing)], omissions
