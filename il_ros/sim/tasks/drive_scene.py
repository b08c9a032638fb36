"""Scene protocol of the task `drive`: a two-wheeled robot in a corridor."""

from __future__ import annotations

from typing import Protocol

from il_ros.core.specs import Vector
from il_ros.sim.tasks.corridor import Corridor
from il_ros.sim.tasks.scene import Scene

WHEEL_RADIUS_M = 0.05  # as in the models
WHEEL_SEPARATION_M = 0.24


class DriveScene(Scene, Protocol):
    """The scene of `drive`: world frame, metres, quaternions (4,) wxyz.

    Cameras: 'camera' (on the robot) and 'above'.
    """

    @property
    def position_m(self) -> Vector:
        """Position of the robot, (3,)."""
        ...

    @property
    def quaternion(self) -> Vector:
        """Orientation of the robot."""
        ...

    @property
    def velocity(self) -> tuple[Vector, Vector]:
        """Linear (3,) m/s and angular (3,) rad/s velocity in the robot's own frame."""
        ...

    @property
    def ranges(self) -> Vector:
        """Laser ranges, (BEAMS,) metres: inf beyond the maximum, -inf below the minimum (REP 117)."""
        ...

    @property
    def touching(self) -> bool:
        """True while the robot touches the corridor."""
        ...

    def place(self, corridor: Corridor, seed: int) -> None:
        """Build the corridor and place the robot at its start, at rest."""
        ...

    def drive(self, left_rad_s: float, right_rad_s: float) -> None:
        """Set the wheel speeds."""
        ...
