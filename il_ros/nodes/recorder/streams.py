"""The recorder's subscriptions: raw messages, deep queues, the QoS that the publishers offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from il_ros.core import messages
from il_ros.episodes.bag.metadata import Qos
from il_ros.episodes.recording.options import RecordedStream
from il_ros.episodes.recording.record import EpisodeRecorder
from il_ros.nodes.runtime.streams import (
    INCOMPATIBLE_QOS,
    LARGE_TYPES,
    MATCHED,
    MESSAGE_LOST,
    NO_EVENTS,
    Events,
    matching_profile,
    message_class,
)

LOOK_S = 0.1  # how often the graph is checked for new or changed publishers
DEPTH, DEPTH_LARGE = 2000, 60  # queued messages while an episode opens: 10 s, 2 s of images


@dataclass(frozen=True)
class Wanted:
    """A topic by its name in the contract or parameter; without `spec` the graph gives the type."""

    name: str
    spec: RecordedStream | None = None


class RecorderStreams:
    """Subscribes to `wanted` and passes each message to the recorder unchanged.

    When the publishers of a topic change their QoS, the subscription is replaced, which loses the messages in
    between. During an episode that happens only if a publisher would otherwise be incompatible.
    """

    def __init__(self, node: Node, recorder: EpisodeRecorder, wanted: Iterable[Wanted]) -> None:
        self._node, self._recorder = node, recorder
        self._specs = {want.spec.topic: want.spec for want in wanted if want.spec}
        self._untyped = {want.name for want in wanted if want.spec is None}
        self._profiles: dict[str, QoSProfile] = {}
        self._subscriptions: dict[str, tuple[Any, Events]] = {}
        self._changed = set(self._specs)
        self.refused: dict[str, str] = {}
        """Why a topic whose type the graph gave can't be recorded, by its name."""
        self._look()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(LOOK_S, self._look, clock=steady)

    def close(self) -> None:
        """Unsubscribe from everything."""
        self._node.destroy_timer(self._timer)
        for old in self._subscriptions.values():
            self._unsubscribe(*old)
        self._subscriptions.clear()

    def _look(self) -> None:
        for _, events in self._subscriptions.values():
            events.look()
        self._find_types()
        for topic in [topic for topic in self._specs if topic in self._changed]:
            offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(topic)]
            spec = self._specs[topic]
            profile = matching_profile(offers, DEPTH_LARGE if spec.type in LARGE_TYPES else DEPTH)
            old = self._profiles.get(topic)
            if old is not None and old != profile and self._recorder.writer and not _weaker(profile, old):
                continue  # checked again after the episode
            self._changed.discard(topic)
            if old != profile:
                self._subscribe(topic, profile, offers)

    def _subscribe(self, topic: str, profile: QoSProfile, offers: list[QoSProfile]) -> None:
        latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        spec = replace(self._specs[topic], latched=latched, qos=_qos(offers[0]) if offers else None)
        stream = self._recorder.add_stream(spec)
        old = self._subscriptions.pop(topic, None)
        self._profiles[topic] = profile
        subscription = self._node.create_subscription(
            message_class(spec.type),
            topic,
            partial(self._recorder.receive, stream),
            profile,
            raw=True,
            event_callbacks=NO_EVENTS,
        )
        events = Events(
            subscription,
            {
                MATCHED: lambda _: self._changed.add(topic),
                INCOMPATIBLE_QOS: lambda _: self._changed.add(topic),
                MESSAGE_LOST: lambda event: self._recorder.lose(stream, event.total_count_change),
            },
        )
        self._subscriptions[topic] = subscription, events
        if old is not None:
            self._unsubscribe(*old)
            self._node.get_logger().info(f"{topic}: subscription replaced, {_words(profile)}")

    def _unsubscribe(self, subscription: Any, events: Events) -> None:
        events.close()
        self._node.destroy_subscription(subscription)

    def _find_types(self) -> None:
        """Add extra topics without a given type, once the graph shows their type."""
        if not self._untyped:
            return
        for topic, types in self._node.get_topic_names_and_types():
            if topic in self._untyped:
                self._untyped.discard(topic)
                try:
                    messages.definition(types[0])
                    message_class(types[0])
                except ValueError as error:  # the other topics are recorded all the same
                    self.refused[topic] = f"{topic} is not recorded: {error}"
                    self._node.get_logger().error(self.refused[topic])
                    continue
                self._specs[topic] = RecordedStream(topic, types[0])
                self._changed.add(topic)


def wanted_extra(entry: str, resolve: Callable[[str], str]) -> Wanted:
    """Return the topic of an entry of `extra_topics`: 'topic' or 'topic type'.

    Raises ValueError on anything else.
    """
    words = entry.split()
    if len(words) not in (1, 2):
        raise ValueError(f"extra_topics has '{entry}'; it must be 'topic' or 'topic package/msg/Name'")
    topic = resolve(words[0])
    return Wanted(topic, RecordedStream(topic, words[1]) if len(words) == 2 else None)


def _weaker(new: QoSProfile, old: QoSProfile) -> bool:
    """Return whether `new` requests less than `old`, so that more publishers are compatible."""
    return (
        new.reliability == ReliabilityPolicy.BEST_EFFORT and old.reliability == ReliabilityPolicy.RELIABLE
    ) or (new.durability == DurabilityPolicy.VOLATILE and old.durability == DurabilityPolicy.TRANSIENT_LOCAL)


def _qos(offer: QoSProfile) -> Qos:
    """Return the publisher's QoS for the bag's metadata; the graph does not give its history."""
    return Qos(
        reliability=2 if offer.reliability == ReliabilityPolicy.BEST_EFFORT else 1,
        durability=1 if offer.durability == DurabilityPolicy.TRANSIENT_LOCAL else 2,
        history=3,
        depth=0,
    )


def _words(profile: QoSProfile) -> str:
    reliable = "reliable" if profile.reliability == ReliabilityPolicy.RELIABLE else "best effort"
    latched = ", latched" if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL else ""
    return reliable + latched
