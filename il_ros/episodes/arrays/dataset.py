"""Build a training dataset: select and convert episodes, split them, and report what was left out."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from il_ros.core.contract import Contract
from il_ros.core.tables import counted, grouped
from il_ros.episodes.arrays import array_files, cache, magnitude
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.arrays.turns import turn_warnings
from il_ros.episodes.bag.reader import BagError, BeingRecordedError
from il_ros.episodes.bag.topics import MismatchError
from il_ros.episodes.catalogue import Entry, Omission, Selection, scan
from il_ros.episodes.jobs import jobs_for, mapped
from il_ros.records.labelling import BY_MODE, DRIVEN, SENT, Rule
from il_ros.records.outcomes import FAILURE

SPLITS = ("episode", "operator", "task", "instruction")
"""What validation episodes share with no training episode."""
UNUSABLE = (BagError, MismatchError, array_files.NoFramesError)
Progress = Callable[[Sequence[Entry]], Iterable[Entry]]


class DatasetError(ValueError):
    """No episode remains that can be used; the message gives the reason for each episode."""


@dataclass(frozen=True)
class DatasetSummary:
    """The contents of a dataset: episode names, and (name, reason) of those left out.

    `omissions`: the kind of reason by the name of an episode that was left out. `notes`: sentences about what
    is used, which are no warnings.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    frames: int
    skipped: dict[str, int]
    left_out: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    omissions: Mapping[str, Omission] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def _poor_line(self) -> str:
        """Return one line about the episodes that were left out as poor, with the most common reasons."""
        alike: dict[str, list[str]] = {}
        for name, reason in self.left_out:
            if self.omissions.get(name) is Omission.POOR:
                text = reason.removeprefix(_POOR)
                alike.setdefault(_NUMBERS.sub("#", text), []).append(text)
        if not alike:
            return ""
        groups = sorted(alike.values(), key=len, reverse=True)
        listed = [same[0] + (f" ({len(same)} like it)" if len(same) > 1 else "") for same in groups[:3]]
        listed += [f"{len(groups) - 3} other reasons"] if len(groups) > 3 else []
        total = sum(len(same) for same in groups)
        episodes = "1 poor episode" if total == 1 else f"{total} poor episodes"
        return f"left out {episodes}: {'; '.join(listed)}; --poor uses them"

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
        out += [f"  {note}" for note in self.notes]
        poor = self._poor_line()
        out += [f"  {poor}"] if poor else []
        others = [pair for pair in self.left_out if self.omissions.get(pair[0]) is not Omission.POOR]
        out += [f"  left out {line}" for line in grouped(others)]
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
        validation_by: str = "episode",
        seed: int = 0,
        held_out: Collection[str] | None = None,
        rule: Rule = BY_MODE,
        progress: Progress = iter,
        history: int = 1,
        optional: Collection[str] = (),
        pictures: str = "auto",
        jobs: int = 1,
    ) -> Dataset:
        """Convert the selected episodes under `root`, or load them from the cache.

        `validation`: the share of frames used for validation, in whole episodes: at least one episode when above
        0 and at most `validation_most`, and never more frames than remain to train. `validation_by`: one of SPLITS; all
        episodes of an operator (task, instruction) are then held out, or none, and `validation_most` counts operators.
        `held_out`: the names of the validation episodes, instead of a share.
        `history` and `optional`: those of the policy that is trained, see `cache.Conversion`. `pictures`: how they are
        kept, see `cache.compresses`. `jobs`: processes that convert at a time, 0: one per core where that is worth it.
        A script that uses several needs `if __name__ == "__main__":`, as they import it.
        `progress` wraps the sequence of episodes being converted, as tqdm does.
        Raises DatasetError when no episode remains, FileNotFoundError when `root` does not exist, OSError
        when the cache can't be written.
        """
        select = Selection() if select is None else select
        wanted, left_out, omissions = _choose(root, select)
        array_files.allow_open_files(len(wanted) * len(contract.observations))
        compressed = cache.compresses(wanted, contract, pictures)
        form = cache.Conversion(contract, cache.cache_folder(root), rule, history, optional, compressed)
        made = {entry.name: form.ready(entry) for entry in wanted}
        missing = [entry for entry in wanted if made[entry.name] is None]
        episodes = []
        if rule not in (BY_MODE, DRIVEN, SENT):
            jobs = 1  # another process may not have its function
        jobs = jobs or jobs_for([entry.folder for entry in missing])
        with mapped(partial(_convert, form), missing, jobs) as converted:
            for entry in progress(wanted):
                arrays = made[entry.name]
                try:
                    if arrays is None:
                        if (error := _next(converted, jobs)) is not None:
                            raise error
                        arrays = form.load(entry)
                    if impossible := magnitude.refusal(contract, arrays):
                        left_out.append((entry.name, impossible))
                        omissions[entry.name] = Omission.UNUSABLE
                    else:
                        episodes.append(arrays)
                except UNUSABLE as error:  # the other episodes remain usable
                    left_out.append((entry.name, entry.without_folder(str(error))))
                    omissions[entry.name] = _omission(error)
        if not episodes:
            asked = [pair for pair in left_out if not select.names or pair[0] in select.names]
            listed = "\n".join(f"  {line}" for line in grouped(asked))
            hint = "; --poor uses the poor ones" if Omission.POOR in omissions.values() else ""
            raise DatasetError(
                f"{root}: no episode can be used{hint}\n{listed or '  the folder holds no episodes'}"
            )
        if held_out is None:
            units = _units(wanted, {episode.name: len(episode) for episode in episodes}, validation_by)
            frames = {unit: sum(members.values()) for unit, members in units.items()}
            chosen = validation_names(frames, validation, seed, validation_most)
            held_out = {name for unit in chosen for name in units[unit]}
        return cls._split(
            contract, episodes, frozenset(held_out), left_out, omissions, validation, validation_by
        )

    @classmethod
    def _split(
        cls,
        contract: Contract,
        episodes: Sequence[EpisodeArrays],
        held_out: frozenset[str],
        left_out: Sequence[tuple[str, str]],
        omissions: Mapping[str, Omission],
        validation: float,
        validation_by: str,
    ) -> Dataset:
        train = tuple(episode for episode in episodes if episode.name not in held_out)
        kept = tuple(episode for episode in episodes if episode.name in held_out)
        skipped: Counter[str] = Counter()
        for episode in episodes:
            skipped.update(episode.skipped)
        warnings = [*_notes(episodes), *turn_warnings(contract, episodes)]
        if validation > 0 and not kept:
            if len(episodes) == 1:
                why = "there is only one episode: it is"
            else:
                why = f"one {validation_by} has most of the frames: all are"
            warnings.append(f"{why} used for training, none for validation")
        if any(not episode.authority for episode in episodes):  # labelled by commands, not by decisions
            warnings += contract.expiry_warnings
        warnings += contract.unit_warnings
        summary = DatasetSummary(
            train=tuple(episode.name for episode in train),
            validation=tuple(episode.name for episode in kept),
            frames=sum(len(episode) for episode in episodes),
            skipped=dict(skipped.most_common()),
            left_out=tuple(left_out),
            warnings=tuple(warnings),
            omissions=omissions,
            notes=(*_outcome_notes(episodes), *_group_notes(contract, episodes)),
        )
        return cls(contract, train, kept, summary)


def _convert(conversion: cache.Conversion, entry: Entry) -> ValueError | None:
    """Fill the cache; return why the episode can't be used, as the error that `load` would raise."""
    try:
        conversion.prepare(entry)
    except UNUSABLE as error:
        return error
    return None


def _next(converted: Iterator[ValueError | None], jobs: int) -> ValueError | None:
    try:
        return next(converted)
    except BrokenProcessPool as error:
        raise DatasetError(
            f"one of the {jobs} processes that convert episodes was killed, perhaps because the memory was used up; "
            "what they had converted is kept, and the same command goes on from there"
        ) from error


def validation_names(
    frames: Mapping[str, int], share: float, seed: int, most: int | None = None
) -> frozenset[str]:
    """Return the names of the validation episodes: about a `share` of all frames, from 1 to `most` episodes.

    `frames`: each episode's number of frames. At least half of the frames remain to train, so a single
    episode is never used for validation, nor one that has most of the frames. Episodes are ordered by a hash
    of seed and name, so a growing dataset keeps most of its split, and training episodes seldom become
    validation episodes.
    Raises ValueError when the share is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"validation is a share of the frames from 0 to below 1, not {share}")
    total = sum(frames.values())
    chosen: list[str] = []
    held = 0
    ordered: list[Any] = sorted(frames, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    for name in ordered if share > 0 else ():
        if len(chosen) == most or (chosen and held + frames[name] / 2 > share * total):
            break
        if 2 * (held + frames[name]) <= total:
            chosen.append(name)
            held += frames[name]
    return frozenset(chosen)


def _units(wanted: Sequence[Entry], frames: Mapping[str, int], by: str) -> dict[str, dict[str, int]]:
    """Return the episodes' frames by name, in units that are held out whole; raises DatasetError.

    `by`: one of SPLITS.
    """
    units: dict[str, dict[str, int]] = {}
    for entry in wanted:
        if entry.name in frames:
            unit = entry.name if by == "episode" else getattr(entry.info, by, "")
            if not unit:
                raise DatasetError(
                    f"validation_by: {by}: {entry.folder} has no {by}; validation_by: episode needs none, and "
                    f"`il-ros record` sets it ({by}:=...)"
                )
            units.setdefault(unit, {})[entry.name] = frames[entry.name]
    return units


def _outcome_notes(episodes: Sequence[EpisodeArrays]) -> tuple[str, ...]:
    failed = sum(episode.outcome == FAILURE for episode in episodes)
    if not failed:
        return ()
    which = (
        "1 episode failed; the expert's commands in it"
        if failed == 1
        else f"{counted(failed, 'episode')} failed; the expert's commands in them"
    )
    return (f"{which} are learnt as in the others (--outcome success leaves failures out)",)


def _group_notes(contract: Contract, episodes: Sequence[EpisodeArrays]) -> tuple[str, ...]:
    """Return a sentence about the labels of each action group; none where there is one group."""
    if not contract.grouped:
        return ()
    counts = sum(episode.labelled.sum(axis=0) for episode in episodes)
    listed = (f"{group.name} {count}" for group, count in zip(contract.groups, counts, strict=True))
    return (f"frames with a label, by action group: {', '.join(listed)}",)


_POOR = "graded poor: "
_NUMBERS = re.compile(r"\d+(\.\d+)?")


def _notes(episodes: Sequence[EpisodeArrays]) -> list[str]:
    """Return each note once, with the episodes that it is about."""
    about: dict[str, list[str]] = {}
    for episode in episodes:
        for note in episode.notes:
            about.setdefault(note, []).append(episode.name)
    return [
        f"{names[0]}: {note}"
        if len(names) == 1
        else f"{counted(len(names), 'episode')}, {names[0]} first: {note}"
        for note, names in about.items()
    ]


def _omission(error: Exception) -> Omission:
    if isinstance(error, array_files.NoFramesError):
        return Omission.NO_FRAMES
    return Omission.BEING_RECORDED if isinstance(error, BeingRecordedError) else Omission.UNUSABLE


def _choose(root: Path, select: Selection) -> tuple[list[Entry], list[tuple[str, str]], dict[str, Omission]]:
    catalogue = scan(root)
    left_out = [
        (entry.name, f"{entry.state}: {entry.without_folder(entry.reason)}") for entry in catalogue.left_out
    ]
    omissions = {entry.name: entry.omission or Omission.UNUSABLE for entry in catalogue.left_out}
    wanted = []
    for entry in catalogue.usable:
        refusal, poor = select.refusal(entry), select.poorness(entry)
        if poor and not refusal:
            left_out.append((entry.name, _POOR + poor))
            omissions[entry.name] = Omission.POOR
        elif refusal:
            left_out.append((entry.name, refusal))
            omissions[entry.name] = Omission.NOT_SELECTED
        else:
            wanted.append(entry)
    missing = set(select.names) - {entry.name for entry in catalogue.entries}
    omissions |= dict.fromkeys(missing, Omission.NOT_SELECTED)
    return wanted, left_out + [(name, "there is no such episode") for name in sorted(missing)], omissions
