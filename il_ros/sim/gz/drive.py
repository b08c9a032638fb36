"""The drive robot as gz-sim tells of it over bridged topics: worlds/drive.sdf, config/gz/drive.yaml."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import LASER_SCAN, Vector
from il_ros.sim.gz.state import BridgeListener, Put
from il_ros.sim.tasks import corridor_pieces
from il_ros.sim.tasks.corridor import Corridor, Place
from il_ros.sim.tasks.drive import ODOMETRY
from il_ros.sim.tasks.drive_scene import WHEEL_RADIUS_M
from il_ros.sim.tasks.laser import BEAMS

HEARD_ODOMETRY, HEARD_SCAN = "gz/odom", "gz/scan"


class BridgedDrive(BridgeListener):
    """See `il_ros.sim.tasks.drive_scene.DriveScene`."""

    trigger = HEARD_ODOMETRY
    hears: Mapping[str, str] = {HEARD_ODOMETRY: ODOMETRY, HEARD_SCAN: LASER_SCAN}

    def __init__(self, task: str):
        super().__init__()
        self._pieces: dict[str, Place] = {}
        self._pose = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
        self._put = Put()
        self._velocity = (np.zeros(3), np.zeros(3))
        self._ranges = np.empty(0)
        self._wheels = (0.0, 0.0)

    def hear(self, topic: str, message: Message) -> None:
        """Take a bridged message in; raises ValueError when a scan has another count of beams."""
        if topic == HEARD_SCAN:
            ranges = np.asarray(message.ranges, np.float64)
            if ranges.shape != (BEAMS,):
                raise ValueError(f"{topic}: {ranges.size} beams; the task's laser has {BEAMS}")
            self._ranges = ranges
            self.stamps["scan"] = messages.stamp_ns(message) or 0
            return
        at, turn = message.pose.pose.position, message.pose.pose.orientation
        linear, angular = message.twist.twist.linear, message.twist.twist.angular
        pose = np.array([at.x, at.y, at.z, turn.w, turn.x, turn.y, turn.z])
        if self._put.before(pose[:3]):
            return
        self._pose = pose
        self._velocity = (
            np.array([linear.x, linear.y, linear.z]),
            np.array([angular.x, angular.y, angular.z]),
        )
        self.stamps["odom"] = messages.stamp_ns(message) or 0

    @property
    def missing(self) -> list[str]:
        """The topics on which nothing has been heard."""
        return [topic for topic in self.hears if topic.removeprefix("gz/") not in self.stamps]

    @property
    def targets(self) -> Mapping[str, float]:
        """How fast each wheel is to turn, by its topic (std_msgs/Float64): rad/s."""
        left, right = self._wheels
        return {"drive/left_wheel/speed": left, "drive/right_wheel/speed": right}

    @property
    def position_m(self) -> Vector:
        """Where the robot is, (3,)."""
        return self._pose[:3]

    @property
    def quaternion(self) -> Vector:
        """How it is turned, (4,) wxyz."""
        return self._pose[3:]

    @property
    def velocity(self) -> tuple[Vector, Vector]:
        """How it moves and turns in its own frame, (3,) m/s and (3,) rad/s."""
        return self._velocity

    @property
    def ranges(self) -> Vector:
        """What the laser sees, (BEAMS,) metres."""
        return self._ranges

    @property
    def touching(self) -> bool:
        """True while the robot's round hull touches a piece of the corridor."""
        x, y = self.position_m[:2]
        return corridor_pieces.touches(x, y, self._pieces)

    def place(self, corridor: Corridor, seed: int) -> None:
        """Say where the corridor's pieces, the goal and the robot shall be; the robot counts as put there."""
        self._pieces = corridor_pieces.places(corridor)
        self._wheels = (0.0, 0.0)
        self.poses = {
            "drive": _pose(corridor.start, WHEEL_RADIUS_M),
            "goal": _pose(corridor.goal, 0.0),
            **{name: _pose(place, 0.0) for name, place in self._pieces.items()},
        }
        self._pose, self._velocity = self.poses["drive"], (np.zeros(3), np.zeros(3))
        self._put.to(self._pose[:3])

    def drive(self, left_rad_s: float, right_rad_s: float) -> None:
        """Take new speeds of the wheels."""
        self._wheels = (left_rad_s, right_rad_s)

    def state(self) -> Vector:
        """Return what was heard."""
        return np.concatenate([self._pose, *self._velocity, self._ranges])


def _pose(place: Place, height_m: float) -> Vector:
    half = place.yaw_rad / 2
    return np.array([place.x_m, place.y_m, height_m, math.cos(half), 0.0, 0.0, math.sin(half)])
