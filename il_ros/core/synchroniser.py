"""From messages to the observation at a tick, with the same code for live streams and bags.

An observation is causal: of each stream it contains the newest message stamped at or before the tick. If a
stream is missing or older than its maximum age, there is no observation, with the reason; no value is made
up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from il_ros.core import messages
from il_ros.core.codecs import CodecError, decode
from il_ros.core.codecs.joint_state import JointStateReader
from il_ros.core.specs import JOINT_STATE, ObservationSpec

Array = np.ndarray[Any, Any]

HISTORY_NS = 1_000_000_000
"""Length of the history of a stream: a tick may be sampled this much after its time."""
AHEAD_NS = 1_000_000_000
"""A message stamped further than this after its arrival is not used: the clock of its driver is wrong."""
CLOCKS_APART_S = 1e6
"""A larger difference of stamps means a mix of simulated time and wall time."""
ANOTHER_CLOCK = "it is stamped by another clock: check use_sim_time"


@dataclass(frozen=True)
class Observation:
    """The observation at a tick: `values[key]` has the shape `ObservationSpec.shape` and is read-only."""

    tick_ns: int
    values: Mapping[str, Array]
    ages_s: Mapping[str, float]


@dataclass(frozen=True)
class NoObservation:
    """The reasons why there is no observation at a tick, one sentence per stream.

    `untimely`: every stream has messages, but not of the right time, as in a process that is late.
    """

    tick_ns: int
    reasons: tuple[str, ...]
    untimely: bool = False


@dataclass
class _Entry:
    stamp_ns: int
    raw: bytes
    decoded: dict[str, Array] = field(default_factory=dict)


class Synchroniser:
    """Buffers the recent messages of the contract's streams, and samples the observation at a tick.

    Messages are stored as bytes and decoded only when a tick needs them: a camera may be faster than the
    policy.
    """

    def __init__(self, specs: Sequence[ObservationSpec]):
        self._specs = tuple(specs)
        self._types = {spec.topic: spec.type for spec in specs}
        self._by_arrival = {spec.topic for spec in specs if spec.stamp == "arrival"}
        self._streams: dict[str, list[_Entry]] = {topic: [] for topic in self._types}
        self._readers = {spec.key: JointStateReader(spec) for spec in specs if spec.type == JOINT_STATE}
        self._last_tick_ns = -1
        self.disordered = dict.fromkeys(self._types, 0)
        """Count of messages per topic whose stamp was not after that of their predecessor."""
        self.ahead = dict.fromkeys(self._types, 0)
        """Count of messages per topic that were stamped further ahead of their arrival than AHEAD_NS."""
        self._early: dict[str, _Entry] = {}

    @property
    def topics(self) -> dict[str, str]:
        """Message type of each expected topic."""
        return dict(self._types)

    def push(self, topic: str, raw: bytes, arrival_ns: int) -> int:
        """Add a serialised message and return its effective stamp, in nanoseconds.

        `arrival_ns`: the time on the node's clock (in a bag: the log time), used when the message has no
        stamp or the contract says 'stamp: arrival'. Of two messages with the same stamp the first is kept.
        A message stamped further ahead of its arrival than AHEAD_NS is counted and set apart, the last one of a
        topic until the ticks reach it: in the stream it would make all others old. Memory is bounded whatever
        the stamps are.
        Raises KeyError on a topic without observation, ValueError on bytes too short for a header.
        """
        stamp_ns = None if topic in self._by_arrival else messages.raw_stamp_ns(self._types[topic], raw)
        if stamp_ns is None:
            stamp_ns = arrival_ns
        if stamp_ns > arrival_ns + AHEAD_NS:
            if arrival_ns > 0:  # at 0, simulated time has not begun
                self.ahead[topic] += 1
            self._early[topic] = _Entry(stamp_ns, raw)
            return stamp_ns
        stream = self._streams[topic]
        if stream and stamp_ns <= stream[-1].stamp_ns:
            self.disordered[topic] += 1
        self._insert(stream, _Entry(stamp_ns, raw))
        return stamp_ns

    def sample(self, tick_ns: int) -> Observation | NoObservation:
        """Return the observation at a tick, or the reasons why there is none.

        Ticks must be in order. A tick before the last one is rejected; if it is earlier by more than
        HISTORY_NS, the clock was set back, and all messages are discarded.
        """
        back_ns = self._last_tick_ns - tick_ns
        if back_ns > 0:
            back_s = back_ns / 1e9
            if back_ns <= HISTORY_NS:
                return NoObservation(tick_ns, (f"the tick is {back_s:.3f} s before the last one",))
            self.clear()
            return NoObservation(
                tick_ns, (f"the clock went back by {back_s:.3f} s; all messages were discarded",)
            )
        self._last_tick_ns = tick_ns
        values: dict[str, Array] = {}
        ages_s: dict[str, float] = {}
        reasons: list[str] = []
        untimely = True
        for spec in self._specs:
            entry, reason = self._at(spec, tick_ns)
            if entry is None:
                reasons.append(reason)
                untimely = untimely and bool(self._streams[spec.topic])
                continue
            try:
                values[spec.key] = self._decoded(spec, entry)
                ages_s[spec.key] = (tick_ns - entry.stamp_ns) / 1e9
            except CodecError as error:
                reasons.append(str(error))
                untimely = False
        if reasons:
            return NoObservation(tick_ns, tuple(reasons), untimely)
        return Observation(tick_ns, values, ages_s)

    def clear(self) -> None:
        """Discard all messages, for example after the clock was set back."""
        for stream in self._streams.values():
            stream.clear()
        self._early.clear()
        self._last_tick_ns = -1

    def _at(self, spec: ObservationSpec, tick_ns: int) -> tuple[_Entry | None, str]:
        stream = self._streams[spec.topic]
        name = f"{spec.key} ({spec.topic})"
        early = self._early.get(spec.topic)
        if early is not None and early.stamp_ns <= tick_ns:
            self._insert(stream, self._early.pop(spec.topic))
            early = None
        if not stream and early is None:
            return None, f"{name}: nothing received"
        place = _after(stream, tick_ns)
        if place == 0:
            oldest = stream[0] if stream else early
            assert oldest is not None
            ahead_s = (oldest.stamp_ns - tick_ns) / 1e9
            off = "if the driver's clock is wrong, set 'stamp: arrival'"
            why = ANOTHER_CLOCK if ahead_s > CLOCKS_APART_S else off
            return None, (
                f"{name}: no message at or before the tick, the oldest is {ahead_s:.3f} s after it; {why}"
            )
        entry = stream[place - 1]
        age_s = (tick_ns - entry.stamp_ns) / 1e9
        if age_s > spec.max_age_s:
            why = ANOTHER_CLOCK if age_s > CLOCKS_APART_S else f"max_age_s is {spec.max_age_s:g}"
            return None, f"{name}: stale, {age_s:.3f} s old at the tick; {why}"
        return entry, ""

    def _decoded(self, spec: ObservationSpec, entry: _Entry) -> Array:
        if spec.key not in entry.decoded:
            reader = self._readers.get(spec.key)
            value: Array | None = None if reader is None else reader.read(entry.raw)
            if value is None:
                try:
                    message = messages.decode(spec.type, entry.raw)
                except ValueError as error:
                    raise CodecError(f"{spec.key} ({spec.topic}): {error}") from error
                value = decode(spec, message)
            value.setflags(write=False)
            entry.decoded[spec.key] = value
        return entry.decoded[spec.key]

    @classmethod
    def _insert(cls, stream: list[_Entry], entry: _Entry) -> None:
        """Add a message at its place in time, unless there is one with the same stamp; drop old ones."""
        place = _after(stream, entry.stamp_ns)
        if place == 0 or stream[place - 1].stamp_ns < entry.stamp_ns:
            stream.insert(place, entry)
            cls._drop_before(stream, stream[-1].stamp_ns - HISTORY_NS)

    @staticmethod
    def _drop_before(stream: list[_Entry], before_ns: int) -> None:
        """Drop old messages, except the newest one at or before `before_ns`."""
        past = 0
        while past + 1 < len(stream) and stream[past + 1].stamp_ns <= before_ns:
            past += 1
        del stream[:past]


def _after(stream: list[_Entry], time_ns: int) -> int:
    """Return the index of the first entry stamped after `time_ns`; the search starts at the newest."""
    place = len(stream)
    while place and stream[place - 1].stamp_ns > time_ns:
        place -= 1
    return place
