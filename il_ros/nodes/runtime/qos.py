"""QoS profiles shared by nodes; publisher and subscriber must use the same."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Late subscribers receive the newest message."""
