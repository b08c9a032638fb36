"""Hears whether the scripted expert has given an episode up: it then advises without saying what to do."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSProfile
from trajectory_msgs.msg import JointTrajectory

from il_ros.core import messages
from il_ros.records import proposal

PATIENCE_NS = 1_000_000_000
"""So long, in simulated time, an expert must be at a loss without a break."""


class GivingUp:
    """Listens to `expert/advice`; where no scripted expert runs, nobody gives anything up."""

    def __init__(self, node: Node) -> None:
        self._since_ns: int | None = None
        qos = QoSProfile(depth=10)
        node.create_subscription(JointTrajectory, "expert/advice", self._on_advice, qos, raw=True)

    def over(self, start_ns: int, now_ns: int) -> bool:
        """Tell whether the expert has been at a loss for long, in the episode that began at `start_ns`."""
        since_ns = self._since_ns
        return since_ns is not None and since_ns >= start_ns and now_ns - since_ns >= PATIENCE_NS

    def _on_advice(self, raw: bytes) -> None:
        said = messages.decode(proposal.TYPE, raw)
        if said.points:
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = messages.stamp_ns(said)
