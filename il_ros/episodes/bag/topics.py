"""Find a contract's streams in a bag, or list what is missing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.core.codecs import codec_types
from il_ros.core.contract import Contract, ContractError
from il_ros.core.messages import fields
from il_ros.core.specs import COMPRESSED_IMAGE, IMAGE, STRING, ActionGroup, ObservationSpec, StreamSpec
from il_ros.core.tables import listed
from il_ros.episodes.bag.reader import Bag, BagError, TopicSummary
from il_ros.episodes.layout import EpisodeInfo
from il_ros.records import proposal

DECISION_SUFFIX = "/decision"
EXPERT_PROPOSALS = "expert/proposal"
CONTRACT_RECORD = "il_ros.contract"
"""Name of the MCAP metadata record that holds the contract's text."""


class MismatchError(ValueError):
    """A bag does not hold what the contract needs; the message lists every difference."""


@dataclass(frozen=True)
class ExpertStream:
    """The bag's topic of expert proposals, with their action names (A), their period and their action groups."""

    topic: str
    names: Sequence[str]
    period_ns: int
    groups: Sequence[ActionGroup] = ()


@dataclass(frozen=True)
class ContractTopics:
    """The bag's names of the topics that a contract needs.

    `observed` and `commanded`: the contract's topic -> the bag's. `decisions`: the bag's topic of decisions,
    None when labels come from the commanded topics. `columns` (A,): the index of each of the contract's
    action elements in a decision's vector, which has `decided` elements. `expert`: the expert's proposals,
    None without their own topic. `notes`: a sentence for each topic that the bag has under another name, with
    another definition of its type, or as compressed pictures instead of raw ones or the reverse. `variants`: the
    contract's topic -> the type by which its messages are read instead, or the name under which the bag's definition is
    known (`messages.variant`).
    """

    observed: Mapping[str, str]
    commanded: Mapping[str, str]
    decisions: str | None
    columns: NDArray[np.intp]
    expert: ExpertStream | None = None
    decided: int | None = None
    notes: tuple[str, ...] = ()
    variants: Mapping[str, str] = field(default_factory=dict)


def find_streams(
    contract: Contract,
    bag: Bag,
    info: EpisodeInfo | None,
    optional: Collection[str] = (),
    *,
    commanded: bool = True,
) -> ContractTopics:
    """Return the bag's topics for the contract's streams; `info` is None for another recorder's bag.

    `optional`: the keys of observations that the bag may lack. `commanded`: whether it must have the commands.

    Decisions are used when the bag holds some together with the contract they were made under.
    Raises MismatchError naming every missing topic and wrong type, BagError when the bag's own contract
    can't be read.
    """
    problems: list[str] = []
    variants: dict[str, str] = {}
    needed = tuple(
        spec
        for spec in contract.observations
        if spec.key not in optional or resolve(spec.topic, bag, info) is not None
    )
    observed = _names(needed, bag, info, problems, variants)
    recorded = _recorded_contract(bag, info, contract)
    decisions = None if recorded is None else _decision_topic(bag, info)
    columns = np.arange(contract.action_size)
    commands: dict[str, str] = {}
    expert = None
    if decisions is None:
        commands = _names(contract.actions, bag, info, problems if commanded else [], variants)
    else:
        assert recorded is not None
        columns = _columns(contract, recorded, problems)
        expert = _expert(recorded, bag, info)
    if problems:
        held = (
            listed([f"{name} ({topic.type})" for name, topic in sorted(bag.topics.items())], 20) or "nothing"
        )
        raise MismatchError(
            f"{bag.path}: doesn't fit contract '{contract.name}': {listed(problems, between='; ')}. "
            f"The bag holds: {held}"
        )
    decided = None if decisions is None or recorded is None else recorded.action_size
    notes = (*_renamed({**observed, **commands}, info), *_varied(variants, contract))
    return ContractTopics(observed, commands, decisions, columns, expert, decided, notes, variants)


def resolve(topic: str, bag: Bag, info: EpisodeInfo | None) -> str | None:
    """Return the bag's name of a contract's (often relative) topic; None when it is missing or ambiguous.

    `info` holds the names in own bags. In another recorder's bag, it is the topic at the root, or else the
    only topic of that name under a namespace.
    """
    if info is not None and topic in info.topics:
        return info.topics[topic] if info.topics[topic] in bag.topics else None
    for name in (topic, f"/{topic}"):
        if name in bag.topics:
            return name
    inside = _inside(topic, bag)
    return inside[0] if len(inside) == 1 else None


def _inside(topic: str, bag: Bag) -> list[str]:
    """Return the bag's topics with this name under a namespace."""
    return sorted(name for name in bag.topics if name.endswith(f"/{topic.lstrip('/')}"))


def _renamed(names: Mapping[str, str], info: EpisodeInfo | None) -> tuple[str, ...]:
    """Return a sentence for each topic that was found under a namespace, not where the contract says."""
    return tuple(
        f"topic {topic} was found under another name, {name}: the only one in the bag that ends in it"
        for topic, name in names.items()
        if (info is None or topic not in info.topics) and name.lstrip("/") != topic.lstrip("/")
    )


def _names(
    specs: tuple[StreamSpec, ...],
    bag: Bag,
    info: EpisodeInfo | None,
    problems: list[str],
    variants: dict[str, str],
) -> dict[str, str]:
    names: dict[str, str] = {}
    for spec in specs:
        name = resolve(spec.topic, bag, info)
        if name is None:
            inside = _inside(spec.topic, bag) if info is None else []
            several = f", which is in the bag as {' and as '.join(inside)}: only one is accepted"
            why = several if inside else ", which is not in the bag"
            problems.append(f"{spec.key} needs topic {spec.topic} ({spec.type}){why}")
        elif bag.topics[name].type != spec.type and _are_pictures(spec, bag.topics[name].type):
            variants[spec.topic] = bag.topics[name].type
            names[spec.topic] = name
        elif bag.topics[name].type != spec.type:
            problems.append(
                f"{spec.key} needs {name} as {spec.type}, but the bag has {bag.topics[name].type}"
            )
        elif differs := messages.difference(
            bag.topics[name].definition, spec.type, bag.topics[name].language
        ):
            try:
                variants[spec.topic] = _variant(spec, bag.topics[name])
                names[spec.topic] = name
            except ValueError as error:
                problems.append(
                    f"{spec.key} needs {name}, whose type has another definition in the bag ({differs}): {error}"
                )
        else:
            names[spec.topic] = name
        for other in spec.topics[1:]:  # static transforms, which need not exist
            found = resolve(other, bag, info)
            if found is not None and bag.topics[found].type == spec.type:
                names[other] = found
    return names


def _are_pictures(spec: StreamSpec, found: str) -> bool:
    """Return whether a bag's type holds the pictures of an observation in the other form: raw or compressed."""
    pictured = isinstance(spec, ObservationSpec) and spec.image is not None
    return pictured and {spec.type, found} == {IMAGE, COMPRESSED_IMAGE}


def _variant(spec: StreamSpec, topic: TopicSummary) -> str:
    """Return the name of the bag's own definition of an observed type; raises ValueError if it has other numbers."""
    if not isinstance(spec, ObservationSpec) or spec.type in codec_types():
        raise ValueError("only observations of numbers by their paths are read by the bag's own definition")
    name = messages.variant(topic.definition, spec.type, topic.language)
    here, there = (fields.select(each, spec.fields) for each in (spec.type, name))
    if [number.path for number in here] != [number.path for number in there]:
        raise ValueError(f"{', '.join(spec.fields)} are other numbers there")
    if messages.has_header(name) != messages.has_header(spec.type):
        raise ValueError("it has a header on one side only")
    return name


def _varied(variants: Mapping[str, str], contract: Contract) -> tuple[str, ...]:
    return tuple(
        f"topic {topic} is {kind} in the bag, {contract.topics[topic]} in the contract"
        if kind in (IMAGE, COMPRESSED_IMAGE)
        else f"topic {topic} is read by the bag's own definition of {contract.topics[topic]}, which differs from the "
        "one here"
        for topic, kind in variants.items()
    )


def _decision_topic(bag: Bag, info: EpisodeInfo | None) -> str | None:
    if info is not None and info.decision_topic:
        candidates = [info.decision_topic]
    else:
        candidates = [name for name in bag.topics if name.endswith(DECISION_SUFFIX)]
    filled = [
        name
        for name in candidates
        if name in bag.topics and bag.topics[name].type == STRING and bag.topics[name].messages
    ]
    return filled[0] if len(filled) == 1 else None


def _expert(recorded: Contract, bag: Bag, info: EpisodeInfo | None) -> ExpertStream | None:
    name = resolve(EXPERT_PROPOSALS, bag, info)
    if name is None or bag.topics[name].type != proposal.TYPE:
        return None
    return ExpertStream(name, recorded.action_names, recorded.period_ns, recorded.groups)


def _recorded_contract(bag: Bag, info: EpisodeInfo | None, used: Contract) -> Contract | None:
    """Return the contract that the bag was recorded under, which gives the order of decision vectors."""
    texts = [] if info is None else [info.contract_text]
    texts.append(bag.metadata.get(CONTRACT_RECORD, {}).get("text", ""))
    for text in texts:
        if text == used.text and text:
            return used  # parsing takes longer than reading a short episode
        if text:
            try:
                return contracts.parse(text, f"{bag.path} (its contract)")
            except ContractError as error:
                raise BagError(str(error)) from error
    return None


def _columns(contract: Contract, recorded: Contract, problems: list[str]) -> NDArray[np.intp]:
    """Find the contract's action elements in the recorded contract by name; their meaning must be equal."""
    place = {name: index for index, name in enumerate(recorded.action_names)}
    meaning = {action.key: action for action in recorded.actions}
    for action in contract.actions:
        missing = [name for name in action.names if f"{action.key}/{name}" not in place]
        if missing:
            problems.append(f"action {action.key}/{missing[0]} was not commanded under the bag's contract")
            continue
        for part in ("topic", "type", "quantity", "unit"):
            now, then = getattr(action, part), getattr(meaning[action.key], part)
            if now != then:
                problems.append(f"action {action.key}: {part} is '{now}', but '{then}' in the bag's contract")
    if problems:
        return np.arange(contract.action_size)
    return np.array([place[name] for name in contract.action_names], dtype=np.intp)
