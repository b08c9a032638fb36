"""Write imported arrays as an episode: the bag that a recorder would have written, and `episode.json`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import codecs, messages
from il_ros.core.contract import Contract
from il_ros.core.specs import ARRAY, COMPRESSED_IMAGE, STRING, ObservationSpec
from il_ros.episodes.bag.topics import CONTRACT_RECORD
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.exchange import observed
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.layout import EpisodeInfo
from il_ros.records import decision
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.records.outcomes import UNMARKED

Array = np.ndarray[Any, Any]

DECISIONS = "/dagger_supervisor/decision"
MODE = "hg_dagger"
"""The mode of imported decisions: the frames of an intervention are labels, the policy's are not."""
REASON = "imported: by the column intervention"
FIRST_NS, APART_NS = 1_000_000_000, 10_000_000_000
COMMAND_AFTER_NS = 1_000_000
"""A command arrives this long after its frame, and its decision as long after that."""
ORIGIN = "il_ros.imported"
"""Name of the bag's record that says where the episode is from."""


@dataclass(frozen=True)
class ImportedEpisode:
    """T frames, one control period apart. `number`, `frames_before`: its place in the data it is from.

    `numbers` (T, D), `pictures` (T of them) and `texts` (T): by the key of the contract's observation. Those of the
    cameras in `compressed` are jpegs or pngs, others arrays as `observed.encode` takes them.
    `commands` (T, A_k): by action. `extra`: further numbers (T, ...) or texts (T) by topic. `manual`: whether a
    person commanded the frame (T,), by action group, or of WHOLE; None: all commands are labels. `origin`: where it
    is from, in words; `kept`: further texts for the bag.
    """

    number: int
    frames_before: int
    length: int
    numbers: Mapping[str, Array]
    pictures: Mapping[str, Iterator[Array | bytes]]
    texts: Mapping[str, Sequence[str]]
    commands: Mapping[str, Array]
    compressed: Collection[str] = ()
    extra: Mapping[str, Array | Sequence[str]] = field(default_factory=dict)
    manual: Mapping[str, Array] | None = None
    outcome: str = UNMARKED
    task: str = ""
    instruction: str = ""
    seed: int | None = None
    origin: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)


def write_bag(folder: Path, contract: Contract, episode: ImportedEpisode) -> None:
    """Write an episode into an empty folder; `episode.json` says complete only when all is in the bag.

    Raises what its pictures raise, ExchangeError on a value that its message can't have, OSError.
    """
    start_ns = FIRST_NS + episode.frames_before * contract.period_ns + episode.number * APART_NS
    info = EpisodeInfo(
        name=folder.name,
        outcome=episode.outcome,
        task=episode.task,
        instruction=episode.instruction,
        seed=episode.seed,
        contract_name=contract.name,
        contract_hash=contract.hash,
        contract_text=contract.text,
        topics={topic: _absolute(topic) for topic in contract.topics},
        decision_topic="" if episode.manual is None else DECISIONS,
        started_ns=start_ns,
        stopped_ns=start_ns + episode.length * contract.period_ns - 1,
        clock="node",
        recorded_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        stop_reason=f"imported: {', '.join(episode.origin.values())}",
    )
    info.save(folder)
    with BagWriter(folder, compression="zstd") as bag:
        bag.add_metadata(CONTRACT_RECORD, {"text": contract.text})
        bag.add_metadata(ORIGIN, {**episode.origin, **episode.kept})
        _fill(bag, contract, episode, start_ns)
    replace(info, complete=True).save(folder)


def require_own_topics(contract: Contract) -> None:
    """Raise ExchangeError when several observations share a topic: one message would have to hold both."""
    seen: dict[str, str] = {}
    for spec in contract.observations:
        other = seen.setdefault(spec.topic, spec.key)
        if other != spec.key:
            raise ExchangeError(
                f"contract '{contract.name}': observations {other} and {spec.key} share topic {spec.topic}; an import "
                "writes one message for each: join them in one observation"
            )


def _fill(bag: BagWriter, contract: Contract, episode: ImportedEpisode, start_ns: int) -> None:
    """Write all frames; in each the trigger comes last, as it starts the tick."""
    compressed = {contract.observation(key).topic: COMPRESSED_IMAGE for key in episode.compressed}
    written = {**contract.topics, **compressed}
    streams = {topic: bag.add_stream(_absolute(topic), kind) for topic, kind in written.items()}
    kinds = {
        topic: ARRAY if isinstance(values, np.ndarray) else STRING for topic, values in episode.extra.items()
    }
    extra = {topic: bag.add_stream(topic, kind) for topic, kind in kinds.items()}
    decisions = None if episode.manual is None else bag.add_stream(DECISIONS, STRING)
    specs = sorted(contract.observations, key=lambda spec: spec.topic == contract.trigger)
    after_ns = min(COMMAND_AFTER_NS, contract.period_ns // 4)
    for number in range(episode.length):
        tick_ns = start_ns + number * contract.period_ns
        for topic, values in episode.extra.items():
            bag.write(extra[topic], tick_ns, _further(kinds[topic], values[number]))
        for spec in specs:
            value = _value(spec, number, episode)
            if isinstance(value, bytes):
                message = observed.compressed(value, tick_ns)
            else:
                message = observed.encode(spec, value, tick_ns)
            bag.write(streams[spec.topic], tick_ns, messages.encode(written[spec.topic], message))
        for action in contract.actions:
            command = codecs.encode(action, episode.commands[action.key][number], tick_ns)
            bag.write(streams[action.topic], tick_ns + after_ns, messages.encode(action.type, command))
        if decisions is not None and episode.manual is not None:
            sent = np.concatenate([episode.commands[action.key][number] for action in contract.actions])
            authorities = {
                group: EXPERT if manual[number] else POLICY for group, manual in episode.manual.items()
            }
            made = _decision(contract, tick_ns, tick_ns + after_ns, authorities, tuple(sent.tolist()))
            bag.write(decisions, tick_ns + 2 * after_ns, made)
    for frames in episode.pictures.values():
        next(frames, None)  # what a source checks at its end


def _value(spec: ObservationSpec, number: int, episode: ImportedEpisode) -> Array | bytes:
    if spec.kind == "image":
        return next(episode.pictures[spec.key])
    return (
        np.array(episode.texts[spec.key][number])
        if spec.kind == "text"
        else episode.numbers[spec.key][number]
    )


def _further(kind: str, value: Any) -> bytes:
    data = value if kind == STRING else np.ascontiguousarray(value, dtype=np.float64).reshape(-1)
    return messages.encode(kind, messages.make(kind, data=data))


def _decision(
    contract: Contract, stamp_ns: int, sent_ns: int, authorities: Mapping[str, str], sent: tuple[float, ...]
) -> bytes:
    """Return a decision; `authorities`: by group, or of WHOLE."""
    groups = {
        group.name: decision.GroupDecision(group.columns, authorities[group.name], REASON)
        for group in contract.groups
        if contract.grouped and group.name in authorities
    }
    made = decision.Decision(
        stamp_ns=stamp_ns,
        sent_ns=sent_ns,
        authority=decision.joined_authority(authorities.values()),
        reason=REASON,
        sent=sent,
        mode=MODE,
        groups=groups,
    )
    return messages.encode(STRING, messages.make(STRING, data=decision.to_json(made)))


def _absolute(topic: str) -> str:
    return topic if topic.startswith("/") else f"/{topic.removeprefix('~/')}"
