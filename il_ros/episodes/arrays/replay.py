"""Convert a bag to frames: replay its messages through the live synchroniser in the order of arrival.

All training arrays are made this way, so the policy is trained on the observations it gets when live.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from il_ros.core import actions, messages
from il_ros.core.codecs import decoder
from il_ros.core.codecs.base import Decoder
from il_ros.core.contract import Contract
from il_ros.core.messages import MessageError
from il_ros.core.specs import ObservationSpec, Vector
from il_ros.core.synchroniser import NoObservation, Observation, Synchroniser
from il_ros.core.tables import counted
from il_ros.episodes import amendments
from il_ros.episodes.amendments import Amendments
from il_ros.episodes.arrays import beside
from il_ros.episodes.arrays.tick_labels import (
    Span,
    TickLabel,
    label_ticks,
    label_topics,
    stamp_ns,
    stamped_by_arrival,
)
from il_ros.episodes.bag.reader import Bag, BagMessage
from il_ros.episodes.bag.recovery.integrity import sentence
from il_ros.episodes.bag.topics import find_streams
from il_ros.episodes.layout import EpisodeInfo
from il_ros.records.labelling import BY_MODE, NoLabel, Rule
from il_ros.records.takeovers import group_takeovers
from il_ros.records.ticks import TriggerStamps

AFTER_SUCCESS_S = 0.5
"""Time after the success was marked in which ticks are still frames: the robot comes to rest in it."""


@dataclass(frozen=True)
class Frame:
    """The observation of a tick and its label.

    `command` (A,): absolute; NaN in action groups without a label. `offset` (A,): the reference of delta actions, zero
    for absolute ones. `authorities`: the source in authority over each of the contract's groups.
    """

    observation: Observation
    command: Vector
    offset: Vector
    authority: str
    authorities: Mapping[str, str] = field(default_factory=dict)

    @property
    def tick_ns(self) -> int:
        """Time of the tick."""
        return self.observation.tick_ns


@dataclass(frozen=True)
class FrameStep:
    """A frame and what its command led to.

    `following`: the observation of the next tick; None when there is none, as at the end of most recordings on a
    robot. `last`: whether it is the episode's last tick.
    """

    frame: Frame
    following: Observation | None
    last: bool


@dataclass(frozen=True)
class Skipped:
    """A tick without a frame, and the reasons; `tick_ns` is None for a record that belongs to no tick.

    `missing`: the kind of reason why a tick with an observation has no label. `observation`: that of a tick without
    a label; None where there is none.
    """

    tick_ns: int | None
    reasons: tuple[str, ...]
    missing: NoLabel | None = None
    observation: Observation | None = None


@dataclass(frozen=True)
class Replay:
    """An episode opened under a contract. Iterate to get its frames; `len` is the number of ticks.

    `left_out`: reasons, one for each record without a tick. `observed`: the contract's topic -> the bag's.
    `notes`: sentences about damage of a split recording and topics under another name, to be shown.
    `last_ns`: the time after which ticks are no frames, because the success had been marked before it.
    `variants`: the types of topics that the bag has with another definition; see `ContractTopics`.
    `from_commands`: the labels are the commands on the topics, not the supervisor's decisions.
    `optional`: the keys of observations that may be missing.
    `amended`: what `amendments.json` beside the bag changes, from `started_ns` on. `decoders`: as of `Synchroniser`.
    """

    bag: Bag
    contract: Contract
    tick_labels: Sequence[TickLabel]
    left_out: Sequence[str]
    observed: Mapping[str, str]
    notes: tuple[str, ...] = ()
    last_ns: int | None = None
    from_commands: bool = False
    variants: Mapping[str, str] = field(default_factory=dict)
    optional: Collection[str] = ()
    amended: Amendments = amendments.NONE
    started_ns: int = 0
    decoders: Callable[[ObservationSpec], Decoder] = decoder

    def __len__(self) -> int:
        return len(self.tick_labels)

    @property
    def takeovers_ns(self) -> tuple[int, ...]:
        """Ticks at which the expert took over from the policy, with or without a frame."""
        return tuple(self._takeovers)

    @property
    def group_takeovers_ns(self) -> dict[str, tuple[int, ...]]:
        """Those ticks for each of the contract's groups."""
        found = self._takeovers
        return {
            group.name: tuple(tick_ns for tick_ns, taken in found.items() if group.name in taken)
            for group in self.contract.groups
        }

    @property
    def _takeovers(self) -> dict[int, tuple[str, ...]]:
        """The groups that the expert took over, by tick."""
        found = group_takeovers((label.authorities, label.mode) for label in self.tick_labels)
        return {self.tick_labels[index].tick_ns: taken for index, taken in found.items()}

    def __iter__(self) -> Iterator[Frame | Skipped]:
        """Yield frames and skipped ticks in time order; raises BagError when the file is damaged."""
        yield from (Skipped(None, (reason,)) for reason in self.left_out)
        refused: list[str] = []
        observations = self._observe(self.tick_labels, refused.append)
        for label, observation in zip(self.tick_labels, observations, strict=True):
            yield self._frame(label, observation)
        yield from (Skipped(None, (reason,)) for reason in refused)

    def transitions(self) -> Iterator[FrameStep]:
        """Yield each frame with the observation after its command; raises BagError when the file is damaged.

        That is the observation of the next tick, with or without a label, if it is within 1.5 control periods. After
        the last tick it is made one period later, if something was observed since.
        """
        if not self.tick_labels:
            return
        labels, period_ns = list(self.tick_labels), self.contract.period_ns
        final_ns = labels[-1].tick_ns + period_ns
        labels.append(TickLabel(final_ns, final_ns, False))
        observations = self._observe(labels)
        label, observation = labels[0], next(observations)
        for following_label, following in zip(labels[1:], observations, strict=True):
            frame = self._frame(label, observation)
            last = following_label is labels[-1]
            near = 2 * (following_label.tick_ns - label.tick_ns) <= 3 * period_ns
            seen = following if near and isinstance(following, Observation) else None
            if last and seen is not None and not min(seen.ages_s.values()) * 1e9 < period_ns:
                seen = None  # the last tick's own messages
            if isinstance(frame, Frame):
                yield FrameStep(frame, seen, last)
            label, observation = following_label, following

    def _observe(
        self, ticks: Sequence[TickLabel], refuse: Callable[[str], None] = lambda reason: None
    ) -> Iterator[Observation | NoObservation]:
        contract_topic = {name: topic for topic, name in self.observed.items()}
        recorded = self._recorded(contract_topic)
        specs = [
            replace(spec, type=self.variants.get(spec.topic, spec.type))
            for spec in self.contract.observations
        ]
        return observe(recorded, specs, self.contract.trigger, ticks, refuse, self.optional, self.decoders)

    @cached_property
    def _label_offset(self) -> Vector:
        return self.amended.offset_of(self.contract)

    def _recorded(self, contract_topic: Mapping[str, str]) -> Iterator[BagMessage]:
        """Yield the observed messages under the contract's names, those of shifted streams at their amended time."""
        shifts_ns = self.amended.shifts_ns(self.contract)
        shifted = {name for name, topic in contract_topic.items() if topic in shifts_ns}

        def named(topics: set[str]) -> Iterator[BagMessage]:
            for item in self.bag.before_step(topics):
                topic = contract_topic[item.topic]
                yield _earlier(item._replace(topic=topic), shifts_ns.get(topic, 0))

        if not shifted:
            return named(set(contract_topic))
        parts = [set(contract_topic) - shifted, *({name} for name in sorted(shifted))]
        return heapq.merge(*map(named, parts), key=lambda item: item.log_ns)

    def _frame(self, label: TickLabel, observation: Observation | NoObservation) -> Frame | Skipped:
        if isinstance(observation, NoObservation):
            return Skipped(label.tick_ns, observation.reasons)
        if label.command is None:
            return Skipped(label.tick_ns, (label.reason,), label.missing, observation)
        if self.last_ns is not None and label.tick_ns > self.last_ns:
            reason = f"more than {AFTER_SUCCESS_S:g} s after the success was marked"
            return Skipped(label.tick_ns, (reason,), None, observation)
        if left_out := self.amended.leaves_out(label.tick_ns, self.started_ns):
            return Skipped(label.tick_ns, (left_out,), None, observation)
        command = label.command + self._label_offset
        offset = actions.absolute(self.contract, np.zeros(self.contract.action_size), observation.values)
        # the command of a continuous joint in the turn of its measurement, so that the two can be subtracted
        whole_turns = (command - offset) - actions.differences(self.contract, command, offset)
        return Frame(observation, command - whole_turns, offset, label.authority, label.authorities)


def open_replay(
    bag: Bag,
    contract: Contract,
    info: EpisodeInfo | None,
    rule: Rule = BY_MODE,
    optional: Collection[str] = (),
    decoders: Callable[[ObservationSpec], Decoder] = decoder,
    *,
    commanded: bool = True,
) -> Replay:
    """Find an episode's ticks and labels.

    `info` is None for another recorder's bag; the whole bag is then the demonstration. `optional`: the keys of
    observations that may be missing, at a tick or in the bag. `commanded`: False for a bag that may lack commands, also
    without inferred labels. Those are used with the rule `BY_MODE` only: other rules ask for what was commanded.
    Raises MismatchError when the bag lacks what the contract needs, BagError when it is damaged.
    """
    inferred = beside.inferred(bag) if rule.name == BY_MODE.name else None
    streams = find_streams(contract, bag, info, optional, commanded=commanded and inferred is None)
    recorded = bag.before_step(label_topics(contract, streams))
    found, left_out = label_ticks(recorded, contract, streams, span_of(bag, info), rule)
    if inferred is not None:
        found = beside.with_inferred(found, inferred, contract, bag)
    if bag.step is not None:
        ticked = streams.decisions or streams.observed.get(contract.trigger or "")
        count = f": {counted(bag.step.count(ticked), 'message')} of {ticked}" if ticked else ""
        left_out.append(f"{bag.step}; what was recorded after that is not used{count}")
    damaged = (f"damaged, its intact part is used: {sentence(bag.damage)}",) if bag.damage else ()
    amended = beside.amended(bag, contract)
    said = [amended.sentence(), "" if inferred is None else inferred.sentence()]
    notes = (*damaged, *streams.notes, *filter(None, said))
    succeeded_ns = None if info is None else info.succeeded_ns
    last_ns = None if succeeded_ns is None else succeeded_ns + round(AFTER_SUCCESS_S * 1e9)
    by_command = streams.decisions is None
    return Replay(
        bag,
        contract,
        found,
        left_out,
        streams.observed,
        notes,
        last_ns,
        by_command,
        streams.variants,
        frozenset(optional),
        amended,
        span_of(bag, info).start_ns,
        decoders,
    )


def _earlier(message: BagMessage, shift_ns: int) -> BagMessage:
    """Return a message as if it had been stamped and received `shift_ns` earlier."""
    if not shift_ns:
        return message
    raw = messages.restamped(message.type, message.raw, -shift_ns)
    return message._replace(raw=raw, log_ns=max(0, message.log_ns - shift_ns))


def span_of(bag: Bag, info: EpisodeInfo | None) -> Span:
    """Return the demonstration's span in log time; without a stop time it ends with the bag.

    If the recorder's clock was set back, it ends there. Raises BagError when the bag is damaged.
    """
    stop_ns = bag.end_ns if info is None or info.stopped_ns is None else info.stopped_ns
    if bag.step is not None:
        stop_ns = bag.step.before_ns
    started_ns = info.started_ns if info is not None else 0
    return Span(started_ns or bag.start_ns, stop_ns)


def observe(
    recorded: Iterable[BagMessage],
    specs: Sequence[ObservationSpec],
    trigger: str | None,
    ticks: Iterable[TickLabel],
    refuse: Callable[[str], None] = lambda reason: None,
    optional: Collection[str] = (),
    decoders: Callable[[ObservationSpec], Decoder] = decoder,
) -> Iterator[Observation | NoObservation]:
    """Yield the observation of each tick; `ticks` must be in time order. `optional`, `decoders`: as of `Synchroniser`.

    `recorded`: the bag's messages by log time, under the contract's topic names. As in the live node, a
    triggered tick is sampled as soon as its trigger message has been pushed, any other tick when the clock
    (the log time) has passed it. `refuse` is called with the reason for each message that is not used: too short
    for a header, or stamped too far ahead of its arrival.
    """
    synchroniser = Synchroniser(specs, optional=optional, decoders=decoders)
    pending = list(reversed(list(ticks)))  # the next tick is last
    by_arrival, stamps = stamped_by_arrival(specs, trigger), TriggerStamps()
    for message in recorded:
        trigger_ns = stamp_ns(message, by_arrival) if message.topic == trigger else None
        if trigger_ns is not None and (wrong := stamps.refusal(trigger_ns, message.log_ns)):
            trigger_ns = None
            refuse(f"a message of {message.topic} starts no tick: {wrong}")
        while pending and _is_past(pending[-1], message.log_ns, trigger_ns):
            yield synchroniser.sample(pending.pop().tick_ns)
        ahead = synchroniser.ahead[message.topic]
        try:
            stamped_ns = synchroniser.push(message.topic, message.raw, message.log_ns)
            if synchroniser.ahead[message.topic] > ahead:
                ahead_s = (stamped_ns - message.log_ns) / 1e9
                refuse(
                    f"a message of {message.topic} was set apart: stamped {ahead_s:.3f} s after it arrived"
                )
        except MessageError as error:
            refuse(f"a message of {message.topic} was left out: {error}")
        if pending and pending[-1].tick_ns == trigger_ns:
            yield synchroniser.sample(pending.pop().tick_ns)
    while pending:
        yield synchroniser.sample(pending.pop().tick_ns)


def _is_past(tick: TickLabel, log_ns: int, trigger_ns: int | None) -> bool:
    """Return whether `tick` must be sampled before a message is pushed.

    `log_ns`: the message's log time. `trigger_ns`: its stamp if it is a trigger message, else None.
    """
    if trigger_ns is not None and trigger_ns > tick.tick_ns:
        return True
    return not tick.triggered and log_ns > tick.tick_ns


_DECIMAL = re.compile(r"-?\d+\.\d+(e[-+]?\d+)?")


def count_reasons(skipped: Iterable[Skipped]) -> dict[str, int]:
    """Return the number of skipped ticks by reason, the most common first.

    Reasons that differ only in decimal numbers are counted together, under the first of them.
    """
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for item in skipped:
        for reason in item.reasons:
            kind = _DECIMAL.sub("#", reason)
            counts[examples.setdefault(kind, reason)] += 1
    return dict(counts.most_common())
