"""The arm's scenes in gz-sim over bridged topics: worlds/<task>.sdf, config/gz/arm.yaml."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import JOINT_STATE, POSE, Vector
from il_ros.sim.gazebo.world import world_element
from il_ros.sim.gz.state import BridgeListener, ResetPosition
from il_ros.sim.tasks.arm import JOINT_STATES, OBJECT_POSE
from il_ros.sim.tasks.arm_scene import Joints
from il_ros.sim.tasks.kinematics import forward

BRIDGED_JOINTS, BRIDGED_OBJECT = "gz/joint_states", "gz/object_pose"
NAMES = (*(f"joint{k}" for k in range(1, 7)), "left_finger", "right_finger")


class BridgedArm(BridgeListener):
    """See `il_ros.sim.tasks.arm_scene.ArmScene`; at a reset the arm moves to its start."""

    trigger = BRIDGED_JOINTS

    def __init__(self, task: str):
        super().__init__()
        self.has_object = world_element(task).find("world/model[@name='object']") is not None
        self.subscriptions = {BRIDGED_JOINTS: JOINT_STATE} | (
            {BRIDGED_OBJECT: POSE} if self.has_object else {}
        )
        self._position = self._velocity = np.zeros(len(NAMES))
        self._object = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
        self._speed = 0.0
        self._reset_position = ResetPosition()
        self._targets = np.zeros(len(NAMES))

    def receive(self, topic: str, message: Message) -> None:
        """Process a bridged message; raises ValueError when it lacks a joint."""
        stamp_ns = messages.stamp_ns(message) or 0
        if topic == BRIDGED_JOINTS:
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
        if self._reset_position.is_stale(now[:3]):
            return
        elapsed_s = (stamp_ns - self.stamps.get(OBJECT_POSE, stamp_ns)) / 1e9
        if elapsed_s > 0:  # gz reports no speed of a model
            self._speed = float(np.linalg.norm(now[:3] - self._object[:3])) / elapsed_s
        self._object = now
        self.stamps[OBJECT_POSE] = stamp_ns

    @property
    def missing(self) -> list[str]:
        """The topics without a message so far."""
        published = {BRIDGED_JOINTS: JOINT_STATES, BRIDGED_OBJECT: OBJECT_POSE}
        return [topic for topic in self.subscriptions if published[topic] not in self.stamps]

    @property
    def targets(self) -> Mapping[str, float]:
        """Target of each joint, by its topic (std_msgs/Float64): rad, or m for a finger."""
        return {
            f"arm/{name}/target": float(target) for name, target in zip(NAMES, self._targets, strict=True)
        }

    @property
    def joints(self) -> Joints:
        """The arm's current joint states; gz-sim reports no effort."""
        position, velocity = self._position, self._velocity
        return Joints(
            np.array([*position[:6], position[6] + position[7]]),
            np.array([*velocity[:6], velocity[6] + velocity[7]]),
            np.empty(0),
        )

    @property
    def tip_m(self) -> Vector:
        """Position of the point between the fingertips."""
        return forward(self._position)[0]

    @property
    def goal_m(self) -> Vector:
        """Position of the goal, as set by the reset."""
        return self.poses["goal"][:3]

    @property
    def object_m(self) -> Vector:
        """Position of the object's centre."""
        return self._object[:3]

    @property
    def object_quaternion(self) -> Vector:
        """Orientation of the object."""
        return self._object[3:]

    @property
    def object_speed(self) -> float:
        """Speed of the object's centre in m/s, from its last two positions."""
        return self._speed

    def begin(self) -> None:
        """Discard the state of the previous episode."""
        self.poses.clear()

    def set_joints(self, joints_rad: Vector, opening_m: float) -> None:
        """Command the joints (6,) and the gripper opening of the start."""
        self.command_arm(joints_rad)
        self.command_gripper(opening_m)

    def set_goal(self, position_m: Vector) -> None:
        """Set the goal's position (3,)."""
        self.poses["goal"] = np.array([*position_m, 1.0, 0.0, 0.0, 0.0])

    def set_object(self, position_m: Vector, yaw_rad: float = 0.0) -> None:
        """Set the object's centre (3,) and yaw."""
        turn = [np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)]
        self.poses["object"] = np.array([*position_m, *turn])

    def settle(self, seed: int) -> None:
        """Take the object's pose from `poses` until gz-sim reports it there."""
        if "object" in self.poses:
            self._object, self._speed = self.poses["object"], 0.0
            self._reset_position.set(self._object[:3])

    def command_arm(self, targets_rad: Vector) -> None:
        """Set the joint targets (6,)."""
        self._targets[:6] = targets_rad

    def command_gripper(self, opening_m: float) -> None:
        """Set the target opening of the gripper."""
        self._targets[6:] = opening_m / 2

    def state(self) -> Vector:
        """Return the values received last."""
        return np.concatenate([self._position, self._velocity, self._object])
