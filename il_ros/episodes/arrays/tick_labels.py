"""At which ticks an episode has frames, and which command is the label of each.

A bag with decisions: the ticks are the decisions' stamps, the label is what a `Rule` takes from the decision;
by default the rule of the mode it was made in. Without: the ticks are the trigger stream's stamps at the
contract's rate, or a regular grid when the contract has no trigger, and the label is the command in force
just before the next tick.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from il_ros.core import messages
from il_ros.core.codecs import CodecError, decode
from il_ros.core.contract import Contract
from il_ros.core.specs import STRING, ObservationSpec, Vector
from il_ros.core.synchroniser import HISTORY_NS
from il_ros.episodes.arrays.late_proposals import LateProposals
from il_ros.episodes.bag.reader import BagError, BagMessage
from il_ros.episodes.bag.topics import ContractTopics
from il_ros.records.decision import NOBODY, Decision, from_json
from il_ros.records.labelling import BY_MODE, Rule
from il_ros.records.ticks import Ticks


@dataclass(frozen=True)
class TickLabel:
    """A tick and its label.

    `arrival_ns`: log time of what made it a tick. `triggered`: it is the stamp of a trigger message, and is
    sampled when that arrives; other ticks are sampled when the clock passes them.
    `command` (A,): absolute, in the contract's order; None when there is none, for the `reason`.
    """

    tick_ns: int
    arrival_ns: int
    triggered: bool
    command: Vector | None = None
    reason: str = ""
    authority: str = ""
    mode: str = ""


@dataclass(frozen=True)
class Span:
    """The demonstration within a bag, in log time; what comes before is pre-roll."""

    start_ns: int
    stop_ns: int

    def __contains__(self, time_ns: int) -> bool:
        return self.start_ns <= time_ns <= self.stop_ns


def moments(
    recorded: Iterable[BagMessage],
    contract: Contract,
    streams: ContractTopics,
    span: Span,
    rule: Rule = BY_MODE,
) -> tuple[list[TickLabel], list[str]]:
    """Return the ticks within the span, rising strictly, and why others are left out, a sentence each.

    `recorded` are the bag's messages by log time, at least those of `label_topics`.
    """
    by_topic: dict[str, list[BagMessage]] = {}
    for message in recorded:
        by_topic.setdefault(message.topic, []).append(message)
    trigger = streams.observed.get(contract.trigger or "")
    by_arrival = stamped_by_arrival(contract.observations, contract.trigger)
    stamped = [(stamp_ns(message, by_arrival), message.log_ns) for message in by_topic.get(trigger or "", [])]
    if streams.decisions is not None:
        late = LateProposals(by_topic.get(streams.expert.topic, []) if streams.expert else [], streams.expert)
        found, left_out = _decided(by_topic.get(streams.decisions, []), streams, span, rule, late)
        stamps = {stamp_ns for stamp_ns, _ in stamped}
        found = [replace(moment, triggered=moment.tick_ns in stamps) for moment in found]
    else:
        ticks = _grid(contract, span) if trigger is None else _triggered(contract, stamped, span)
        found, left_out = _commanded(ticks, contract, streams, by_topic), []
    rising, disordered = _rising(found)
    return rising, left_out + disordered


def label_topics(contract: Contract, streams: ContractTopics) -> set[str]:
    """Return the bag's topics that `moments` needs."""
    names = {streams.decisions} if streams.decisions else set(streams.commanded.values())
    if streams.expert is not None:
        names.add(streams.expert.topic)
    return names | ({streams.observed[contract.trigger]} if contract.trigger else set())


def stamped_by_arrival(specs: Sequence[ObservationSpec], topic: str | None) -> bool:
    """Tell whether the contract says that arrival is the time that counts on `topic`."""
    return any(spec.topic == topic and spec.stamp == "arrival" for spec in specs)


def stamp_ns(message: BagMessage, by_arrival: bool) -> int:
    """Return the stamp that counts, the one `Synchroniser.push` will return.

    Raises BagError on bytes too short for a header.
    """
    try:
        stamp = None if by_arrival else messages.raw_stamp_ns(message.type, message.raw)
    except ValueError as error:
        raise BagError(f"{message.topic} at log time {message.log_ns} ns: {error}") from error
    return message.log_ns if stamp is None else stamp


# ---- labels from decisions -------------------------------------------------------------------------------


def _decided(
    recorded: Sequence[BagMessage], streams: ContractTopics, span: Span, rule: Rule, late: LateProposals
) -> tuple[list[TickLabel], list[str]]:
    found: list[TickLabel] = []
    left_out: list[str] = []
    for message in recorded:
        if message.log_ns not in span:
            continue
        try:
            decision = from_json(messages.decode(STRING, message.raw).data)
            found.append(_moment(late.join(decision), message.log_ns, streams, rule))
        except (ValueError, IndexError) as error:
            left_out.append(f"a message of {message.topic} is no decision: {error}")
    return found, left_out


def _moment(decision: Decision, arrival_ns: int, streams: ContractTopics, rule: Rule) -> TickLabel:
    values = rule.choose(decision)
    base = TickLabel(decision.stamp_ns, arrival_ns, False, authority=decision.authority, mode=decision.mode)
    if values is None:
        nobody = decision.authority == NOBODY
        mode = f" in mode {decision.mode}" if decision.mode else ""
        no_label = f"no label by rule '{rule.name}'{mode}, {decision.authority} had authority"
        return replace(base, reason=f"nobody had authority: {decision.reason}" if nobody else no_label)
    return replace(base, command=np.asarray(values, dtype=np.float64)[streams.columns])


def _rising(found: Iterable[TickLabel]) -> tuple[list[TickLabel], list[str]]:
    """Put ticks in order: the supervisor's timer may overtake a proposal that answers an earlier tick.

    Of two decisions for one tick the later holds. A step back by more than the synchroniser remembers means
    that a clock was set back; what follows, until time has caught up, has no frames.
    """
    by_tick: dict[int, TickLabel] = {}
    newest_ns = 0
    left_out: list[str] = []
    for moment in found:
        if moment.tick_ns < newest_ns - HISTORY_NS:
            left_out.append(f"time went back by {(newest_ns - moment.tick_ns) / 1e9:.3f} s")
            continue
        newest_ns = max(newest_ns, moment.tick_ns)
        by_tick[moment.tick_ns] = moment
    return [by_tick[tick_ns] for tick_ns in sorted(by_tick)], left_out


# ---- labels from command topics --------------------------------------------------------------------------


def _grid(contract: Contract, span: Span) -> list[TickLabel]:
    times = range(span.start_ns, span.stop_ns + 1, contract.period_ns)
    return [TickLabel(time_ns, time_ns, False) for time_ns in times]


def _triggered(contract: Contract, stamped: Sequence[tuple[int, int]], span: Span) -> list[TickLabel]:
    ticks = Ticks(contract.period_ns)
    return [
        TickLabel(stamp_ns, arrival_ns, True)
        for stamp_ns, arrival_ns in stamped
        if arrival_ns in span and ticks.starts(stamp_ns)
    ]


def _commanded(
    ticks: Sequence[TickLabel],
    contract: Contract,
    streams: ContractTopics,
    by_topic: Mapping[str, Sequence[BagMessage]],
) -> list[TickLabel]:
    """Label each tick with the newest commands that came before the next one."""
    if not ticks:
        return []
    commands = [by_topic.get(streams.commanded[action.topic], []) for action in contract.actions]
    log_times = [[item.log_ns for item in items] for items in commands]
    out = []
    ends = [*(after.arrival_ns for after in ticks[1:]), ticks[-1].arrival_ns + contract.period_ns]
    for tick, end_ns in zip(ticks, ends, strict=True):
        counts = [bisect_left(times, end_ns) for times in log_times]
        newest = [items[count - 1] if count else None for items, count in zip(commands, counts, strict=True)]
        out.append(_with_command(tick, contract, newest))
    return out


def _with_command(tick: TickLabel, contract: Contract, newest: Sequence[BagMessage | None]) -> TickLabel:
    parts = []
    for action, message in zip(contract.actions, newest, strict=True):
        if message is None:
            return replace(tick, reason=f"{action.key} ({action.topic}): no command yet")
        try:
            parts.append(decode(action, messages.decode(message.type, message.raw)))
        except (CodecError, ValueError) as error:
            return replace(tick, reason=str(error))
    return replace(tick, command=np.concatenate(parts))
