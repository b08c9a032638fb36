"""The supervisor's generation, and the beginning of its episode, read from its status."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from std_msgs.msg import String

from il_ros.nodes.runtime.parameters import ACTIVATE, declare, value
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.records import statuses


class GenerationListener:
    """Stores the supervisor's newest `.generation` (None before the first), and calls `on_change(from_ns)`.

    `from_ns`: the tick at which it began. `on_episode(from_ns)` is called when an episode has begun, with the time on
    the node's clock.
    """

    def __init__(
        self, node: Node, on_change: Callable[[int], None], on_episode: Callable[[int], None]
    ) -> None:
        self._node = node
        self._on_change, self._on_episode = on_change, on_episode
        self.generation: int | None = None
        self.authority = ""
        """The source in authority over all action groups; "" before the first status."""
        self._episode_ns = 0
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
        status = statuses.read(statuses.SUPERVISOR, message.data)
        generation, episode_ns = status.get("generation"), status.get("episode_ns", 0)
        self.authority = status.get("authority", "")
        if episode_ns != self._episode_ns:
            self._episode_ns = episode_ns
            self._on_episode(episode_ns)
        if generation is not None and generation != self.generation:
            self.generation = generation
            self._on_change(status.get("generation_ns", 0))
