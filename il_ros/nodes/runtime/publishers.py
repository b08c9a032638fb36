"""Detect other publishers on topics that only one node may publish on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rclpy.node import Node

from il_ros.nodes.runtime.parameters import ACTIVATE, declare, value

LOOK_AGAIN_S = 0.05


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
        for topic in topics:
            resolved = self._node.resolve_topic_name(topic)
            names = [_name(info) for info in self._node.get_publishers_info_by_topic(resolved)]
            own = self._node.get_fully_qualified_name()
            for _ in range(ours):
                if own in names:
                    names.remove(own)  # once: a second node may have the same name
            if names:
                return f"{names[0]} publishes on {resolved}; {self._rule}"
        return ""


def _name(info: Any) -> str:
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"
