"""`drive`: a differential-drive robot drives through a corridor to the green zone at its end.

Velocity servos of limited torque drive the wheels, which roll by friction; walls and obstacles are solid. As
with diff_drive_controller, the wheels stop after COMMAND_TIMEOUT_S without a command.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import IMAGE, LASER_SCAN, POSE, Vector
from il_ros.sim.tasks.corridor import END_ZONE_RADIUS_M, Corridor, random_corridor
from il_ros.sim.tasks.drive_scene import WHEEL_RADIUS_M, WHEEL_SEPARATION_M, DriveScene
from il_ros.sim.tasks.laser import laser_scan
from il_ros.sim.tasks.reading import Reading, image
from il_ros.sim.tasks.task import GZ, NO_CAMERAS, RESET_PAUSE_NS, SIMULATORS, Cameras, scene_of

TWIST_STAMPED = "geometry_msgs/msg/TwistStamped"
ODOMETRY = "nav_msgs/msg/Odometry"
FRAME = "odom"
COMMAND = "cmd_vel"
COMMAND_TIMEOUT_S = 0.5
MAX_LINEAR_M_S = 0.6
MAX_ANGULAR_RAD_S = 2.0
STUCK_S = 2.0  # uninterrupted contact with the corridor for this long is a failure
UPRIGHT = 0.7  # cosine of the tilt; below it the robot has fallen over


class DriveTask:
    """See `il_ros.sim.tasks.task.Task`. Odometry is exact: its frame is the world frame."""

    name = "drive"
    goal = "drive to the green zone at the end of the corridor; success: its centre is in the zone"
    contract = "drive"
    robot = "drive"
    simulators = (*SIMULATORS, GZ)
    view = "camera/image_raw"
    control_period_ns = 50_000_000
    time_limit_s = 40.0
    commands: Mapping[str, str] = {COMMAND: TWIST_STAMPED}
    camera_names: tuple[str, ...] = ("camera",)

    @classmethod
    def create(cls, cameras: Cameras, simulator: str) -> DriveTask:
        """Return the task in one of SIMULATORS; see `TaskClass`."""
        return cls(scene_of(simulator, cls.robot, cls.name, cameras), cameras)

    def __init__(self, scene: DriveScene, cameras: Cameras = NO_CAMERAS):
        self.scene = scene
        self.streams: Mapping[str, str] = {
            "goal_pose": POSE,
            **{f"{name}/image_raw": IMAGE for name in cameras.names},
            "scan": LASER_SCAN,
            "odom": ODOMETRY,
        }
        self.corridor: Corridor | None = None
        self._cameras = cameras
        self._time_ns = 0
        self._still()

    @property
    def time_ns(self) -> int:
        """Simulated time, the stamp of `readings`."""
        return self._time_ns

    @property
    def success(self) -> bool:
        """True while the robot's centre is in the green zone."""
        goal = self._placed().goal.xy
        return bool(np.hypot(*(self.scene.position_m[:2] - goal)) < END_ZONE_RADIUS_M)

    @property
    def failed(self) -> bool:
        """True once the robot has fallen over or touched the corridor for STUCK_S without interruption."""
        return self._touching_s >= STUCK_S or self._fallen

    def reset(self, seed: int) -> None:
        """Build the corridor of this seed and place the robot at its start, at rest."""
        self.corridor = random_corridor(np.random.default_rng(seed))
        self._time_ns += RESET_PAUSE_NS
        self._still()
        self.scene.place(self.corridor, seed)

    def step(self, commands: Mapping[str, Message]) -> None:
        """Apply the newest command, if any, and advance by one control period.

        The twist is limited to the robot's speeds; its stamp and frame are ignored.
        Raises ValueError on an unknown topic or a non-finite number, without stepping.
        """
        self._placed()
        for topic in commands:
            if topic not in self.commands:
                raise ValueError(f"drive has no command topic '{topic}'; it has: {', '.join(self.commands)}")
        if COMMAND in commands:
            self._twist = _checked(commands[COMMAND])
            self._silent_ns = 0
        if self._silent_ns >= COMMAND_TIMEOUT_S * 1e9:
            self._twist = (0.0, 0.0)
        self._silent_ns += self.control_period_ns
        linear, angular = self._twist
        turning = angular * WHEEL_SEPARATION_M / 2
        self.scene.drive((linear - turning) / WHEEL_RADIUS_M, (linear + turning) / WHEEL_RADIUS_M)
        self.scene.advance(self.control_period_ns)
        self._time_ns += self.control_period_ns
        self._watch()

    def readings(self) -> list[Reading]:
        """Return the current goal, camera images, scan and odometry."""
        now = self._time_ns
        goal = self._placed().goal
        goal_pose = _pose((goal.x_m, goal.y_m, 0.0), _turn(goal.yaw_rad))
        found = [
            Reading(
                "goal_pose", POSE, messages.make(POSE, header=messages.header(now, FRAME), pose=goal_pose)
            )
        ]
        if (
            self._cameras.names
            and (now - self._reset_ns) // self.control_period_ns % self._cameras.divisor == 0
        ):
            size = self._cameras.width, self._cameras.height
            found += [
                image(f"{name}/image_raw", now, f"{name}_optical_frame", self.picture(name, *size))
                for name in self._cameras.names
            ]
        scan = laser_scan(self.scene.ranges, now, self.control_period_ns * 1e-9)
        return [*found, Reading("scan", LASER_SCAN, scan), Reading("odom", ODOMETRY, self._odometry())]

    def state(self) -> Vector:
        """Return the complete state: the simulator's, the corridor's and the task's own."""
        own = [*self._twist, self._silent_ns, self._touching_s, self._fallen]
        return np.concatenate([self.scene.state(), own])

    @property
    def restorable(self) -> bool:
        """Whether the simulator can be set to a state."""
        return self.scene.restorable

    def restore(self, state: Vector) -> None:
        """Restore a state returned by `state`; see `Task`."""
        own = 5
        self.scene.restore(state[:-own])
        self._twist = (float(state[-5]), float(state[-4]))
        self._silent_ns, self._touching_s, self._fallen = int(state[-3]), float(state[-2]), bool(state[-1])

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return the current image (height, width, 3) of 'camera' (on the robot) or 'above'."""
        return self.scene.picture(camera, width, height)

    def close(self) -> None:
        """Release the simulator's resources."""
        self.scene.close()

    def _still(self) -> None:
        self._twist = (0.0, 0.0)
        self._silent_ns = 0
        self._touching_s = 0.0
        self._fallen = False
        self._reset_ns = self._time_ns

    def _placed(self) -> Corridor:
        if self.corridor is None:
            raise RuntimeError("drive: call reset(seed) first")
        return self.corridor

    def _watch(self) -> None:
        """Update the duration of contact, and whether the robot has fallen."""
        touching = self.scene.touching
        self._touching_s = self._touching_s + self.control_period_ns * 1e-9 if touching else 0.0
        _, x, y, _ = self.scene.quaternion
        upright = 1.0 - 2.0 * (x * x + y * y)
        self._fallen = self._fallen or bool(upright < UPRIGHT)

    def _odometry(self) -> Message:
        """Return the pose in the world frame and the twist in the robot's frame (REP 105, nav_msgs)."""
        linear, angular = self.scene.velocity
        twist = messages.make(
            "geometry_msgs/msg/Twist",
            angular=_vector("geometry_msgs/msg/Vector3", angular),
            linear=_vector("geometry_msgs/msg/Vector3", linear),
        )
        pose = _pose(self.scene.position_m, self.scene.quaternion)
        return messages.make(
            ODOMETRY,
            header=messages.header(self._time_ns, FRAME),
            child_frame_id="base_link",
            pose=messages.make("geometry_msgs/msg/PoseWithCovariance", pose=pose),
            twist=messages.make("geometry_msgs/msg/TwistWithCovariance", twist=twist),
        )


def _checked(message: Message) -> tuple[float, float]:
    """Return linear.x and angular.z within the robot's limits; raises ValueError when not finite."""
    linear, angular = float(message.twist.linear.x), float(message.twist.angular.z)
    for name, value in (("linear.x", linear), ("angular.z", angular)):
        if not math.isfinite(value):
            raise ValueError(f"{COMMAND}: {name} is {value}; a finite number is needed")
    return (
        min(max(linear, -MAX_LINEAR_M_S), MAX_LINEAR_M_S),
        min(max(angular, -MAX_ANGULAR_RAD_S), MAX_ANGULAR_RAD_S),
    )


def _pose(position_m: Vector | tuple[float, ...], quaternion_wxyz: Vector | tuple[float, ...]) -> Message:
    w, x, y, z = (float(value) for value in quaternion_wxyz)
    return messages.make(
        "geometry_msgs/msg/Pose",
        position=_vector("geometry_msgs/msg/Point", position_m),
        orientation=messages.make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
    )


def _vector(type_name: str, values: Vector | tuple[float, ...]) -> Message:
    x, y, z = (float(value) for value in values)
    return messages.make(type_name, x=x, y=y, z=z)


def _turn(yaw_rad: float) -> tuple[float, float, float, float]:
    return (math.cos(yaw_rad / 2), 0.0, 0.0, math.sin(yaw_rad / 2))
