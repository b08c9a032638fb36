"""Raw subscriptions whose QoS follows what the publishers offer, and the ticks that messages start."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.event_handler import QoSSubscriptionEventType, SubscriptionEventCallbacks
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from il_ros.core import messages
from il_ros.core.contract import Contract
from il_ros.core.synchroniser import Synchroniser
from il_ros.records.ticks import Ticks, TriggerStamps

OnMessage = Callable[[str, bytes, int], None]

NO_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)
MATCHED = QoSSubscriptionEventType.RCL_SUBSCRIPTION_MATCHED
INCOMPATIBLE_QOS = QoSSubscriptionEventType.RCL_SUBSCRIPTION_REQUESTED_INCOMPATIBLE_QOS
MESSAGE_LOST = QoSSubscriptionEventType.RCL_SUBSCRIPTION_MESSAGE_LOST

LOOK_AGAIN_S = 0.1  # delay until a subscription adapts to a new publisher
LARGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/PointCloud2")
DEPTH, DEPTH_LARGE = (
    100,
    10,
)  # queued messages: half a second of joint states, 0.3 s of images


def ros_time(node: Node) -> Callable[[], int]:
    """Return a function that returns the time of the node's clock, in nanoseconds.

    It reads the clock as `Clock.now` does, without its Time object: each message and each tick asks for the time.
    """
    handle = node.get_clock().handle

    def now_ns() -> int:
        nanoseconds: int = handle.get_now().nanoseconds
        return nanoseconds

    return now_ns


class Events:
    """Polled events of a subscription that may be destroyed while the executor spins.

    `callbacks`: by kind of event. Call `look` regularly, and `close` before destroying the subscription.
    Create the subscription with NO_EVENTS: the executor frees a pending event of a destroyed subscription
    without Python's lock, which crashes (ros2/rclpy#1644).
    """

    def __init__(self, subscription: Any, callbacks: Mapping[Any, Callable[[Any], Any]]) -> None:
        self._handles = [
            (_rclpy.EventHandle(subscription.handle, kind), callback) for kind, callback in callbacks.items()
        ]

    def look(self) -> None:
        """Invoke the callbacks of events since the last call."""
        for handle, callback in self._handles:
            event = handle.take_event()
            if event.total_count_change or getattr(event, "current_count_change", 0):
                callback(event)

    def close(self) -> None:
        """Release the event handles, which keep the subscription alive."""
        for handle, _ in self._handles:
            handle.destroy_when_not_in_use()
        self._handles.clear()


class RawSubscriptions:
    """Subscribes to `topics` (name → type) and calls `on_message(topic, raw, arrival_ns)` for every message.

    `raw`: CDR bytes. `arrival_ns`: the node's clock (ROS time). Names are those of the contract; remapping
    and namespace apply. Without a publisher the subscription is best effort and volatile, which matches any
    publisher. It becomes reliable, and transient local (to receive a latched goal), when all publishers offer
    that. Call `close` to unsubscribe; messages that are queued by then are dropped.
    """

    def __init__(self, node: Node, topics: Mapping[str, str], on_message: OnMessage) -> None:
        self._node = node
        self._types = {topic: message_class(kind) for topic, kind in topics.items()}
        self._depths = {
            topic: DEPTH_LARGE if kind in LARGE_TYPES else DEPTH for topic, kind in topics.items()
        }
        self._on_message = on_message
        self._now_ns = ros_time(node)
        self._profiles: dict[str, QoSProfile] = {}
        self._subscriptions: dict[str, Any] = {}
        self._events: dict[str, Events] = {}
        self._changed: set[str] = set(topics)
        self._adapt_changed()
        # steady clock: ROS time stands still before the first /clock message
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(LOOK_AGAIN_S, self._adapt_changed, clock=steady)

    def close(self) -> None:
        """Unsubscribe from everything; may be called twice."""
        self._node.destroy_timer(self._timer)
        for topic in list(self._subscriptions):
            self._unsubscribe(topic)
        self._changed.clear()

    @property
    def up_to_date(self) -> bool:
        """Whether every subscription has the best QoS for the known publishers; else it is replaced soon."""
        return all(self._profiles[topic] == self._wanted(topic) for topic in self._types)

    def _wanted(self, topic: str) -> QoSProfile:
        offers = (info.qos_profile for info in self._publishers(topic))
        return matching_profile(offers, self._depths[topic])

    def _adapt_changed(self) -> None:
        """Replace subscriptions whose publishers now allow or need another QoS."""
        for events in self._events.values():
            events.look()
        while self._changed:
            topic = self._changed.pop()
            profile = self._wanted(topic)
            if self._profiles.get(topic) != profile:
                self._subscribe(topic, profile)

    def _publishers(self, topic: str) -> list[Any]:
        return self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topic))

    def _subscribe(self, topic: str, profile: QoSProfile) -> None:
        self._unsubscribe(topic)

        def receive(raw: bytes) -> None:
            if topic not in self._subscriptions:
                return  # queued before `close`
            self._on_message(topic, raw, self._now_ns())

        def look_again(_info: Any) -> None:
            self._changed.add(topic)

        self._profiles[topic] = profile
        subscription = self._node.create_subscription(
            self._types[topic], topic, receive, profile, raw=True, event_callbacks=NO_EVENTS
        )
        self._subscriptions[topic] = subscription
        self._events[topic] = Events(subscription, {MATCHED: look_again, INCOMPATIBLE_QOS: look_again})

    def _unsubscribe(self, topic: str) -> None:
        if topic in self._subscriptions:
            self._events.pop(topic).close()
            self._node.destroy_subscription(self._subscriptions.pop(topic))


class TickedStreams:
    """Gives a synchroniser the messages of its topics, and calls `on_tick(tick_ns)` at each tick of the contract.

    The contract's trigger starts a tick at its stamp; with `triggered` False, or without a trigger, a timer does on the
    node's clock. `on_refused(sentence)` is called when the stamp of the trigger's message starts no tick.
    """

    def __init__(
        self,
        node: Node,
        contract: Contract,
        synchroniser: Synchroniser,
        triggered: bool,
        on_tick: Callable[[int], None],
        on_refused: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._node, self._contract, self._synchroniser = node, contract, synchroniser
        self._on_tick, self._on_refused = on_tick, on_refused
        self._observed = synchroniser.topics
        self._ticks, self._stamps = Ticks(contract.period_ns), TriggerStamps()
        self.trigger = contract.trigger if triggered else None
        """The topic of the trigger; None: a timer starts the ticks."""
        topics = dict(self._observed)
        if self.trigger is not None:
            topics[self.trigger] = contract.topics[self.trigger]
        self._streams = RawSubscriptions(node, topics, self._receive)
        self._timer = None
        if self.trigger is None:  # node's clock: with use_sim_time, ticks follow /clock
            now_ns = ros_time(node)
            self._timer = node.create_timer(contract.period_ns / 1e9, lambda: on_tick(now_ns()))

    def close(self) -> None:
        """Unsubscribe, and end the timer."""
        self._streams.close()
        if self._timer is not None:
            self._node.destroy_timer(self._timer)

    def _receive(self, topic: str, raw: bytes, arrival_ns: int) -> None:
        if topic in self._observed:
            stamp_ns = self._synchroniser.push(topic, raw, arrival_ns)
        else:  # a trigger that is not among the needed observations
            stamp_ns = messages.raw_stamp_ns(self._contract.topics[topic], raw) or arrival_ns
        if topic != self.trigger:
            return
        wrong = self._stamps.refusal(stamp_ns, arrival_ns)
        if wrong:
            self._on_refused(f"a message of '{topic}' starts no tick: {wrong}")
        elif self._ticks.starts(stamp_ns):
            self._on_tick(stamp_ns)


def matching_profile(offers: Iterable[QoSProfile], depth: int) -> QoSProfile:
    """Return the strongest QoS that all `offers` satisfy; the weakest without offers."""
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

    Raises ValueError when the package cannot be imported: custom messages need their workspace sourced.
    """
    package, _, name = type_name.rpartition("/")
    try:
        return getattr(importlib.import_module(package.replace("/", ".")), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"message type {type_name} cannot be loaded ({error}); source the workspace that provides it"
        ) from error
