"""Import a LeRobotDataset v3.0 as episodes: bags, as this package records them.

Why bags, and not arrays: everything that reads episodes reads bags, from `episodes list` to the trainer, and arrays
are made from them by the one synchroniser. Numbers are kept to the last bit. Pictures are those of the decoded
video, stored without further loss. Frame k lies at k periods of the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from il_ros.core import contract as contracts
from il_ros.core.contract import Contract, ContractError
from il_ros.core.specs import WHOLE
from il_ros.core.tables import counted
from il_ros.episodes.exchange.bags import ImportedEpisode, require_own_topics, write_bag
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.journal import Journal
from il_ros.episodes.exchange.lerobot.draft import TOPICS, draft_contract
from il_ros.episodes.exchange.lerobot.layout import GROUP_INTERVENTION, OWN, DatasetInfo, read_info, read_json
from il_ros.episodes.exchange.lerobot.match import Match, interpreted, match
from il_ros.episodes.exchange.lerobot.rows import DataRows
from il_ros.episodes.exchange.lerobot.tables import EpisodeRow, read_episodes, read_tasks
from il_ros.episodes.exchange.report import ImportReport
from il_ros.episodes.exchange.shards import Shard
from il_ros.records.outcomes import FAILURE, SUCCESS, UNMARKED


def import_lerobot(
    path: Path,
    root: Path,
    *,
    contract: Contract | None = None,
    features: Mapping[str, str] | None = None,
    episodes: Sequence[int] | None = None,
    demonstrations: bool = False,
    shard: Shard | None = None,
    progress: Callable[[Sequence[EpisodeRow]], Iterable[EpisodeRow]] = iter,
) -> ImportReport:
    """Write the episodes of the data set in folder `path` as episodes under `root`.

    `contract`: what the bags hold; None: the one that an export of this package has with it, or else a drafted
    one (`draft_contract`). `features`: a feature by the contract's key, where names do not say it. `episodes`:
    their numbers in the data set, None: all. Without `demonstrations`, a feature `intervention` says which frames
    a person commanded: only these become labels; with it, or without that feature, all commands are labels.
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
    source = _EpisodeMaker(info, found, sentences, not demonstrations)
    folders: list[Path] = []
    before = frames = 0
    with DataRows(info, rows) as data:
        for row in progress(wanted if shard is None else shard.part(wanted)):
            if journal.has(row.index):
                before += 1
                continue
            episode = source.episode(row, data)
            folder = journal.claim(row.index)
            write_bag(folder, contract, episode)
            folders.append(folder)
            frames += row.length
    journal.finish(f"{content} {contract.hash} {sorted((features or {}).items())} {demonstrations}")
    notes = [*info.notes, *source.notes()]
    return ImportReport(contract, tuple(folders), before, frames, tuple(notes))


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


class _EpisodeMaker:
    """Makes the episodes of a data set; what was noticed meanwhile is in `notes`."""

    def __init__(self, info: DatasetInfo, found: Match, sentences: Sequence[str], decided: bool):
        self._info, self._found, self._sentences = info, found, sentences
        intervention, self._success = interpreted(info)
        self._intervention = intervention if decided else None
        groups = {group: info.features.get(GROUP_INTERVENTION + group) for group in found.groups}
        known = {group: each for group, each in groups.items() if each is not None and each.size == 1}
        self._groups = known if len(known) == len(groups) else {}
        self._several = self._manual = 0
        self._extra = {each.key: f"/{TOPICS}/extra/{_token(each.key)}" for each in found.extra}

    def notes(self) -> Iterator[str]:
        """Yield sentences about what was kept apart, left out or interpreted."""
        if self._intervention is not None:
            yield (
                f"feature 'intervention': the {counted(self._manual, 'frame')} that a person commanded are labels, the "
                "others are not (--demonstrations makes all of them labels)"
            )
        if self._success is None:
            yield "the data set has no feature 'next.success': the episodes are unmarked"
        if self._extra:
            listed = ", ".join(f"'{key}' on {topic}" for key, topic in self._extra.items())
            yield f"features that the contract does not use are kept in the bags: {listed}"
        for feature in self._found.unused:
            yield f"the pictures '{feature.key}' are not used by the contract, and not imported"
        if self._several:
            yield f"{counted(self._several, 'episode')} with several task sentences; the first is the instruction"

    def episode(self, row: EpisodeRow, data: DataRows) -> ImportedEpisode:
        """Return an episode; its counters are checked, its pictures are decoded when they are taken."""
        found = self._found
        tasks = data.require_counters(row)
        sentences = [self._sentences[int(task)] for task in tasks]
        self._several += len(set(sentences)) > 1
        manual = None
        if self._intervention is not None:
            whole = data.numbers(row, self._intervention).reshape(-1)
            self._manual += int(np.count_nonzero(whole))
            manual = {
                group: data.numbers(row, feature).reshape(-1) for group, feature in self._groups.items()
            } or {WHOLE: whole}
        texts = {key: data.texts(row, feature) for key, feature in found.texts.items()}
        return ImportedEpisode(
            number=row.index,
            frames_before=row.start,
            length=row.length,
            numbers={key: part.of(data.numbers(row, part.feature)) for key, part in found.numbers.items()},
            pictures={key: data.pictures(row, feature) for key, feature in found.pictures.items()},
            texts=texts | dict.fromkeys(found.sentences, sentences),
            commands={key: part.of(data.numbers(row, part.feature)) for key, part in found.actions.items()},
            extra={
                self._extra[each.key]: data.texts(row, each)
                if each.dtype == "string"
                else data.numbers(row, each)
                for each in found.extra
            },
            manual=manual,
            outcome=self._outcome(row, data),
            task=sentences[0],
            instruction=sentences[0],
            origin={
                "format": "LeRobotDataset v3.0",
                "path": str(self._info.root),
                "episode": f"episode {row.index}",
            },
        )

    def _outcome(self, row: EpisodeRow, data: DataRows) -> str:
        """Return the verdict: `next.success` of the last frame."""
        if self._success is None:
            return UNMARKED
        return SUCCESS if data.numbers(row, self._success).reshape(-1)[-1] else FAILURE


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
