"""Detect that the scripted expert has given up an episode: its advice then has no steps."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSProfile
from trajectory_msgs.msg import JointTrajectory

from il_ros.core import messages
from il_ros.records import proposal

GIVEN_UP_AFTER_NS = 1_000_000_000
"""Simulated time for which the advice must be empty without interruption."""


class GivingUp:
    """Subscribes to `expert/advice`; without a scripted expert no episode is given up."""

    def __init__(self, node: Node) -> None:
        self._since_ns: int | None = None
        qos = QoSProfile(depth=10)
        node.create_subscription(JointTrajectory, "expert/advice", self._on_advice, qos, raw=True)

    def over(self, start_ns: int, now_ns: int) -> bool:
        """Return whether the expert has given up the episode that began at `start_ns`."""
        since_ns = self._since_ns
        return since_ns is not None and since_ns >= start_ns and now_ns - since_ns >= GIVEN_UP_AFTER_NS

    def _on_advice(self, raw: bytes) -> None:
        advice = messages.decode(proposal.TYPE, raw)
        if advice.points:
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = messages.stamp_ns(advice)
