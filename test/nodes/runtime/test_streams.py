"""Subscriptions adapt their QoS to the publishers."""

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from il_ros.core import messages
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.streams import RawSubscriptions, matching_profile, message_class

STRING = "std_msgs/msg/String"
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=1)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Listener(managed.PlainNode):
    def __init__(self, **kwargs):
        super().__init__("listener", **kwargs)
        self.received = []
        self.streams = RawSubscriptions(
            self, {"words": STRING}, lambda *message: self.received.append(message)
        )


@pytest.mark.parametrize(
    ("offers", "reliable", "latched"),
    [
        ([], False, False),
        ([RELIABLE], True, False),
        ([RELIABLE, BEST_EFFORT], False, False),
        ([LATCHED], True, True),
        ([LATCHED, RELIABLE], True, False),
    ],
)
def test_the_profile_is_the_strongest_that_all_publishers_offer(offers, reliable, latched):
    profile = matching_profile(offers, 7)
    assert (profile.reliability == ReliabilityPolicy.RELIABLE) is reliable
    assert (profile.durability == DurabilityPolicy.TRANSIENT_LOCAL) is latched
    assert profile.depth == 7


@pytest.mark.parametrize("qos", [BEST_EFFORT, RELIABLE], ids=["best effort", "reliable"])
def test_messages_arrive_as_raw_bytes_whatever_the_publisher_offers(graph, qos):
    listener = graph.start(Listener)
    publish = graph.publisher("words", STRING, qos)
    graph.in_line(publish)
    publish(messages.make(STRING, data="hello"))
    topic, raw, arrival_ns = graph.until(lambda: listener.received and listener.received[-1], "message")
    assert topic == "words"
    assert messages.decode(STRING, raw).data == "hello"
    assert abs(listener.get_clock().now().nanoseconds - arrival_ns) < 10e9


def test_a_message_latched_before_the_node_started_is_received(graph):
    publish = graph.publisher("words", STRING, LATCHED)
    publish(messages.make(STRING, data="earlier"))
    listener = graph.start(Listener)
    graph.until(lambda: listener.received, "latched message")
    assert messages.decode(STRING, listener.received[0][1]).data == "earlier"


def test_a_message_latched_by_a_later_publisher_is_received(graph):
    listener = graph.start(Listener)
    publish = graph.publisher("words", STRING, LATCHED)
    publish(messages.make(STRING, data="later"))
    graph.until(lambda: listener.received, "latched message")


def test_a_best_effort_publisher_that_joins_reliable_ones_is_received(graph):
    first = graph.publisher("words", STRING, RELIABLE)
    listener = graph.start(Listener)
    graph.until(first.count, "first subscription")
    second = graph.publisher("words", STRING, BEST_EFFORT)

    def heard_second():
        second(messages.make(STRING, data="second"))
        return any(messages.decode(STRING, raw).data == "second" for _, raw, _ in listener.received)

    graph.until(heard_second, "message of the second")


def test_after_close_nothing_is_received(graph):
    listener = graph.start(Listener)
    listener.streams.close()
    listener.streams.close()
    publish = graph.publisher("words", STRING)
    publish(messages.make(STRING, data="hello"))
    graph.spin(0.3)
    assert listener.received == []


def test_close_before_a_pending_publisher_event_is_safe(graph):
    listener = graph.start(Listener)
    graph.in_line(graph.publisher("words", STRING))
    graph.publisher("words", STRING)
    listener.streams.close()
    graph.spin(0.3)  # the executor must survive the event of the second publisher
    assert listener.received == []


def test_replaceable_subscriptions_have_no_events_in_the_executor(graph):
    """A pending event of a replaced subscription crashes the process: ros2/rclpy#1644."""
    listener = graph.start(Listener)
    (words,) = [each for each in listener.subscriptions if each.topic_name == "/words"]
    assert words.event_handlers == []


def test_a_missing_message_type_is_named():
    with pytest.raises(ValueError, match="robot_msgs/msg/Grip cannot be loaded"):
        message_class("robot_msgs/msg/Grip")
