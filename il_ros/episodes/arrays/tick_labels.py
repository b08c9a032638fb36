"""Find an episode's ticks and the command label of each.

With decisions in the bag, the ticks are their stamps, and a `Rule` chooses the label from the decision; the
default is the rule of the decision's mode. Without decisions, the ticks are the trigger stream's stamps at
the contract's rate, or a regular grid when the contract has no trigger, and the label is the last command
before the next tick, if it has not expired (`command_labels`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from il_ros.core import messages
from il_ros.core.contract import Contract
from il_ros.core.specs import ObservationSpec, Vector
from il_ros.core.synchroniser import HISTORY_NS
from il_ros.episodes.arrays.command_labels import ActionCommands, UnlabelledError, command_topics
from il_ros.episodes.arrays.late_proposals import LateProposals
from il_ros.episodes.bag.reader import BagMessage
from il_ros.episodes.bag.topics import ContractTopics
from il_ros.episodes.decisions import left_out_reason, read_decision
from il_ros.records.decision import NOBODY, Decision, DecisionError, joined_authority
from il_ros.records.labelling import BY_MODE, NoLabel, Rule
from il_ros.records.ticks import Ticks, TriggerStamps


@dataclass(frozen=True)
class TickLabel:
    """A tick and its label.

    `arrival_ns`: log time of the message that defines the tick. `triggered`: the tick is the stamp of a
    trigger message and is sampled on its arrival; other ticks are sampled when the clock passes them.
    `command` (A,): absolute, in the contract's order; NaN in action groups without a label. None without any, and
    `reason` says why, `missing` its kind. `authorities`: the source in authority over each of the contract's groups.
    """

    tick_ns: int
    arrival_ns: int
    triggered: bool
    command: Vector | None = None
    reason: str = ""
    authority: str = ""
    mode: str = ""
    missing: NoLabel | None = None
    authorities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """The demonstration's first and last log time within a bag; earlier messages are pre-roll."""

    start_ns: int
    stop_ns: int

    def __contains__(self, time_ns: int) -> bool:
        return self.start_ns <= time_ns <= self.stop_ns


def label_ticks(
    recorded: Iterable[BagMessage],
    contract: Contract,
    streams: ContractTopics,
    span: Span,
    rule: Rule = BY_MODE,
) -> tuple[list[TickLabel], list[str]]:
    """Return the labelled ticks within the span, strictly increasing, and a reason for each one left out.

    `recorded` are the bag's messages by log time, at least those of `label_topics`.
    A trigger message that is too short for a header is no tick; `replay.observe` reports it.
    """
    trigger = streams.observed.get(contract.trigger or "")
    by_arrival = stamped_by_arrival(contract.observations, contract.trigger)
    labels = _labelling_topics(contract, streams)
    by_topic: dict[str, list[BagMessage]] = {}
    stamps_ns, arrivals_ns = array("q"), array("q")  # of the trigger, whose messages may be images
    for message in recorded:
        if message.topic in labels:
            by_topic.setdefault(message.topic, []).append(message)
        if message.topic == trigger and (stamp := stamp_ns(message, by_arrival)) is not None:
            stamps_ns.append(stamp)
            arrivals_ns.append(message.log_ns)
    if streams.decisions is not None:
        late = LateProposals(by_topic.get(streams.expert.topic, []) if streams.expert else [], streams.expert)
        found, left_out = _decided(by_topic.get(streams.decisions, []), contract, streams, span, rule, late)
        decided_ns = np.array([label.tick_ns for label in found], dtype=np.int64)
        triggered = np.isin(decided_ns, np.frombuffer(stamps_ns, dtype=np.int64)).tolist()
        found = [replace(label, triggered=each) for label, each in zip(found, triggered, strict=True)]
    else:
        stamped = zip(stamps_ns, arrivals_ns, strict=True)
        ticks = _grid(contract, span) if trigger is None else _triggered(contract, stamped, span)
        found, left_out = _commanded(ticks, contract, streams, by_topic), []
    ordered, out_of_order = _in_order(found)
    return ordered, left_out + out_of_order


def label_topics(contract: Contract, streams: ContractTopics) -> set[str]:
    """Return the bag's topics that `label_ticks` needs."""
    return _labelling_topics(contract, streams) | (
        {streams.observed[contract.trigger]} if contract.trigger else set()
    )


def _labelling_topics(contract: Contract, streams: ContractTopics) -> set[str]:
    """Return the bag's topics whose messages are kept to make labels."""
    names = {streams.decisions} if streams.decisions else command_topics(contract, streams)
    if streams.expert is not None:
        names.add(streams.expert.topic)
    return names


def stamped_by_arrival(specs: Sequence[ObservationSpec], topic: str | None) -> bool:
    """Return whether the contract stamps messages on `topic` by arrival time."""
    return any(spec.topic == topic and spec.stamp == "arrival" for spec in specs)


def stamp_ns(message: BagMessage, by_arrival: bool) -> int | None:
    """Return the message's stamp as `Synchroniser.push` does; None when it is too short for a header."""
    try:
        stamp = None if by_arrival else messages.raw_stamp_ns(message.type, message.raw)
    except messages.MessageError:
        return None
    return message.log_ns if stamp is None else stamp


# ---- labels from decisions -------------------------------------------------------------------------------


def _decided(
    recorded: Sequence[BagMessage],
    contract: Contract,
    streams: ContractTopics,
    span: Span,
    rule: Rule,
    late: LateProposals,
) -> tuple[list[TickLabel], list[str]]:
    found: list[TickLabel] = []
    left_out: list[str] = []
    for message in recorded:
        if message.log_ns not in span:
            continue
        try:
            decision = read_decision(message, streams.decided)
        except DecisionError as error:
            left_out.append(left_out_reason(message, error))
            continue
        found.append(_tick_label(late.join(decision), message.log_ns, contract, streams, rule))
    return found, left_out


def _tick_label(
    decision: Decision, arrival_ns: int, contract: Contract, streams: ContractTopics, rule: Rule
) -> TickLabel:
    values = rule.choose(decision)
    base = TickLabel(
        decision.stamp_ns,
        arrival_ns,
        False,
        authority=decision.authority,
        mode=decision.mode,
        authorities=_authorities(decision, contract, streams),
    )
    if values is not None and decision.groups:
        command = _of_whole_groups(np.asarray(values, dtype=np.float64)[streams.columns], contract)
        if np.isfinite(command).any():
            return replace(base, command=command)
        reason = f"only a part of its actions has a label: {decision.authority} had authority"
        return replace(base, reason=reason, missing=NoLabel.BY_RULE)
    if values is None:
        if decision.authority == NOBODY:
            reason = f"no source drove: {decision.reason}"
            return replace(base, reason=reason, missing=NoLabel.NO_AUTHORITY)
        mode = f" in mode {decision.mode}" if decision.mode else ""
        reason = f"commands of {decision.authority} are not learnt{mode}"
        if decision.sent is None:
            reason = f"{decision.authority} drove, and no command was sent"
        return replace(base, reason=reason, missing=NoLabel.BY_RULE)
    return replace(base, command=np.asarray(values, dtype=np.float64)[streams.columns])


def _authorities(decision: Decision, contract: Contract, streams: ContractTopics) -> dict[str, str]:
    """Return the authority over each of the contract's groups, whose actions may be in other groups in the record."""
    if not decision.groups:
        return dict.fromkeys((group.name for group in contract.groups), decision.authority)
    of_place = {place: part.authority for part in decision.groups.values() for place in part.actions}
    return {
        group.name: joined_authority(of_place[place] for place in streams.columns[group.index].tolist())
        for group in contract.groups
    }


def _of_whole_groups(command: Vector, contract: Contract) -> Vector:
    """Return a label (A,) with only those of the contract's groups of which every number is known; others NaN."""
    for group in contract.groups:
        if not np.isfinite(command[group.index]).all():
            command[group.index] = np.nan
    return command


def _in_order(found: Iterable[TickLabel]) -> tuple[list[TickLabel], list[str]]:
    """Sort ticks by time: the supervisor's timer may decide before a proposal for an earlier tick arrives.

    The later of two decisions for one tick replaces the earlier one. A step back by more than the
    synchroniser's history means that a clock was set back; ticks are dropped until time has caught up.
    """
    by_tick: dict[int, TickLabel] = {}
    newest_ns = 0
    left_out: list[str] = []
    for label in found:
        if label.tick_ns < newest_ns - HISTORY_NS:
            left_out.append(f"time went back by {(newest_ns - label.tick_ns) / 1e9:.3f} s")
            continue
        newest_ns = max(newest_ns, label.tick_ns)
        by_tick[label.tick_ns] = label
    return [by_tick[tick_ns] for tick_ns in sorted(by_tick)], left_out


# ---- labels from command topics --------------------------------------------------------------------------


def _grid(contract: Contract, span: Span) -> list[TickLabel]:
    times = range(span.start_ns, span.stop_ns + 1, contract.period_ns)
    return [TickLabel(time_ns, time_ns, False) for time_ns in times]


def _triggered(contract: Contract, stamped: Iterable[tuple[int, int]], span: Span) -> list[TickLabel]:
    ticks, stamps = Ticks(contract.period_ns), TriggerStamps()
    return [
        TickLabel(stamp_ns, arrival_ns, True)
        for stamp_ns, arrival_ns in stamped
        if not stamps.refusal(stamp_ns, arrival_ns) and arrival_ns in span and ticks.starts(stamp_ns)
    ]


def _commanded(
    ticks: Sequence[TickLabel],
    contract: Contract,
    streams: ContractTopics,
    by_topic: Mapping[str, Sequence[BagMessage]],
) -> list[TickLabel]:
    """Label each tick with the commands in force: see `ActionCommands`."""
    actions = [ActionCommands(contract, action, streams, by_topic) for action in contract.actions]
    ends = [after.arrival_ns for after in ticks[1:]]
    ends += [tick.arrival_ns + contract.period_ns for tick in ticks[-1:]]
    return [_with_command(tick, end_ns, actions) for tick, end_ns in zip(ticks, ends, strict=True)]


def _with_command(tick: TickLabel, end_ns: int, actions: Sequence[ActionCommands]) -> TickLabel:
    try:
        parts = [action.at(tick.tick_ns, tick.arrival_ns, end_ns) for action in actions]
    except UnlabelledError as missing:
        return replace(tick, reason=str(missing), missing=missing.kind)
    return replace(tick, command=np.concatenate(parts))
