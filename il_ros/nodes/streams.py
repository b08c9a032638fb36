"""Raw subscriptions to named topics, with the QoS that their publishers offer."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.event_handler import EventHandler, SubscriptionEventCallbacks
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

OnMessage = Callable[[str, bytes, int], None]

LOOK_AGAIN_S = 0.1  # how soon after a publisher came the subscription is brought in line with it
LARGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/PointCloud2")
DEPTH, DEPTH_LARGE = (
    100,
    10,
)  # messages waiting for a busy node: half a second of joint states, 0.3 s of images


class Events(SubscriptionEventCallbacks):
    """Callbacks of a subscription that may be destroyed while an event of it waits to be handled.

    rclpy's executor would raise InvalidHandle then, out of its spin.
    """

    def create_event_handlers(self, *args: Any, **kwargs: Any) -> list[EventHandler]:
        """Do as rclpy does, with handlers that take nothing from a destroyed subscription."""
        handlers: list[EventHandler] = super().create_event_handlers(*args, **kwargs)
        for handler in handlers:
            handler.take_data = partial(_take, handler.take_data)
        return handlers


def _take(take_data: Callable[[], Any]) -> Any:
    try:
        return take_data()
    except InvalidHandle:
        return None


class Streams:
    """Subscribes to `topics` (name → type) and calls `on_message(topic, raw, arrival_ns)` for every message.

    `raw` are CDR bytes, `arrival_ns` is the node's clock (ROS time). Names are as the contract has them;
    remapping and namespace apply. Until a publisher is there the subscription is best effort and volatile,
    which matches every publisher; then it becomes reliable where all offer that, and transient local where
    all offer that (so that a latched goal is received). Call `close` to end.
    """

    def __init__(self, node: Node, topics: Mapping[str, str], on_message: OnMessage) -> None:
        self._node = node
        self._types = {topic: message_class(kind) for topic, kind in topics.items()}
        self._depths = {
            topic: DEPTH_LARGE if kind in LARGE_TYPES else DEPTH for topic, kind in topics.items()
        }
        self._on_message = on_message
        self._now = node.get_clock().now
        self._profiles: dict[str, QoSProfile] = {}
        self._subscriptions: dict[str, Any] = {}
        self._changed: set[str] = set(topics)
        self._adapt_changed()
        # on the steady clock: before the first /clock message ROS time stands still
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(LOOK_AGAIN_S, self._adapt_changed, clock=steady)

    def close(self) -> None:
        """Unsubscribe from everything; may be called twice."""
        self._node.destroy_timer(self._timer)
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self._changed.clear()

    @property
    def in_line(self) -> bool:
        """Whether every subscription is what the publishers known by now allow; else it is replaced soon."""
        return all(self._profiles[topic] == self._wanted(topic) for topic in self._types)

    def _wanted(self, topic: str) -> QoSProfile:
        offers = (info.qos_profile for info in self._publishers(topic))
        return matching_profile(offers, self._depths[topic])

    def _adapt_changed(self) -> None:
        """Subscribe anew where the publishers that are there now allow or need another QoS."""
        while self._changed:
            topic = self._changed.pop()
            profile = self._wanted(topic)
            if self._profiles.get(topic) != profile:
                self._subscribe(topic, profile)

    def _publishers(self, topic: str) -> list[Any]:
        return self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))

    def _subscribe(self, topic: str, profile: QoSProfile) -> None:
        old = self._subscriptions.pop(topic, None)
        if old is not None:
            self._node.destroy_subscription(old)

        def receive(raw: bytes) -> None:
            self._on_message(topic, raw, self._now().nanoseconds)

        def look_again(_info: Any) -> None:
            self._changed.add(topic)

        self._profiles[topic] = profile
        self._subscriptions[topic] = self._node.create_subscription(
            self._types[topic],
            topic,
            receive,
            profile,
            raw=True,
            event_callbacks=Events(matched=look_again, incompatible_qos=look_again),
        )


def matching_profile(offers: Iterable[QoSProfile], depth: int) -> QoSProfile:
    """Return the strongest QoS that every one of the `offers` can serve; without offers the weakest."""
    offers = list(offers)
    reliable = bool(offers) and all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
    latched = bool(offers) and all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def message_class(type_name: str) -> Any:
    """Return rclpy's class for 'sensor_msgs/msg/JointState'.

    Raises ValueError when the package isn't there: a robot's own messages need its workspace sourced.
    """
    package, _, name = type_name.rpartition("/")
    try:
        return getattr(importlib.import_module(package.replace("/", ".")), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"message type {type_name} can't be loaded ({error}); source the workspace that has it"
        ) from error
