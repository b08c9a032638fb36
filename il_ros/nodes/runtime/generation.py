"""The supervisor's epoch, as its status tells it."""

from __future__ import annotations

import json
from collections.abc import Callable

from rclpy.node import Node
from std_msgs.msg import String

from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.qos import LATCHED


class EpochListener:
    """Holds `.epoch`, the newest one heard from the supervisor (None before), and calls `on_change()`."""

    def __init__(self, node: Node, on_change: Callable[[], None]) -> None:
        self._node = node
        self._on_change = on_change
        self.epoch: int | None = None
        if not node.has_parameter("supervisor_status"):
            declare(node, "supervisor_status", "dagger_supervisor/status", "topic of the supervisor's status")
        topic = value(node, "supervisor_status")
        self._subscription = node.create_subscription(String, topic, self._on_status, LATCHED)

    def close(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._subscription)

    def _on_status(self, message: String) -> None:
        epoch = json.loads(message.data)["epoch"]
        if epoch != self.epoch:
            self.epoch = epoch
            self._on_change()
