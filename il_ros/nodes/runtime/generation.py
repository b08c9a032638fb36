"""The supervisor's generation, read from its status."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from std_msgs.msg import String

from il_ros.nodes.runtime.parameters import ACTIVATE, declare, value
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.records import statuses


class GenerationListener:
    """Stores the supervisor's newest `.generation` (None before the first), and calls `on_change()`."""

    def __init__(self, node: Node, on_change: Callable[[], None]) -> None:
        self._node = node
        self._on_change = on_change
        self.generation: int | None = None
        if not node.has_parameter("supervisor_status"):
            declare(
                node, "supervisor_status", "dagger_supervisor/status", "topic of the supervisor's status",
                read_at=ACTIVATE,
            )  # fmt: skip
        topic = value(node, "supervisor_status")
        self._subscription = node.create_subscription(String, topic, self._on_status, LATCHED)

    def close(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._subscription)

    def _on_status(self, message: String) -> None:
        generation = statuses.read(statuses.SUPERVISOR, message.data).get("generation")
        if generation is not None and generation != self.generation:
            self.generation = generation
            self._on_change()
