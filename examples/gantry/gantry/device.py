"""The input device `clicked_point`: the tool "Publish Point" of RViz moves the gantry."""

from __future__ import annotations

import time

import numpy as np
from geometry_msgs.msg import PointStamped

from il_ros.core.specs import Vector
from il_ros.nodes.runtime.parameters import declare
from il_ros.nodes.teleop.targets import Teleop


class ClickedPoint(Teleop):
    """Proposes the point that was clicked last, until `drive_for` seconds have passed."""

    def set_up(self) -> None:
        """Declare the parameter; subscribe to the clicks."""
        self._drive_s = declare(
            self, "drive_for", 5.0, "time for which a click counts", unit="s", minimum=0.1
        )
        self._point, self._until_s = np.zeros(2), 0.0
        self.create_subscription(PointStamped, "clicked_point", self._on_click, 10)

    def target(self, measured: Vector, tick_ns: int) -> Vector | None:
        """Return the clicked point (2,), or None when there is none."""
        return self._point if time.monotonic() < self._until_s else None

    def _on_click(self, message: PointStamped) -> None:
        self._point = np.array([message.point.x, message.point.y])
        self._until_s = time.monotonic() + self._drive_s
        self.take_over()
