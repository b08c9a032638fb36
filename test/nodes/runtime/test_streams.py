"""Subscriptions that take the QoS of those who publish."""

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
        self.heard = []
        self.streams = RawSubscriptions(self, {"words": STRING}, lambda *message: self.heard.append(message))


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
def test_the_strongest_profile_that_all_publishers_serve(offers, reliable, latched):
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
    topic, raw, arrival_ns = graph.until(lambda: listener.heard and listener.heard[-1], "message")
    assert topic == "words"
    assert messages.decode(STRING, raw).data == "hello"
    assert abs(listener.get_clock().now().nanoseconds - arrival_ns) < 10e9


def test_what_was_latched_before_the_node_started_is_heard(graph):
    publish = graph.publisher("words", STRING, LATCHED)
    publish(messages.make(STRING, data="earlier"))
    listener = graph.start(Listener)
    graph.until(lambda: listener.heard, "latched message")
    assert messages.decode(STRING, listener.heard[0][1]).data == "earlier"


def test_what_a_publisher_latched_that_came_later_is_heard_too(graph):
    listener = graph.start(Listener)
    publish = graph.publisher("words", STRING, LATCHED)
    publish(messages.make(STRING, data="later"))
    graph.until(lambda: listener.heard, "latched message")


def test_a_best_effort_publisher_that_joins_reliable_ones_is_heard(graph):
    first = graph.publisher("words", STRING, RELIABLE)
    listener = graph.start(Listener)
    graph.until(first.count, "first subscription")
    second = graph.publisher("words", STRING, BEST_EFFORT)

    def heard_second():
        second(messages.make(STRING, data="second"))
        return any(messages.decode(STRING, raw).data == "second" for _, raw, _ in listener.heard)

    graph.until(heard_second, "message of the second")


def test_closed_it_hears_nothing_more(graph):
    listener = graph.start(Listener)
    listener.streams.close()
    listener.streams.close()
    publish = graph.publisher("words", STRING)
    publish(messages.make(STRING, data="hello"))
    graph.spin(0.3)
    assert listener.heard == []


def test_closed_before_it_has_noticed_a_publisher_it_disturbs_nobody(graph):
    listener = graph.start(Listener)
    graph.in_line(graph.publisher("words", STRING))
    graph.publisher("words", STRING)
    listener.streams.close()
    graph.spin(0.3)  # the event of the second publisher is handled: the executor must survive it
    assert listener.heard == []


def test_no_event_of_a_subscription_that_may_be_replaced_waits_in_the_executor(graph):
    """One that did crashed the process when it was replaced meanwhile: ros2/rclpy#1644."""
    listener = graph.start(Listener)
    (words,) = [each for each in listener.subscriptions if each.topic_name == "/words"]
    assert words.event_handlers == []


def test_a_type_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="robot_msgs/msg/Grip cannot be loaded"):
        message_class("robot_msgs/msg/Grip")
