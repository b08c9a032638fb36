"""What the task `drive` needs of a simulator: a robot on two wheels in a corridor."""

from __future__ import annotations

from typing import Protocol

from il_ros.core.specs import Vector
from il_ros.sim.tasks.corridor import Corridor
from il_ros.sim.tasks.scene import Scene

WHEEL_RADIUS_M = 0.05  # as in the models
WHEEL_SEPARATION_M = 0.24


class DriveScene(Scene, Protocol):
    """What `drive` needs of a simulator; the world's frame, metres, quaternions (4,) wxyz.

    Its cameras: 'camera' (on the robot) and 'above'.
    """

    @property
    def position_m(self) -> Vector:
        """Where the robot is, (3,)."""
        ...

    @property
    def quaternion(self) -> Vector:
        """How it is turned."""
        ...

    @property
    def velocity(self) -> tuple[Vector, Vector]:
        """How it moves and turns in its own frame, (3,) m/s and (3,) rad/s."""
        ...

    @property
    def ranges(self) -> Vector:
        """What the laser sees, (BEAMS,): inf beyond the range, -inf nearer than it (REP 117)."""
        ...

    @property
    def touching(self) -> bool:
        """True while the robot touches a piece of the corridor."""
        ...

    def place(self, corridor: Corridor, seed: int) -> None:
        """Build the corridor, and put the robot at its start, standing still."""
        ...

    def drive(self, left_rad_s: float, right_rad_s: float) -> None:
        """Take new speeds of the wheels."""
        ...
