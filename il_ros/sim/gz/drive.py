"""The drive robot in gz-sim over bridged topics: worlds/drive.sdf, config/gz/drive.yaml."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import LASER_SCAN, Vector
from il_ros.core.tables import counted
from il_ros.sim.gz.state import BridgeListener, ResetPosition
from il_ros.sim.tasks import corridor_pieces
from il_ros.sim.tasks.corridor import Corridor, Place
from il_ros.sim.tasks.drive import ODOMETRY
from il_ros.sim.tasks.drive_scene import WHEEL_RADIUS_M
from il_ros.sim.tasks.laser import BEAMS

BRIDGED_ODOMETRY, BRIDGED_SCAN = "gz/odom", "gz/scan"


class BridgedDrive(BridgeListener):
    """See `il_ros.sim.tasks.drive_scene.DriveScene`."""

    trigger = BRIDGED_ODOMETRY
    subscriptions: Mapping[str, str] = {BRIDGED_ODOMETRY: ODOMETRY, BRIDGED_SCAN: LASER_SCAN}

    def __init__(self, task: str):
        super().__init__()
        self._pieces: dict[str, Place] = {}
        self._pose = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
        self._reset_position = ResetPosition()
        self._velocity = (np.zeros(3), np.zeros(3))
        self._ranges = np.empty(0)
        self._wheels = (0.0, 0.0)

    def receive(self, topic: str, message: Message) -> None:
        """Process a bridged message; raises ValueError when a scan has another number of beams."""
        if topic == BRIDGED_SCAN:
            ranges = np.asarray(message.ranges, np.float64)
            if ranges.shape != (BEAMS,):
                raise ValueError(f"{topic}: {counted(ranges.size, 'beam')}; the task's laser has {BEAMS}")
            self._ranges = ranges
            self.stamps["scan"] = messages.stamp_ns(message) or 0
            return
        at, turn = message.pose.pose.position, message.pose.pose.orientation
        linear, angular = message.twist.twist.linear, message.twist.twist.angular
        pose = np.array([at.x, at.y, at.z, turn.w, turn.x, turn.y, turn.z])
        if self._reset_position.is_stale(pose[:3]):
            return
        self._pose = pose
        self._velocity = (
            np.array([linear.x, linear.y, linear.z]),
            np.array([angular.x, angular.y, angular.z]),
        )
        self.stamps["odom"] = messages.stamp_ns(message) or 0

    @property
    def missing(self) -> list[str]:
        """The topics without a message so far."""
        return [topic for topic in self.subscriptions if topic.removeprefix("gz/") not in self.stamps]

    @property
    def targets(self) -> Mapping[str, float]:
        """Target speed of each wheel, by its topic (std_msgs/Float64): rad/s."""
        left, right = self._wheels
        return {"drive/left_wheel/speed": left, "drive/right_wheel/speed": right}

    @property
    def position_m(self) -> Vector:
        """Position of the robot, (3,)."""
        return self._pose[:3]

    @property
    def quaternion(self) -> Vector:
        """Orientation of the robot, (4,) wxyz."""
        return self._pose[3:]

    @property
    def velocity(self) -> tuple[Vector, Vector]:
        """Linear (3,) m/s and angular (3,) rad/s velocity in the robot's own frame."""
        return self._velocity

    @property
    def ranges(self) -> Vector:
        """Laser ranges, (BEAMS,) metres."""
        return self._ranges

    @property
    def touching(self) -> bool:
        """True while the robot's round hull touches the corridor."""
        x, y = self.position_m[:2]
        return corridor_pieces.touches(x, y, self._pieces)

    def place(self, corridor: Corridor, seed: int) -> None:
        """Set the poses of the corridor, the goal and the robot; the robot counts as placed at once."""
        self._pieces = corridor_pieces.places(corridor)
        self._wheels = (0.0, 0.0)
        self.poses = {
            "drive": _pose(corridor.start, WHEEL_RADIUS_M),
            "goal": _pose(corridor.goal, 0.0),
            **{name: _pose(place, 0.0) for name, place in self._pieces.items()},
        }
        self._pose, self._velocity = self.poses["drive"], (np.zeros(3), np.zeros(3))
        self._reset_position.set(self._pose[:3])

    def drive(self, left_rad_s: float, right_rad_s: float) -> None:
        """Set the wheel speeds."""
        self._wheels = (left_rad_s, right_rad_s)

    def state(self) -> Vector:
        """Return the values received last."""
        return np.concatenate([self._pose, *self._velocity, self._ranges])


def _pose(place: Place, height_m: float) -> Vector:
    half = place.yaw_rad / 2
    return np.array([place.x_m, place.y_m, height_m, math.cos(half), 0.0, 0.0, math.sin(half)])
