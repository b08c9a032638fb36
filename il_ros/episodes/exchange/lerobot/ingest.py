"""Import a LeRobotDataset v3.0 as episodes: bags, as this package records them.

Why bags, and not arrays: everything that reads episodes reads bags, from `episodes list` to the trainer, and arrays
are made from them by the one synchroniser. Numbers are kept to the last bit. Pictures are those of the decoded
video, stored without further loss. Frame k lies at k periods of the contract.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import atomic, codecs, files, messages
from il_ros.core import contract as contracts
from il_ros.core.contract import Contract, ContractError
from il_ros.core.specs import ARRAY, STRING, ObservationSpec
from il_ros.core.tables import counted
from il_ros.episodes import layout
from il_ros.episodes.bag.topics import CONTRACT_RECORD
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.exchange import observed
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.lerobot.draft import TOPICS, draft_contract
from il_ros.episodes.exchange.lerobot.layout import MOST_JSON, OWN, DatasetInfo, read_info, read_json
from il_ros.episodes.exchange.lerobot.match import Match, interpreted, match
from il_ros.episodes.exchange.lerobot.rows import DataRows
from il_ros.episodes.exchange.lerobot.tables import EpisodeRow, read_episodes, read_tasks
from il_ros.episodes.layout import EpisodeInfo
from il_ros.records import decision
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.records.outcomes import FAILURE, SUCCESS, UNMARKED

Array = np.ndarray[Any, Any]

DECISIONS = "/dagger_supervisor/decision"
MODE = "hg_dagger"
"""The mode of imported decisions: the frames of an intervention are labels, the policy's are not."""
JOURNALS = ".imports"
FIRST_NS = 1_000_000_000
APART_NS = 10_000_000_000
COMMAND_AFTER_NS = 1_000_000
"""A command arrives this long after its frame, and its decision as long after that."""
ORIGIN = "il_ros.imported"
"""Name of the bag's record that says where the episode is from."""


@dataclass(frozen=True)
class ImportReport:
    """What was imported: the new folders, the episodes that were there already, and sentences about the rest."""

    contract: Contract
    folders: tuple[Path, ...]
    before: int
    frames: int
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the report as printable lines."""
        first = f"{counted(len(self.folders), 'episode')}, {counted(self.frames, 'frame')}"
        if self.folders:
            first += f": {self.folders[0].name} to {self.folders[-1].name}"
        out = [f"{first}, under contract '{self.contract.name}'"]
        out += [f"  {counted(self.before, 'episode')} had been imported before"] if self.before else []
        return out + [f"  {note}" for note in self.notes]


def import_lerobot(
    path: Path,
    root: Path,
    *,
    contract: Contract | None = None,
    features: Mapping[str, str] | None = None,
    episodes: Sequence[int] | None = None,
    demonstrations: bool = False,
    progress: Callable[[Sequence[EpisodeRow]], Iterable[EpisodeRow]] = iter,
) -> ImportReport:
    """Write the episodes of the data set in folder `path` as episodes under `root`.

    `contract`: what the bags hold; None: the one that an export of this package has with it, or else a drafted
    one (`draft_contract`). `features`: a feature by the contract's key, where names do not say it. `episodes`:
    their numbers in the data set, None: all. Without `demonstrations`, a feature `intervention` says which frames
    a person commanded: only these become labels; with it, or without that feature, all commands are labels.
    An import that was interrupted goes on where it stopped.
    Raises ExchangeError naming file, key and value that can't be used, ContractError, OSError.
    """
    info = read_info(path)
    rows = read_episodes(info)
    sentences = read_tasks(info)
    contract = contract_of(info) if contract is None else contract
    found = match(contract, info, features or {})
    _require_own_topics(contract)
    wanted = _selected(rows, episodes, info)
    journal = _Journal(root, info)
    writer = _Writer(info, contract, found, sentences, not demonstrations)
    folders: list[Path] = []
    before = frames = 0
    with DataRows(info, rows) as data:
        for row in progress(wanted):
            if journal.has(row.index):
                before += 1
                continue
            folder = journal.claim(row.index)
            writer.write(folder, row, data)
            folders.append(folder)
            frames += row.length
    notes = [*info.notes, *writer.notes()]
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


class _Journal:
    """Which episodes of a data set were imported as which folders, kept beside them."""

    def __init__(self, root: Path, info: DatasetInfo):
        self._root = root
        meaning = f"{info.root.resolve()} {info.episodes} {info.frames} {sorted(info.features)}"
        name = hashlib.sha256(meaning.encode()).hexdigest()[:16]
        self._path = root / JOURNALS / f"{name}.json"
        self._folders: dict[str, str] = {}
        try:
            saved = files.read_json(self._path, MOST_JSON)
            self._folders = {
                str(index): str(layout.episode_name(int(number))) for index, number in saved.items()
            }
        except (OSError, ValueError, AttributeError, TypeError):
            pass

    def has(self, index: int) -> bool:
        """Return whether an episode was imported completely, and is still there."""
        name = self._folders.get(str(index))
        try:
            return name is not None and layout.load_info(self._root / name).complete
        except layout.LayoutError:
            return False

    def claim(self, index: int) -> Path:
        """Return an empty folder for an episode: a new one, or the one of an import that was interrupted."""
        name = self._folders.get(str(index))
        folder = None if name is None else self._root / name
        if folder is not None and folder.is_dir() and _is_unfinished(folder):
            shutil.rmtree(folder)
            folder.mkdir()
            return folder
        folder = layout.claim_next(self._root)
        self._folders[str(index)] = folder.name
        self._path.parent.mkdir(exist_ok=True)
        numbers = {key: layout.episode_number(value) for key, value in self._folders.items()}
        atomic.write_text(self._path, json.dumps(numbers))
        return folder


def _is_unfinished(folder: Path) -> bool:
    """Return whether a folder holds nothing but an import that did not end."""
    known = {layout.bag_file(folder).name, layout.METADATA_FILE, layout.INFO_FILE, ".reserve"}
    return {path.name for path in folder.iterdir()} <= known


class _Writer:
    """Writes one episode after another."""

    def __init__(
        self, info: DatasetInfo, contract: Contract, found: Match, sentences: Sequence[str], decided: bool
    ):
        self._info, self._contract, self._found = info, contract, found
        self._sentences = sentences
        intervention, self._success = interpreted(info)
        self._intervention = intervention if decided else None
        self._several = self._manual = 0
        self._extra = {each.key: f"/{TOPICS}/extra/{_token(each.key)}" for each in found.extra}
        trigger = contract.trigger
        self._specs = sorted(contract.observations, key=lambda spec: spec.topic == trigger)

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

    def write(self, folder: Path, row: EpisodeRow, data: DataRows) -> None:
        """Write one episode; `episode.json` says complete only when everything is in the bag."""
        contract = self._contract
        tasks = data.require_counters(row)
        start_ns = FIRST_NS + row.start * contract.period_ns + row.index * APART_NS
        stop_ns = start_ns + row.length * contract.period_ns - 1
        sentence = self._sentences[int(tasks[0])]
        self._several += len(set(tasks.tolist())) > 1
        info = EpisodeInfo(
            name=folder.name,
            outcome=self._outcome(row, data),
            task=sentence,
            instruction=sentence,
            contract_name=contract.name,
            contract_hash=contract.hash,
            contract_text=contract.text,
            topics={topic: _absolute(topic) for topic in contract.topics},
            decision_topic=DECISIONS if self._intervention is not None else "",
            started_ns=start_ns,
            stopped_ns=stop_ns,
            clock="node",
            recorded_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            stop_reason=f"imported from {self._info.root.name}, episode {row.index}",
        )
        info.save(folder)
        with BagWriter(folder, compression="zstd") as bag:
            bag.add_metadata(CONTRACT_RECORD, {"text": contract.text})
            origin = {
                "format": "LeRobotDataset v3.0",
                "path": str(self._info.root),
                "episode": str(row.index),
            }
            bag.add_metadata(ORIGIN, origin)
            self._fill(bag, row, data, start_ns, [self._sentences[int(task)] for task in tasks])
        replace(info, complete=True).save(folder)

    def _fill(
        self, bag: BagWriter, row: EpisodeRow, data: DataRows, start_ns: int, sentences: Sequence[str]
    ) -> None:
        contract, found = self._contract, self._found
        streams = {topic: bag.add_stream(_absolute(topic), kind) for topic, kind in contract.topics.items()}
        kinds = {each.key: STRING if each.dtype == "string" else ARRAY for each in found.extra}
        extra = {key: bag.add_stream(topic, kinds[key]) for key, topic in self._extra.items()}
        numbers = {key: part.of(data.numbers(row, part.feature)) for key, part in found.numbers.items()}
        commands = {key: part.of(data.numbers(row, part.feature)) for key, part in found.actions.items()}
        texts = {key: data.texts(row, feature) for key, feature in found.texts.items()}
        texts |= {key: list(sentences) for key in found.sentences}
        pictures = {key: data.pictures(row, feature) for key, feature in found.pictures.items()}
        kept = {
            each.key: data.texts(row, each) if each.dtype == "string" else data.numbers(row, each)
            for each in found.extra
        }
        manual = None if self._intervention is None else data.numbers(row, self._intervention).reshape(-1)
        self._manual += 0 if manual is None else int(np.count_nonzero(manual))
        decisions = None if manual is None else bag.add_stream(DECISIONS, STRING)
        after_ns = min(COMMAND_AFTER_NS, contract.period_ns // 4)
        for number in range(row.length):
            tick_ns = start_ns + number * contract.period_ns
            for key, values in kept.items():
                value = values[number]
                message = (
                    messages.make(STRING, data=value)
                    if kinds[key] == STRING
                    else messages.make(ARRAY, data=np.asarray(value, dtype=np.float64).reshape(-1))
                )
                bag.write(extra[key], tick_ns, messages.encode(kinds[key], message))
            for spec in self._specs:
                value = _value(spec, number, numbers, texts, pictures)
                raw = messages.encode(spec.type, observed.encode(spec, value, tick_ns))
                bag.write(streams[spec.topic], tick_ns, raw)
            for action in contract.actions:
                command = codecs.encode(action, commands[action.key][number], tick_ns)
                bag.write(streams[action.topic], tick_ns + after_ns, messages.encode(action.type, command))
            if manual is not None and decisions is not None:
                sent = tuple(
                    float(each) for action in contract.actions for each in commands[action.key][number]
                )
                raw = _decision(tick_ns, tick_ns + after_ns, bool(manual[number]), sent)
                bag.write(decisions, tick_ns + 2 * after_ns, raw)
        for frames in pictures.values():
            next(frames, None)  # the last times are checked at the end

    def _outcome(self, row: EpisodeRow, data: DataRows) -> str:
        """Return the verdict: `next.success` of the last frame."""
        if self._success is None:
            return UNMARKED
        return SUCCESS if data.numbers(row, self._success).reshape(-1)[-1] else FAILURE


def _value(
    spec: ObservationSpec,
    number: int,
    numbers: Mapping[str, Array],
    texts: Mapping[str, Sequence[str]],
    pictures: Mapping[str, Iterator[Array]],
) -> Array:
    if spec.kind == "image":
        return next(pictures[spec.key])
    return np.array(texts[spec.key][number]) if spec.kind == "text" else numbers[spec.key][number]


def _decision(stamp_ns: int, sent_ns: int, manual: bool, sent: tuple[float, ...]) -> bytes:
    made = decision.Decision(
        stamp_ns=stamp_ns,
        sent_ns=sent_ns,
        authority=EXPERT if manual else POLICY,
        reason=f"imported: intervention is {'true' if manual else 'false'}",
        sent=sent,
        mode=MODE,
    )
    return messages.encode(STRING, messages.make(STRING, data=decision.to_json(made)))


def _require_own_topics(contract: Contract) -> None:
    """Raise ExchangeError when several observations share a topic: one message would have to hold both."""
    seen: dict[str, str] = {}
    for spec in contract.observations:
        other = seen.setdefault(spec.topic, spec.key)
        if other != spec.key:
            raise ExchangeError(
                f"contract '{contract.name}': observations {other} and {spec.key} share topic {spec.topic}; an import "
                "writes one message for each: join them in one observation"
            )


def _selected(
    rows: Sequence[EpisodeRow], episodes: Sequence[int] | None, info: DatasetInfo
) -> list[EpisodeRow]:
    if episodes is None:
        return list(rows)
    wrong = [index for index in episodes if not 0 <= index < len(rows)]
    if wrong:
        raise ExchangeError(f"{info.root}: has no episode {wrong[0]}; they are 0 to {len(rows) - 1}")
    return [rows[index] for index in dict.fromkeys(episodes)]


def _absolute(topic: str) -> str:
    return topic if topic.startswith("/") else f"/{topic.removeprefix('~/')}"


def _token(key: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in key)
