"""The drive robot in its corridor in Gazebo: worlds/drive.sdf and the corridor's pieces."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from il_ros.sim.corridor import BOXES, CYLINDERS, END_PANEL_M, PANEL_M, WALL_PANELS, Corridor, Place
from il_ros.sim.drive_scene import WHEEL_RADIUS_M
from il_ros.sim.gazebo.client import Client, State
from il_ros.sim.gazebo.pictures import fitted
from il_ros.sim.gazebo.process import Gazebo
from il_ros.sim.gazebo.world import add_box, add_cylinder, world_element, world_text
from il_ros.sim.laser import RANGE_M
from il_ros.sim.task import Cameras
from il_ros.specs import Vector

ROBOT_RADIUS_M = 0.16
TOUCH_M = 0.002
"""Nearer to a piece of the corridor than this, the robot touches it."""

WALL_HEIGHT_M, OBSTACLE_HEIGHT_M = 0.5, 0.4
CYLINDER_RADIUS_M, BOX_SIDE_M = 0.13, 0.24
JOINTS = {"left_wheel": 0.0, "right_wheel": 0.0}
STEP_NS = 5_000_000
"""<max_step_size> of the world."""

SIZES_M = (  # of the corridor's pieces in the plane, in the order of `_places`; a cylinder has its diameter
    *[PANEL_M] * WALL_PANELS,
    *[(END_PANEL_M, PANEL_M[1])] * 2,
    *[(2 * CYLINDER_RADIUS_M, 0.0)] * CYLINDERS,
    *[(BOX_SIDE_M, BOX_SIDE_M)] * BOXES,
)


class GazeboDrive:
    """See `il_ros.sim.drive_scene.DriveScene`. Raises RuntimeError where `make gazebo` was not run."""

    def __init__(self, task: str, cameras: Cameras):
        names, world = _world(cameras)
        self._client = Client(Gazebo(world), JOINTS, ["drive", "goal", *names], laser="laser")
        self._wheels = np.zeros(2)
        self._now: State
        self._places: tuple[Place, ...] = ()

    @property
    def position_m(self) -> Vector:
        """Where the robot is, (3,)."""
        return np.array(self._now.models[0, :3])

    @property
    def quaternion(self) -> Vector:
        """How it is turned, (4,) wxyz."""
        return np.array(self._now.models[0, 3:7])

    @property
    def velocity(self) -> tuple[Vector, Vector]:
        """How it moves and turns in its own frame, (3,) m/s and (3,) rad/s."""
        turn = _rotation(self.quaternion)
        return turn.T @ self._now.models[0, 7:10], turn.T @ self._now.models[0, 10:13]

    @property
    def ranges(self) -> Vector:
        """What the laser sees, (BEAMS,) metres."""
        seen = self._client.ranges()
        return np.where(seen >= RANGE_M[1] - 1e-6, np.inf, seen)

    @property
    def touching(self) -> bool:
        """True while the robot's round hull touches a piece of the corridor."""
        x, y = self.position_m[:2]
        gaps = [_gap(x, y, place, size) for place, size in zip(self._places, SIZES_M, strict=True)]
        return min(gaps) < ROBOT_RADIUS_M + TOUCH_M

    def place(self, corridor: Corridor, seed: int) -> None:
        """Build the corridor and put the robot at its start, standing still."""
        self._places = (*corridor.panels, *corridor.ends, *corridor.cylinders, *corridor.boxes)
        poses = [_pose(corridor.start, WHEEL_RADIUS_M), _pose(corridor.goal, 0.0)]
        poses += [_pose(place, 0.0) for place in self._places]
        self._wheels[:] = 0.0
        self._now = self._client.reset(seed, self._wheels, np.array(poses))

    def drive(self, left_rad_s: float, right_rad_s: float) -> None:
        """Take new speeds of the wheels."""
        self._wheels[:] = left_rad_s, right_rad_s

    def advance(self, period_ns: int) -> None:
        """Let so much time pass."""
        self._now = self._client.step(period_ns // STEP_NS, self._wheels)

    def state(self) -> Vector:
        """Return joints, models and targets: all that is seen of Gazebo."""
        now = self._now
        return np.concatenate([now.position, now.velocity, now.models.ravel(), self._wheels])

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return what 'camera' (on the robot) or 'above' sees now, (height, width, 3)."""
        return fitted(self._client.picture(camera), width, height)

    def close(self) -> None:
        """End Gazebo."""
        self._client.close()


def _world(cameras: Cameras) -> tuple[list[str], str]:
    """Return the pieces' names and the world that holds them."""
    root = world_element("drive")
    world = root.find("world")
    assert world is not None
    panels, ends = [f"panel{k}" for k in range(WALL_PANELS)], ["end0", "end1"]
    cylinders, boxes = [f"cylinder{k}" for k in range(CYLINDERS)], [f"box{k}" for k in range(BOXES)]
    for name in panels:
        add_box(world, name, (*PANEL_M, WALL_HEIGHT_M), "0.90 0.88 0.83")
    for name in ends:
        add_box(world, name, (END_PANEL_M, PANEL_M[1], WALL_HEIGHT_M), "0.80 0.85 0.80")
    for name in cylinders:
        add_cylinder(world, name, CYLINDER_RADIUS_M, OBSTACLE_HEIGHT_M, "0.93 0.45 0.13")
    for name in boxes:
        add_box(world, name, (BOX_SIDE_M, BOX_SIDE_M, OBSTACLE_HEIGHT_M), "0.20 0.45 0.70")
    return [*panels, *ends, *cylinders, *boxes], world_text(root, cameras)


def _gap(x_m: float, y_m: float, place: Place, size_m: tuple[float, float]) -> float:
    """Return the distance in the plane from a point to a piece; 0 inside."""
    dx, dy = x_m - place.x_m, y_m - place.y_m
    if size_m[1] == 0.0:
        return math.hypot(dx, dy) - size_m[0] / 2
    cos, sin = math.cos(place.yaw_rad), math.sin(place.yaw_rad)
    along, across = abs(dx * cos + dy * sin) - size_m[0] / 2, abs(dy * cos - dx * sin) - size_m[1] / 2
    return math.hypot(max(along, 0.0), max(across, 0.0))


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
