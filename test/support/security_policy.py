"""What config/security allows each node: SROS2 policies as sets of names."""

from contextlib import contextmanager
from functools import partial
from xml.etree import ElementTree

import rclpy

from il_ros.core import share

POLICY = ElementTree.parse(share.path("config", "security", "drive.policy.xml")).getroot()
_OF_ACTION = {
    ("topics", "subscribe"): ("feedback", "status"),
    ("services", "request"): ("send_goal", "cancel_goal", "get_result"),
}
"""What the right to call an action means."""


def allowed(node, kind, right):
    """Return the full names that the policy allows the node, as `topics` or `services` with a `right`."""
    (profile,) = [each for each in POLICY.iter("profile") if each.get("node") == node]
    expressions = [
        item.text for group in profile.findall(kind) if group.get(right) == "ALLOW" for item in group
    ]
    called = [
        item.text for group in profile.findall("actions") if group.get("call") == "ALLOW" for item in group
    ]
    expressions += [
        f"{action}/_action/{part}" for action in called for part in _OF_ACTION.get((kind, right), ())
    ]
    return {
        f"/{node}{text[1:]}" if text[0] == "~" else text if text[0] == "/" else f"/{text}"
        for text in expressions
    }


def publishers_of(topic):
    """Return the nodes that may publish on a topic."""
    nodes = {profile.get("node") for profile in POLICY.iter("profile")}
    return {node for node in nodes if topic in allowed(node, "topics", "publish")}


def callers_of(action):
    """Return the nodes that may send goals to an action server."""
    nodes = {profile.get("node") for profile in POLICY.iter("profile")}
    return {node for node in nodes if f"{action}/_action/send_goal" in allowed(node, "services", "request")}


def forbidden(graph, node, but=frozenset()):
    """Return what a node does on the graph although the policy does not allow it, by kind and right; `but`: names.

    It is seen on the graph by the node itself and by a new participant, and its topics are those that it holds, too: on
    a busy machine the graph was seen to miss all subscriptions of a node for two minutes.
    """
    own, space = node.get_name(), node.get_namespace()
    does = {
        ("topics", "publish"): "get_publisher_names_and_types_by_node",
        ("topics", "subscribe"): "get_subscriber_names_and_types_by_node",
        ("services", "reply"): "get_service_names_and_types_by_node",
        ("services", "request"): "get_client_names_and_types_by_node",
    }
    held = {"publish": list(node.publishers), "subscribe": list(node.subscriptions)}
    beyond = {}
    with _observer() as observer:
        graph.until(lambda: (own, space) in observer.get_node_names_and_namespaces(), "the node is seen")

        def names(right, look):
            seen = {topic for viewer in (node, observer) for topic, _ in getattr(viewer, look)(own, space)}
            return (seen | {each.topic_name for each in held.get(right, ())}) - but

        for (kind, right), look in does.items():
            if right != "request":
                graph.until(partial(names, right, look), f"what the node may {right} is seen")
            beyond[kind, right] = names(right, look) - allowed(own, kind, right)
    return {what: names for what, names in beyond.items() if names}


@contextmanager
def _observer():
    """Yield a node of a context, thus of a DDS participant, of its own."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("policy_observer", context=context)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
