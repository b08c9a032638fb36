"""The instruction that a session says, published again and again: it must not become older than the contract allows."""

from __future__ import annotations

from rclpy.clock import Clock, ClockType
from std_msgs.msg import String

from il_ros.nodes.runtime.managed import PlainNode
from il_ros.nodes.runtime.qos import LATCHED

AGAIN_S = 0.2


class InstructionPublisher:
    """Publishes the newest instruction on a topic, every AGAIN_S of steady time. `topic`: "" for a session without."""

    def __init__(self, node: PlainNode, topic: str) -> None:
        self._node, self._text = node, ""
        self._publisher = node.create_publisher(String, topic, LATCHED) if topic else None
        if topic:
            node.create_timer(AGAIN_S, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def say(self, text: str) -> None:
        """Publish another instruction from now on."""
        self._text = text
        self._publish()
        assert self._publisher is not None
        others = self._node.count_publishers(self._publisher.topic_name) - 1
        if others:
            with self._node.above_status():
                self._node.get_logger().warning(
                    f"{self._publisher.topic_name} has another publisher: policies may hear its instruction instead. A "
                    "simulated task that is told in words says its own"
                )

    def _publish(self) -> None:
        if self._publisher is not None and self._text:
            self._publisher.publish(String(data=self._text))
