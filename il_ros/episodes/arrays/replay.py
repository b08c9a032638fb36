"""From a bag to frames: its messages go through the live synchroniser, in the order in which they came.

This is the only way from recordings to arrays, so that what is learnt is what the policy will see.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from il_ros.core import actions
from il_ros.core.contract import Contract
from il_ros.core.specs import ObservationSpec, Vector
from il_ros.core.synchroniser import NoObservation, Observation, Synchroniser
from il_ros.episodes.arrays.tick_labels import (
    Span,
    TickLabel,
    label_topics,
    moments,
    stamp_ns,
    stamped_by_arrival,
)
from il_ros.episodes.bag.reader import Bag, BagError, BagMessage
from il_ros.episodes.bag.topics import find_streams
from il_ros.episodes.layout import EpisodeInfo
from il_ros.records.labelling import BY_MODE, Rule
from il_ros.records.takeovers import takeovers


@dataclass(frozen=True)
class Frame:
    """What was seen at a tick and the command to learn for it; `offset` is the delta actions' reference."""

    observation: Observation
    command: Vector
    offset: Vector
    authority: str

    @property
    def tick_ns(self) -> int:
        """The tick."""
        return self.observation.tick_ns


@dataclass(frozen=True)
class Skipped:
    """A tick without a frame, and why; tick None: a record that belongs to no tick."""

    tick_ns: int | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Replay:
    """An episode opened under a contract: `len` is the most frames there can be."""

    bag: Bag
    contract: Contract
    moments: Sequence[TickLabel]
    left_out: Sequence[str]
    observed: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.moments)

    @property
    def takeovers_ns(self) -> tuple[int, ...]:
        """The stamps of the takeovers, whether or not there are frames of them."""
        found = takeovers((moment.authority, moment.mode) for moment in self.moments)
        return tuple(self.moments[index].tick_ns for index in found)

    def __iter__(self) -> Iterator[Frame | Skipped]:
        """Yield the frames in the order of their ticks; raises BagError when the file is damaged."""
        yield from (Skipped(None, (reason,)) for reason in self.left_out)
        back = {name: topic for topic, name in self.observed.items()}
        recorded = (item._replace(topic=back[item.topic]) for item in self.bag.messages(set(back)))
        seen = observe(recorded, self.contract.observations, self.contract.trigger, self.moments)
        for moment, observation in zip(self.moments, seen, strict=True):
            yield self._frame(moment, observation)

    def _frame(self, moment: TickLabel, observation: Observation | NoObservation) -> Frame | Skipped:
        if isinstance(observation, NoObservation):
            return Skipped(moment.tick_ns, observation.reasons)
        if moment.command is None:
            return Skipped(moment.tick_ns, (moment.reason,))
        offset = actions.absolute(self.contract, np.zeros(self.contract.action_size), observation.values)
        return Frame(observation, moment.command, offset, moment.authority)


def open_replay(bag: Bag, contract: Contract, info: EpisodeInfo | None, rule: Rule = BY_MODE) -> Replay:
    """Find an episode's ticks and labels; `info` None: a bag of another recorder, all of it is demonstration.

    Raises MismatchError when the bag lacks what the contract needs, BagError when it is damaged.
    """
    streams = find_streams(contract, bag, info)
    recorded = bag.messages(label_topics(contract, streams))
    found, left_out = moments(recorded, contract, streams, span_of(bag, info), rule)
    return Replay(bag, contract, found, left_out, streams.observed)


def span_of(bag: Bag, info: EpisodeInfo | None) -> Span:
    """Return the demonstration's span of log times; an episode that never stopped ends with its bag."""
    if info is None:
        return Span(bag.start_ns, bag.end_ns)
    return Span(info.started_ns or bag.start_ns, bag.end_ns if info.stopped_ns is None else info.stopped_ns)


def observe(
    recorded: Iterable[BagMessage],
    specs: Sequence[ObservationSpec],
    trigger: str | None,
    ticks: Iterable[TickLabel],
) -> Iterator[Observation | NoObservation]:
    """Yield what was seen at each of the (rising) ticks; `recorded` are messages under the contract's topics.

    As live: a triggered tick is sampled the moment its trigger message is in, any other one when the clock
    (the log time) has passed it; always in the order of ticks.
    """
    synchroniser = Synchroniser(specs)
    pending = list(reversed(list(ticks)))  # the next tick is at the end
    by_arrival = stamped_by_arrival(specs, trigger)
    for message in recorded:
        trigger_ns = stamp_ns(message, by_arrival) if message.topic == trigger else None
        while pending and _is_past(pending[-1], message.log_ns, trigger_ns):
            yield synchroniser.sample(pending.pop().tick_ns)
        try:
            synchroniser.push(message.topic, message.raw, message.log_ns)
        except ValueError as error:
            raise BagError(f"{message.topic} at log time {message.log_ns} ns: {error}") from error
        if pending and pending[-1].tick_ns == trigger_ns:
            yield synchroniser.sample(pending.pop().tick_ns)
    while pending:
        yield synchroniser.sample(pending.pop().tick_ns)


def _is_past(tick: TickLabel, log_ns: int, trigger_ns: int | None) -> bool:
    """Tell whether a tick can wait no longer when a message comes (with that stamp, if it is a trigger)."""
    if trigger_ns is not None and trigger_ns > tick.tick_ns:
        return True
    return not tick.triggered and log_ns > tick.tick_ns


_DECIMAL = re.compile(r"-?\d+\.\d+(e[-+]?\d+)?")


def count_reasons(skipped: Iterable[Skipped]) -> dict[str, int]:
    """Return how many ticks each reason cost, the commonest first.

    Reasons that differ in their decimal numbers only are one; the first of them is shown.
    """
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for item in skipped:
        for reason in item.reasons:
            kind = _DECIMAL.sub("#", reason)
            counts[examples.setdefault(kind, reason)] += 1
    return dict(counts.most_common())
