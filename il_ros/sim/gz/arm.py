"""The arm's scenes as gz-sim tells of them over bridged topics: worlds/<task>.sdf, config/gz/arm.yaml."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import JOINT_STATE, POSE, Vector
from il_ros.sim.gazebo.world import world_element
from il_ros.sim.gz.state import BridgeListener, Put
from il_ros.sim.tasks.arm import JOINT_STATES, OBJECT_POSE
from il_ros.sim.tasks.arm_scene import Joints
from il_ros.sim.tasks.kinematics import forward

HEARD_JOINTS, HEARD_OBJECT = "gz/joint_states", "gz/object_pose"
NAMES = (*(f"joint{k}" for k in range(1, 7)), "left_finger", "right_finger")


class BridgedArm(BridgeListener):
    """See `il_ros.sim.tasks.arm_scene.ArmScene`; the arm drives to its start."""

    trigger = HEARD_JOINTS

    def __init__(self, task: str):
        super().__init__()
        self.has_object = world_element(task).find("world/model[@name='object']") is not None
        self.hears = {HEARD_JOINTS: JOINT_STATE} | ({HEARD_OBJECT: POSE} if self.has_object else {})
        self._position = self._velocity = np.zeros(len(NAMES))
        self._object = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
        self._speed = 0.0
        self._put = Put()
        self._targets = np.zeros(len(NAMES))

    def hear(self, topic: str, message: Message) -> None:
        """Take a bridged message in; raises ValueError when it lacks a joint."""
        stamp_ns = messages.stamp_ns(message) or 0
        if topic == HEARD_JOINTS:
            rows = {name: row for row, name in enumerate(message.name)}
            if missing := [name for name in NAMES if name not in rows]:
                raise ValueError(f"{topic}: no joint {missing[0]}; it has: {', '.join(message.name)}")
            chosen = [rows[name] for name in NAMES]
            self._position = np.asarray(message.position, np.float64)[chosen]
            self._velocity = np.asarray(message.velocity, np.float64)[chosen]
            self.stamps[JOINT_STATES] = stamp_ns
            return
        at, turn = message.pose.position, message.pose.orientation
        now = np.array([at.x, at.y, at.z, turn.w, turn.x, turn.y, turn.z])
        if self._put.before(now[:3]):
            return
        elapsed_s = (stamp_ns - self.stamps.get(OBJECT_POSE, stamp_ns)) / 1e9
        if elapsed_s > 0:  # gz tells no speed of a model
            self._speed = float(np.linalg.norm(now[:3] - self._object[:3])) / elapsed_s
        self._object = now
        self.stamps[OBJECT_POSE] = stamp_ns

    @property
    def missing(self) -> list[str]:
        """The topics on which nothing has been heard."""
        heard = {HEARD_JOINTS: JOINT_STATES, HEARD_OBJECT: OBJECT_POSE}
        return [topic for topic in self.hears if heard[topic] not in self.stamps]

    @property
    def targets(self) -> Mapping[str, float]:
        """What each joint is to do now, by its topic (std_msgs/Float64): rad, and m of a finger."""
        return {
            f"arm/{name}/target": float(target) for name, target in zip(NAMES, self._targets, strict=True)
        }

    @property
    def joints(self) -> Joints:
        """What the arm's joints do now; their effort isn't told."""
        position, velocity = self._position, self._velocity
        return Joints(
            np.array([*position[:6], position[6] + position[7]]),
            np.array([*velocity[:6], velocity[6] + velocity[7]]),
            np.empty(0),
        )

    @property
    def tip_m(self) -> Vector:
        """The point between the finger tips."""
        return forward(self._position)[0]

    @property
    def goal_m(self) -> Vector:
        """Where the goal was put: it doesn't move."""
        return self.poses["goal"][:3]

    @property
    def object_m(self) -> Vector:
        """The object's middle."""
        return self._object[:3]

    @property
    def object_quaternion(self) -> Vector:
        """How the object is turned."""
        return self._object[3:]

    @property
    def object_speed(self) -> float:
        """Speed of the object's middle in m/s, from where it was heard last."""
        return self._speed

    def begin(self) -> None:
        """Forget the episode before."""
        self.poses.clear()

    def set_joints(self, joints_rad: Vector, opening_m: float) -> None:
        """Drive the arm's joints (6,) and the gripper there."""
        self.command_arm(joints_rad)
        self.command_gripper(opening_m)

    def set_goal(self, position_m: Vector) -> None:
        """Put the goal to (3,)."""
        self.poses["goal"] = np.array([*position_m, 1.0, 0.0, 0.0, 0.0])

    def set_object(self, position_m: Vector, yaw_rad: float = 0.0) -> None:
        """Put the object's middle to (3,), turned about the vertical."""
        turn = [np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)]
        self.poses["object"] = np.array([*position_m, *turn])

    def settle(self, seed: int) -> None:
        """`poses` is complete: the object counts as put, however long gz takes to tell so."""
        if "object" in self.poses:
            self._object, self._speed = self.poses["object"], 0.0
            self._put.to(self._object[:3])

    def command_arm(self, targets_rad: Vector) -> None:
        """Take new targets (6,)."""
        self._targets[:6] = targets_rad

    def command_gripper(self, opening_m: float) -> None:
        """Take a new opening."""
        self._targets[6:] = opening_m / 2

    def state(self) -> Vector:
        """Return what was heard."""
        return np.concatenate([self._position, self._velocity, self._object])
