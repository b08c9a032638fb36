"""The drive robot in its corridor in Gazebo: worlds/drive.sdf."""

from __future__ import annotations

import math

import numpy as np

from il_ros.core.specs import Vector
from il_ros.sim.gazebo.client import Client
from il_ros.sim.gazebo.process import Gazebo
from il_ros.sim.gazebo.scene import GazeboScene
from il_ros.sim.gazebo.world import world_element, world_text
from il_ros.sim.tasks import corridor_pieces
from il_ros.sim.tasks.corridor import Corridor, Place
from il_ros.sim.tasks.drive_scene import WHEEL_RADIUS_M
from il_ros.sim.tasks.laser import RANGE_M
from il_ros.sim.tasks.task import Cameras

JOINTS = {"left_wheel": 0.0, "right_wheel": 0.0}
STEP_NS = 5_000_000
"""Physics step, as in MuJoCo; control periods are multiples of it."""


class GazeboDrive(GazeboScene):
    """See `il_ros.sim.tasks.drive_scene.DriveScene`. Raises RuntimeError without `make gazebo`."""

    def __init__(self, task: str, cameras: Cameras):
        world = world_text(world_element("drive"), cameras, STEP_NS)
        models = ["drive", "goal", *corridor_pieces.SIZES_M]
        super().__init__(Client(Gazebo(world), JOINTS, models, laser="laser"), len(JOINTS), STEP_NS)
        self._pieces: dict[str, Place] = {}

    @property
    def position_m(self) -> Vector:
        """Position of the robot, (3,)."""
        return np.array(self._now.models[0, :3])

    @property
    def quaternion(self) -> Vector:
        """Orientation of the robot, (4,) wxyz."""
        return np.array(self._now.models[0, 3:7])

    @property
    def velocity(self) -> tuple[Vector, Vector]:
        """Linear (3,) m/s and angular (3,) rad/s velocity in the robot's own frame."""
        turn = _rotation(self.quaternion)
        return turn.T @ self._now.models[0, 7:10], turn.T @ self._now.models[0, 10:13]

    @property
    def ranges(self) -> Vector:
        """Laser ranges, (BEAMS,) metres."""
        seen = self._client.ranges()
        return np.where(seen >= RANGE_M[1] - 1e-6, np.inf, seen)

    @property
    def touching(self) -> bool:
        """True while the robot's round hull touches the corridor."""
        x, y = self.position_m[:2]
        return corridor_pieces.touches(x, y, self._pieces)

    def place(self, corridor: Corridor, seed: int) -> None:
        """Build the corridor and place the robot at its start, at rest."""
        self._pieces = corridor_pieces.places(corridor)
        poses = [_pose(corridor.start, WHEEL_RADIUS_M), _pose(corridor.goal, 0.0)]
        poses += [_pose(place, 0.0) for place in self._pieces.values()]
        self._targets[:] = 0.0
        self._now = self._client.reset(seed, self._targets, np.array(poses))

    def drive(self, left_rad_s: float, right_rad_s: float) -> None:
        """Set the wheel speeds."""
        self._targets[:] = left_rad_s, right_rad_s


def _pose(place: Place, height_m: float) -> tuple[float, ...]:
    half = place.yaw_rad / 2
    return (place.x_m, place.y_m, height_m, math.cos(half), 0.0, 0.0, math.sin(half))


def _rotation(quaternion_wxyz: Vector) -> Vector:
    """Return the matrix (3, 3) from the turned frame to the world's."""
    w, x, y, z = quaternion_wxyz
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
