"""Detect other publishers on topics that only one node may publish on, and a /clock with none or two."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rclpy.node import Node

from il_ros.core.tables import shown
from il_ros.nodes.runtime.diagnostics import ERROR, Status
from il_ros.nodes.runtime.parameters import ACTIVATE, declare, value

LOOK_AGAIN_S = 0.05
UNKNOWN = "_NODE_NAME_UNKNOWN_"
"""The name of a node of which only a publisher was discovered so far."""
CLOCK = "/clock"
CLOCK_DISCOVERY_S = 2.0
FIRST_TIME_S = 20.0
"""Time for the first /clock: a simulator that is started with the nodes loads its scene, Gazebo for ten seconds."""


def publisher_names(node: Node, topic: str) -> list[str]:
    """Return the full names of the nodes that publish on a topic, a name once for each of its publishers."""
    return [_name(info) for info in node.get_publishers_info_by_topic(node.resolve_topic_name(topic))]


class OtherPublishers:
    """Finds other publishers. `.found`: sentence about the last one found, "" if none.

    `rule`: what the sentence says of them, such as "only one node may command the robot".
    """

    def __init__(self, node: Node, rule: str) -> None:
        self._node, self._rule = node, rule
        self._born_s = time.monotonic()
        self.found = ""
        declare(
            node, "discovery_s", 0.5, "time after the start in which the node looks for another node that does "
            "the same before it starts", unit="s", minimum=0.0, maximum=30.0, read_at=ACTIVATE,
        )  # fmt: skip

    def before_publishing(self, topics: Sequence[str], ours: int = 0) -> str:
        """Return a sentence about a publisher on one of `topics` besides `ours` of this node, "" if none.

        Discovery takes time: looks until `discovery_s` after the node's start.
        """
        while True:
            self.found = self._look(topics, ours)
            left_s = self._born_s + value(self._node, "discovery_s") - time.monotonic()
            if self.found or left_s <= 0:
                return self.found
            time.sleep(min(LOOK_AGAIN_S, left_s))

    def beside_ours(self, topics: Sequence[str]) -> str:
        """Return a sentence about a publisher on one of `topics` besides this node's own, "" if none."""
        self.found = self._look(topics, ours=1)
        return self.found

    def _look(self, topics: Sequence[str], ours: int) -> str:
        found = other_publisher(self._node, topics, ours)
        return f"{found}; {self._rule}" if found else ""


class SoleUse:
    """Reports another node that publishes on topics of this one, usually a second start of it.

    `rule`: the sentence that follows the node's name. Both nodes go on; an operator must stop the wrong one.
    """

    def __init__(self, node: Node, topics: Sequence[str], rule: str) -> None:
        self._node, self._topics, self._rule = node, topics, rule
        self._told = ""

    def status(self, status: Status) -> Status:
        """Return the status, as an error while there is another node; log its name once."""
        found = other_publisher(self._node, self._topics, ours=1)
        sentence = f"{found}, too; {self._rule}" if found else ""
        if sentence and sentence != self._told:
            self._node.get_logger().error(shown(sentence))
        self._told = sentence
        return Status(ERROR, sentence, status.values) if sentence else status


def other_publisher(node: Node, topics: Sequence[str], ours: int) -> str:
    """Return 'NODE publishes on TOPIC' about a publisher besides `ours` of this node, "" if there is none."""
    for topic in topics:
        resolved = node.resolve_topic_name(topic)
        if node.count_publishers(resolved) <= ours:  # names cost more
            continue
        names = publisher_names(node, topic)
        own = node.get_fully_qualified_name()
        for _ in range(ours):
            if own in names:
                names.remove(own)  # once: a second node may have the same name
        if names:
            # a killed process stays known for the discovery's lease
            another = (
                "another node of this name (or one that was just killed)" if names[0] == own else names[0]
            )
            return f"{another} publishes on {resolved}"
    return ""


class SimulatedTime:
    """Whether a node's time can be relied on where it is simulated; elsewhere there is nothing to check."""

    def __init__(self, node: Node) -> None:
        self._node, self._born_s = node, time.monotonic()

    def twice(self) -> str:
        """Return a sentence if two nodes publish /clock, else "" (time would jump between the two)."""
        if not self._simulated():
            return ""
        names = self._publishers()
        if len(names) < 2:
            return ""
        both = f"{names[0]} and {names[1]} both publish {self._topic()}"
        return f"{both}, so time jumps between the two: stop one of them"

    def awaited(self) -> str:
        """Return a sentence while the first time on /clock may still come with the simulator, else ""."""
        if not CLOCK_DISCOVERY_S <= self._waited_s() < FIRST_TIME_S:
            return ""
        return f"no time on {self._topic()} yet: is the simulator still starting?"

    def missing(self) -> str:
        """Return a sentence if no time has arrived on /clock for a while after the node's start, else ""."""
        if self._waited_s() < FIRST_TIME_S:
            return ""
        names = self._publishers()
        if names:
            return f"use_sim_time is set, but {names[0]} has not published a time on {self._topic()} yet"
        return (
            f"use_sim_time is set, but nothing publishes {self._topic()}: time stands still. Start the simulator, "
            f"or set use_sim_time to false"
        )

    def _waited_s(self) -> float:
        """Return the seconds without a time since the node's start; 0 when there is one, or none is needed."""
        if not self._simulated() or self._node.get_clock().now().nanoseconds:
            return 0.0
        return time.monotonic() - self._born_s

    def _simulated(self) -> bool:
        return bool(value(self._node, "use_sim_time"))

    def _topic(self) -> str:
        """Return the clock's topic: with several robots it is remapped into the namespace."""
        return str(self._node.resolve_topic_name(CLOCK))

    def _publishers(self) -> list[str]:
        return sorted(_name(info) for info in self._node.get_publishers_info_by_topic(self._topic()))


def _name(info: Any) -> str:
    if info.node_name == UNKNOWN:  # its endpoint was discovered before its node
        return "a node that was just discovered"
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
