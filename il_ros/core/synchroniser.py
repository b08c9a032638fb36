"""From messages to the observation at a tick, with the same code for live streams and bags.

An observation is causal: of each stream it contains the newest message stamped at or before the tick. If a
stream is missing or older than its maximum age, there is no observation, with the reason; no value is made
up. Only an optional stream may be missing in an observation, which says why. The joints of a robot may come in
several messages on one topic, each with some of them: then this holds for each joint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from il_ros.core import messages
from il_ros.core.codecs import CodecError, decoder, require_finite
from il_ros.core.codecs.base import Decoder
from il_ros.core.codecs.image import other_view, size_of
from il_ros.core.codecs.joint_layout import JointLayout
from il_ros.core.codecs.joint_sources import MOST_LAYOUTS, JointSources
from il_ros.core.codecs.joint_state import JointStateReader
from il_ros.core.codecs.transforms import UntimelyTransformError, transform_buffers
from il_ros.core.specs import JOINT_STATE, ObservationSpec

Array = np.ndarray[Any, Any]

HISTORY_NS = 1_000_000_000
"""Length of the history of a stream: a tick may be sampled this much after its time."""
SET_BACK_NS = 2 * HISTORY_NS
"""A tick that is earlier than its predecessor by more than this: the clock was set back."""
AHEAD_NS = 1_000_000_000
"""A message stamped further than this after its arrival is not used: the clock of its driver is wrong."""
CLOCKS_APART_S = 1e6
"""A larger difference of stamps means a mix of simulated time and wall time."""
_EPOCH_S = 1e9
"""Wall time is more than this since 1970; simulated time, and a clock since its start, are less."""
_ZONE_S, _WIDEST_ZONE_S, _NEAR_S = 1800, 14 * 3600, 60.0
"""Time zones differ by half hours; a clock that is off by such a span, within a minute, is set to another one."""


def another_clock(age_s: float) -> str:
    """Return what the age of a stream's messages, below 0 if they are ahead, says of the clock that stamps them."""
    zones = round(age_s / _ZONE_S)
    if age_s > _EPOCH_S:
        seen = " (stamps near zero: none set, simulated time, or time since a start)"
    elif age_s < -_EPOCH_S:
        seen = " (stamps in wall time, while this node follows /clock)"
    elif zones and abs(age_s - zones * _ZONE_S) <= _NEAR_S and abs(age_s) <= _WIDEST_ZONE_S + _NEAR_S:
        side = "behind" if zones > 0 else "ahead"
        return f"it is stamped by another clock: {abs(zones) / 2:g} h {side}, as in another time zone"
    else:
        seen = ""
    return f"it is stamped by another clock: check use_sim_time{seen}"


@dataclass(frozen=True)
class Observation:
    """The observation at a tick: `values[key]` has the shape `ObservationSpec.shape` and is read-only.

    `ages_s[key]`: the age of its message at the tick; of several messages, of the oldest one.
    `missing[key]`: the reason why an optional observation has no value.
    """

    tick_ns: int
    values: Mapping[str, Array]
    ages_s: Mapping[str, float]
    missing: Mapping[str, str] = field(default_factory=dict)

    def without(self, reasons: Mapping[str, str]) -> Observation:
        """Return the observation in which the optional keys of `reasons` have no value, each for its reason."""
        values = {key: value for key, value in self.values.items() if key not in reasons}
        ages_s = {key: age_s for key, age_s in self.ages_s.items() if key not in reasons}
        return Observation(self.tick_ns, values, ages_s, {**self.missing, **reasons})


@dataclass(frozen=True)
class NoObservation:
    """The reasons why there is no observation at a tick, one sentence per stream.

    `untimely`: every stream has messages, but not of the right time, as in a process that is late.
    """

    tick_ns: int
    reasons: tuple[str, ...]
    untimely: bool = False


class _UntimelyError(CodecError):
    """A stream has messages, but none of the right time for the tick."""


@dataclass
class _Entry:
    stamp_ns: int
    raw: bytes
    layout: JointLayout | None = None
    decoded: dict[str, Array] = field(default_factory=dict)
    message: messages.Message | None = None


class Synchroniser:
    """Buffers the recent messages of the contract's streams, and samples the observation at a tick.

    Messages are stored as bytes and decoded only when a tick needs them: a camera may be faster than the
    policy.
    `publishers`: returns the names of a topic's publishers, for the reason that a joint has two of them; offline
    they are not known. `decoders`: makes the reader of an observation's messages; offline its values may have another
    form.
    """

    def __init__(
        self,
        specs: Sequence[ObservationSpec],
        publishers: Callable[[str], Sequence[str]] = lambda topic: (),
        optional: Collection[str] = (),
        decoders: Callable[[ObservationSpec], Decoder] = decoder,
    ):
        self._specs = tuple(specs)
        self.optional = frozenset(optional)
        """The keys of observations that may be missing at the next ticks."""
        self._publishers = publishers
        self._types = {topic: spec.type for spec in specs for topic in spec.topics}
        self._transforms = transform_buffers(self._specs, HISTORY_NS, AHEAD_NS)
        self._by_arrival = {spec.topic for spec in specs if spec.stamp == "arrival"}
        # of a topic of joint states, one stream per layout of its messages
        self._streams: dict[str, dict[JointLayout | None, list[_Entry]]] = {
            topic: {} for topic in self._types
        }
        self._sources = {
            topic: JointSources(spec for spec in specs if spec.topic == topic)
            for topic, type_name in self._types.items()
            if type_name == JOINT_STATE
        }
        self._readers = {spec.key: JointStateReader(spec) for spec in specs if spec.type == JOINT_STATE}
        self._shared = {topic for topic, count in Counter(spec.topic for spec in specs).items() if count > 1}
        self._decoders = {spec.key: decoders(spec) for spec in specs}
        self._first_sizes: dict[str, tuple[int, int]] = {}
        self._last_tick_ns = -1
        self.disordered = dict.fromkeys(self._types, 0)
        """Count of messages per topic whose stamp was not after that of their predecessor (of the same layout)."""
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
        stamp (transforms have their own) or the contract says 'stamp: arrival'. Of two messages with the same stamp
        the first is kept.
        A message stamped further ahead of its arrival than AHEAD_NS is counted and set apart, the last one of a
        topic until the ticks reach it: in the stream it would make all others old. Memory is bounded whatever
        the stamps are.
        Raises KeyError on a topic without observation, ValueError on bytes too short for a header.
        """
        if topic in self._transforms:
            self._transforms[topic].push(topic, raw, arrival_ns)
            return arrival_ns
        stamp_ns = None if topic in self._by_arrival else messages.raw_stamp_ns(self._types[topic], raw)
        if stamp_ns is None:
            stamp_ns = arrival_ns
        if stamp_ns > arrival_ns + AHEAD_NS:
            if arrival_ns > 0:  # at 0, simulated time has not begun
                self.ahead[topic] += 1
            self._early[topic] = _Entry(stamp_ns, raw)
            return stamp_ns
        self.disordered[topic] += self._insert(topic, _Entry(stamp_ns, raw))
        return stamp_ns

    def sample(self, tick_ns: int) -> Observation | NoObservation:
        """Return the observation at a tick, or the reasons why there is none.

        Ticks must be in order. A tick before the last one is rejected; if it is earlier by more than
        SET_BACK_NS, the clock was set back, and all messages are discarded. `il_ros.records.ticks` keeps ticks
        with a single wrong stamp away.
        """
        back_ns = self._last_tick_ns - tick_ns
        if back_ns > 0:
            back_s = back_ns / 1e9
            if back_ns <= SET_BACK_NS:
                return NoObservation(tick_ns, (f"the tick is {back_s:.3f} s before the last one",))
            self.clear()
            return NoObservation(
                tick_ns, (f"the clock went back by {back_s:.3f} s; all messages were discarded",)
            )
        self._last_tick_ns = tick_ns
        values: dict[str, Array] = {}
        ages_s: dict[str, float] = {}
        reasons: list[str] = []
        missing: dict[str, str] = {}
        untimely = True
        for spec in self._specs:
            try:
                values[spec.key], stamp_ns = self._sampled(spec, tick_ns)
                ages_s[spec.key] = (tick_ns - stamp_ns) / 1e9
            except CodecError as error:
                if spec.key in self.optional:
                    missing[spec.key] = str(error)
                    continue
                reasons.append(str(error))
                untimely = untimely and isinstance(error, _UntimelyError)
        if reasons:
            return NoObservation(tick_ns, tuple(reasons), untimely)
        return Observation(tick_ns, values, ages_s, missing)

    def clear(self) -> None:
        """Discard all messages, for example after the clock was set back; static transforms, sent only once, stay."""
        for streams in self._streams.values():
            streams.clear()
        for sources in self._sources.values():
            sources.clear()
        for transforms in self._transforms.values():
            transforms.clear()
        self._early.clear()
        self._first_sizes.clear()
        self._last_tick_ns = -1

    def _sampled(self, spec: ObservationSpec, tick_ns: int) -> tuple[Array, int]:
        """Return the value at the tick and the stamp of its (oldest) message; raises CodecError with the reason."""
        if spec.frames:
            return self._transformed(spec, tick_ns)
        early = self._early.get(spec.topic)
        if early is not None and early.stamp_ns <= tick_ns:
            self._insert(spec.topic, self._early.pop(spec.topic))
            early = None
        streams = self._streams[spec.topic]
        sources = self._sources.get(spec.topic)
        if sources is not None:
            fault = sources.fault(tick_ns, spec.names)
            if fault:
                named = ", ".join(self._publishers(spec.topic))
                raise CodecError(
                    f"{_name(spec)}: {fault}" + (f"; the topic's publishers: {named}" if named else "")
                )
        newest = [stream[place - 1] for stream in streams.values() if (place := _after(stream, tick_ns))]
        if not newest:
            oldest = min((stream[0] for stream in streams.values()), key=_stamp_ns, default=early)
            kind = CodecError if oldest is None else _UntimelyError
            raise kind(_nothing_yet(spec, oldest, tick_ns))
        if len(newest) > 1:
            return self._merged(spec, newest, tick_ns)
        (entry,) = newest
        _require_recent(spec, "", entry, tick_ns)
        return self._decoded(spec, entry), entry.stamp_ns

    def _transformed(self, spec: ObservationSpec, tick_ns: int) -> tuple[Array, int]:
        """Return the pose of the spec's frames at the tick, and the stamp of the oldest transform that moves."""
        try:
            value, stamp_ns = self._transforms[spec.topic].value(spec, tick_ns)
            value = require_finite(value, spec.elements, spec.key)
        except UntimelyTransformError as error:
            raise _UntimelyError(f"{_name(spec)}: {error}") from error
        except CodecError as error:
            raise CodecError(f"{_name(spec)}: {error}") from error
        value.setflags(write=False)
        return value, tick_ns if stamp_ns is None else stamp_ns

    def _merged(self, spec: ObservationSpec, newest: Sequence[_Entry], tick_ns: int) -> tuple[Array, int]:
        """Return the value made of messages of several layouts: of each joint, from the newest one that has it."""
        newest = sorted(newest, key=_stamp_ns, reverse=True)
        if newest[0].layout is None:  # not a whole JointState: it costs the ticks up to the next message
            return self._decoded(spec, newest[0]), newest[0].stamp_ns
        wanted = [(part, name) for part in spec.fields for name in spec.names]
        chosen = []
        for part, name in wanted:
            entry = next((each for each in newest if each.layout and each.layout.has(part, name)), None)
            if entry is None:
                layouts = "; ".join(str(each.layout) for each in newest if each.layout)
                raise CodecError(
                    f"{_name(spec)}: joint '{name}' is missing in '{part}'; the messages have: {layouts}"
                )
            chosen.append(entry)
        oldest = min(chosen, key=_stamp_ns)
        part, name = wanted[chosen.index(oldest)]
        _require_recent(spec, f"{part}/{name}", oldest, tick_ns, newest[0])
        if all(entry is oldest for entry in chosen):
            return self._decoded(spec, oldest), oldest.stamp_ns
        value = np.empty(len(wanted))
        for place, ((part, name), entry) in enumerate(zip(wanted, chosen, strict=True)):
            assert entry.layout is not None
            try:
                value[place] = entry.layout.value(entry.raw, part, name)
            except ValueError as error:
                raise CodecError(f"{_name(spec)}: {error}") from error
        value = require_finite(value, spec.elements, spec.key)
        value.setflags(write=False)
        return value, oldest.stamp_ns

    def _decoded(self, spec: ObservationSpec, entry: _Entry) -> Array:
        if spec.key not in entry.decoded:
            reader = self._readers.get(spec.key)
            value: Array | None = None if reader is None else reader.read(entry.raw, entry.layout)
            if value is None:
                if entry.message is None:  # several observations of one topic decode it once
                    try:
                        entry.message = messages.decode(spec.type, entry.raw)
                    except ValueError as error:
                        raise CodecError(f"{spec.key} ({spec.topic}): {error}") from error
                self._require_same_view(spec, entry.message)
                value = self._decoders[spec.key](entry.message)
                if spec.topic not in self._shared:
                    entry.message = None
            value.setflags(write=False)
            entry.decoded[spec.key] = value
        return entry.decoded[spec.key]

    def _require_same_view(self, spec: ObservationSpec, message: messages.Message) -> None:
        """Raise CodecError when a camera changed its aspect ratio, and the contract's `fit` would hide that."""
        size = None if spec.image is None else size_of(message)
        if spec.image is None or size is None:
            return
        why = other_view(spec.image, size, self._first_sizes.setdefault(spec.topic, size))
        if why:
            raise CodecError(f"{_name(spec)}: {why}")

    def _insert(self, topic: str, entry: _Entry) -> bool:
        """Add a message at its place in time, unless there is one with the same stamp; drop old ones.

        Returns whether its stamp was not after that of its predecessor.
        """
        sources, streams = self._sources.get(topic), self._streams[topic]
        if sources is not None:
            entry.layout = sources.observe(entry.raw, entry.stamp_ns)
        stream = streams.setdefault(entry.layout, [])
        place = _after(stream, entry.stamp_ns)
        disordered = place < len(stream) or (place > 0 and stream[place - 1].stamp_ns == entry.stamp_ns)
        if place == 0 or stream[place - 1].stamp_ns < entry.stamp_ns:
            stream.insert(place, entry)
            self._drop_before(stream, stream[-1].stamp_ns - HISTORY_NS)
        if len(streams) > MOST_LAYOUTS:
            del streams[min(streams, key=lambda layout: streams[layout][-1].stamp_ns)]
        return disordered

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


def _stamp_ns(entry: _Entry) -> int:
    return entry.stamp_ns


def _name(spec: ObservationSpec) -> str:
    return f"{spec.key} ({spec.topic})"


def _nothing_yet(spec: ObservationSpec, oldest: _Entry | None, tick_ns: int) -> str:
    """Return why there is no message at or before the tick; `oldest`: the first one after it, None without any."""
    if oldest is None:
        return f"{_name(spec)}: nothing received"
    ahead_s = (oldest.stamp_ns - tick_ns) / 1e9
    off = "if the driver's clock is wrong, set 'stamp: arrival'"
    why = another_clock(-ahead_s) if ahead_s > CLOCKS_APART_S else off
    return f"{_name(spec)}: no message at or before the tick, the oldest is {ahead_s:.3f} s after it; {why}"


def _require_recent(
    spec: ObservationSpec, element: str, entry: _Entry, tick_ns: int, newest: _Entry | None = None
) -> None:
    """Raise CodecError when the message is older than the contract allows.

    `element`: the one that is taken from it, if there are several messages; `newest`: the newest of these.
    """
    age_s = (tick_ns - entry.stamp_ns) / 1e9
    if age_s <= spec.max_age_s:
        return
    why = another_clock(age_s) if age_s > CLOCKS_APART_S else f"max_age_s is {spec.max_age_s:g}"
    which = f"{element} is stale" if element else "stale"
    last = f"; the newest message has {newest.layout}" if newest is not None and newest is not entry else ""
    raise _UntimelyError(f"{_name(spec)}: {which}, {age_s:.3f} s old at the tick; {why}{last}")
