"""Import a LeRobotDataset v3.0 as episodes: bags, as this package records them.

Why bags, and not arrays: everything that reads episodes reads bags, from `episodes list` to the trainer, and arrays
are made from them by the one synchroniser. Numbers are kept to the last bit. Pictures stay compressed, so that a
million frames fit on a disk: those of a file as they are, those of a video as jpegs that the array cache then takes
over; `lossless` keeps every bit of the decoded video instead. Frame k lies at k periods of the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import contract as contracts
from il_ros.core.contract import Contract, ContractError
from il_ros.core.specs import COMPRESSED_IMAGE, WHOLE
from il_ros.core.tables import counted
from il_ros.episodes.arrays.pictures import QUALITY
from il_ros.episodes.exchange.bags import ImportedEpisode, require_own_topics, write_bag
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.journal import Journal
from il_ros.episodes.exchange.lerobot.draft import TOPICS, draft_contract
from il_ros.episodes.exchange.lerobot.layout import (
    GROUP_INTERVENTION,
    OWN,
    DatasetInfo,
    Feature,
    read_info,
    read_json,
)
from il_ros.episodes.exchange.lerobot.match import Match, interpreted, match
from il_ros.episodes.exchange.lerobot.rows import DataRows
from il_ros.episodes.exchange.lerobot.tables import EpisodeRow, read_episodes, read_tasks
from il_ros.episodes.exchange.report import ImportReport
from il_ros.episodes.exchange.shards import Shard
from il_ros.episodes.jobs import cores, mapped
from il_ros.records.outcomes import FAILURE, SUCCESS, UNMARKED

Array = np.ndarray[Any, Any]


def import_lerobot(
    path: Path,
    root: Path,
    *,
    contract: Contract | None = None,
    features: Mapping[str, str] | None = None,
    episodes: Sequence[int] | None = None,
    demonstrations: bool = False,
    lossless: bool = False,
    shard: Shard | None = None,
    jobs: int = 1,
    progress: Callable[[Sequence[EpisodeRow]], Iterable[EpisodeRow]] = iter,
) -> ImportReport:
    """Write the episodes of the data set in folder `path` as episodes under `root`.

    `contract`: what the bags hold; None: the one that an export of this package has with it, or else a drafted
    one (`draft_contract`). `features`: a feature by the contract's key, where names do not say it. `episodes`:
    their numbers in the data set, None: all. Without `demonstrations`, a feature `intervention` says which frames
    a person commanded: only these become labels; with it, or without that feature, all commands are labels.
    `lossless`: keep the frames of videos to the last bit, as png or zstandard, not as jpegs. `jobs`: processes at a
    time, 0: one per core where that is worth it; a script that uses several needs `if __name__ == "__main__":`.
    `shard`: import only this part of them, into a root of its own, which `merge_imports` puts together.
    An import that was interrupted goes on where it stopped.
    Raises ExchangeError naming file, key and value that can't be used, ContractError, OSError.
    """
    info = read_info(path)
    rows = read_episodes(info)
    sentences = read_tasks(info)
    contract = contract_of(info) if contract is None else contract
    found = match(contract, info, features or {})
    require_own_topics(contract)
    wanted = _selected(rows, episodes, info)
    content = f"{info.episodes} {info.frames} {sorted(info.features)}"
    indices = [row.index for row in wanted]
    journal = Journal(root, f"{info.root.resolve()} {content}", indices, shard)
    part = wanted if shard is None else shard.part(wanted)
    todo = [row for row in part if not journal.has(row.index)]
    folders: list[Path] = []

    def claimed() -> Iterator[tuple[EpisodeRow, Path]]:
        for row in todo:
            folders.append(journal.claim(row.index))
            yield row, folders[-1]

    noticed: list[_Noticed] = []
    with (
        DataRows(info, rows) as data,
        mapped(
            _EpisodeMaker(data, contract, found, sentences, not demonstrations, lossless),
            claimed(),
            min(jobs or _jobs(todo, found), len(todo)),
        ) as results,
    ):
        for _ in progress(todo):
            noticed.append(_next(results))
    journal.finish(
        f"{content} {contract.hash} {sorted((features or {}).items())} {demonstrations} {lossless}"
    )
    notes = [*info.notes, *_notes(info, found, noticed, not demonstrations, lossless)]
    frames = sum(row.length for row in todo)
    by_hand = interpreted(info)[0] is not None and not demonstrations
    labelled = not (todo and by_hand) or any(each.manual for each in noticed)
    return ImportReport(contract, tuple(folders), len(part) - len(todo), frames, tuple(notes), labelled)


WORTH_PICTURES = 5_000
"""Pictures to convert from which several processes, which take a second to start, are faster."""


def _jobs(rows: Sequence[EpisodeRow], found: Match) -> int:
    return cores() if sum(row.length for row in rows) * len(found.pictures) >= WORTH_PICTURES else 1


def _next(results: Iterator[_Noticed]) -> _Noticed:
    try:
        return next(results)
    except BrokenProcessPool as error:
        raise ExchangeError(
            "one of the processes that convert was killed, perhaps because the memory was used up; the same import "
            "with fewer jobs goes on where it stopped"
        ) from error


def contract_of(info: DatasetInfo) -> Contract:
    """Return the contract that an export has with it, if the data set still fits it, or a drafted one."""
    if (info.root / OWN).exists():
        text = read_json(info.root / OWN).get("contract")
        try:
            own = contracts.parse(text if isinstance(text, str) else "", str(info.root / OWN))
            match(own, info, {})
            return own
        except (ContractError, ExchangeError):  # its features were changed since, or it was resampled
            pass
    return contracts.parse(draft_contract(info.root), f"the contract drafted from {info.root}")


@dataclass(frozen=True)
class _Noticed:
    """Of one episode: `manual`, its frames that a person commanded; `several`, whether it has several sentences."""

    manual: int
    several: bool


def _topics(found: Match) -> dict[str, str]:
    """Return the topic of each feature that the contract does not use, by its key."""
    return {each.key: f"/{TOPICS}/extra/{_token(each.key)}" for each in found.extra}


def _notes(
    info: DatasetInfo, found: Match, noticed: Sequence[_Noticed], decided: bool, lossless: bool
) -> Iterator[str]:
    """Yield sentences about what was kept apart, left out or interpreted."""
    intervention, success = interpreted(info)
    manual = sum(each.manual for each in noticed)
    if intervention is not None and decided and manual:
        yield (
            f"feature 'intervention': the {counted(manual, 'frame')} that a person commanded are labels, the others "
            "are not (--demonstrations makes all of them labels)"
        )
    elif intervention is not None and decided and noticed:
        yield (
            "feature 'intervention': a person commanded no frame, so none is a label, and there is nothing to train "
            "on; imported with --demonstrations, all are"
        )
    if success is None:
        yield "the data set has no feature 'next.success': the episodes are unmarked"
    if found.extra:
        listed = ", ".join(f"'{key}' on {topic}" for key, topic in _topics(found).items())
        yield f"features that the contract does not use are kept in the bags: {listed}"
    for feature in found.unused:
        yield f"the pictures '{feature.key}' are not used by the contract, and not imported"
    videos = [key for key, feature in found.pictures.items() if _is_reencoded(feature)]
    if videos and not lossless:
        yield (
            f"the frames of videos are kept as jpegs of quality {QUALITY}: {', '.join(videos)} (--lossless keeps "
            "every bit)"
        )
    if several := sum(each.several for each in noticed):
        yield f"{counted(several, 'episode')} with several task sentences; the first is the instruction"


def _is_reencoded(feature: Feature) -> bool:
    return feature.dtype == "video" and not feature.is_depth


class _EpisodeMaker:
    """Writes the episodes of a data set; several processes may each have one."""

    def __init__(
        self,
        data: DataRows,
        contract: Contract,
        found: Match,
        sentences: Sequence[str],
        decided: bool,
        lossless: bool,
    ):
        self._data, self._info, self._contract = data, data.info, contract
        self._found, self._sentences, self._lossless = found, sentences, lossless
        intervention, self._success = interpreted(self._info)
        self._intervention = intervention if decided else None
        groups = {group: self._info.features.get(GROUP_INTERVENTION + group) for group in found.groups}
        known = {group: each for group, each in groups.items() if each is not None and each.size == 1}
        self._groups = known if len(known) == len(groups) else {}
        self._extra = _topics(found)

    def __call__(self, work: tuple[EpisodeRow, Path]) -> _Noticed:
        """Write an episode into a folder; raises ExchangeError, OSError."""
        row, folder = work
        tasks = self._data.require_counters(row)
        sentences = [self._sentences[int(task)] for task in tasks]
        manual = None
        if self._intervention is not None:
            manual = self._data.numbers(row, self._intervention).reshape(-1)
        write_bag(folder, self._contract, self._episode(row, sentences, manual))
        commanded = 0 if manual is None else int(np.count_nonzero(manual))
        return _Noticed(commanded, len(set(sentences)) > 1)

    def _is_compressed(self, key: str) -> bool:
        """Whether the pictures of an observation are written as jpegs or pngs that need no array."""
        feature = self._found.pictures[key]
        if feature.is_depth:
            return False
        own = self._contract.observation(key).type == COMPRESSED_IMAGE
        return not self._lossless or (own and feature.dtype == "image")

    def _episode(self, row: EpisodeRow, sentences: Sequence[str], whole: Array | None) -> ImportedEpisode:
        """Return an episode, whose pictures are decoded when they are taken.

        `whole` (T,): whether a person commanded the frame; None: all commands are labels.
        """
        found, data = self._found, self._data
        manual = None
        if whole is not None:
            manual = {
                group: data.numbers(row, feature).reshape(-1) for group, feature in self._groups.items()
            } or {WHOLE: whole}
        texts = {key: data.texts(row, feature) for key, feature in found.texts.items()}
        compressed = [key for key in found.pictures if self._is_compressed(key)]
        return ImportedEpisode(
            number=row.index,
            frames_before=row.start,
            length=row.length,
            numbers={key: part.of(data.numbers(row, part.feature)) for key, part in found.numbers.items()},
            pictures={
                key: data.compressed(row, feature) if key in compressed else data.pictures(row, feature)
                for key, feature in found.pictures.items()
            },
            compressed=compressed,
            texts=texts | dict.fromkeys(found.sentences, sentences),
            commands={key: part.of(data.numbers(row, part.feature)) for key, part in found.actions.items()},
            extra={
                self._extra[each.key]: data.texts(row, each)
                if each.dtype == "string"
                else data.numbers(row, each)
                for each in found.extra
            },
            manual=manual,
            outcome=self._outcome(row),
            task=sentences[0],
            instruction=sentences[0],
            origin={
                "format": "LeRobotDataset v3.0",
                "path": str(self._info.root),
                "episode": f"episode {row.index}",
            },
        )

    def _outcome(self, row: EpisodeRow) -> str:
        """Return the verdict: `next.success` of the last frame."""
        if self._success is None:
            return UNMARKED
        return SUCCESS if self._data.numbers(row, self._success).reshape(-1)[-1] else FAILURE


def _selected(
    rows: Sequence[EpisodeRow], episodes: Sequence[int] | None, info: DatasetInfo
) -> list[EpisodeRow]:
    if episodes is None:
        return list(rows)
    wrong = [index for index in episodes if not 0 <= index < len(rows)]
    if wrong:
        raise ExchangeError(f"{info.root}: has no episode {wrong[0]}; they are 0 to {len(rows) - 1}")
    return [rows[index] for index in dict.fromkeys(episodes)]


def _token(key: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in key)
