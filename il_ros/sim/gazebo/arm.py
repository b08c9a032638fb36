"""The arm's scenes in Gazebo: worlds/<task>.sdf."""

from __future__ import annotations

import numpy as np

from il_ros.core.specs import Vector
from il_ros.sim.gazebo.client import Client
from il_ros.sim.gazebo.process import Gazebo
from il_ros.sim.gazebo.scene import GazeboScene
from il_ros.sim.gazebo.world import world_element, world_text
from il_ros.sim.tasks.arm_scene import Joints
from il_ros.sim.tasks.kinematics import forward
from il_ros.sim.tasks.task import Cameras

SERVO_RAD_S = 20.0  # as in MuJoCo's position controllers: a lag of 0.1 s
FINGER_RAD_S = 24.0
JOINTS = {f"joint{k}": SERVO_RAD_S for k in range(1, 7)} | {
    "left_finger": FINGER_RAD_S,
    "right_finger": FINGER_RAD_S,
}
STEP_NS = 2_500_000
"""Physics step, as in MuJoCo; control periods are multiples of it."""


class GazeboArm(GazeboScene):
    """See `il_ros.sim.tasks.arm_scene.ArmScene`. Raises RuntimeError without `make gazebo`."""

    def __init__(self, task: str, cameras: Cameras):
        root = world_element(task)
        self.has_object = root.find("world/model[@name='object']") is not None
        self._rows = {name: row for row, name in enumerate(["goal", "object"][: 1 + self.has_object])}
        client = Client(Gazebo(world_text(root, cameras, STEP_NS)), JOINTS, list(self._rows))
        super().__init__(client, len(JOINTS), STEP_NS)
        self._poses = np.zeros((len(self._rows), 7))

    @property
    def joints(self) -> Joints:
        """The arm's current joint states; Gazebo's servos report no effort."""
        position, velocity = self._now.position, self._now.velocity
        return Joints(
            np.array([*position[:6], position[6] + position[7]]),
            np.array([*velocity[:6], velocity[6] + velocity[7]]),
            np.empty(0),
        )

    @property
    def tip_m(self) -> Vector:
        """Position of the point between the fingertips."""
        return forward(self._now.position)[0]

    @property
    def goal_m(self) -> Vector:
        """Position of the goal."""
        return self._model("goal")[:3]

    @property
    def object_m(self) -> Vector:
        """Position of the object's centre."""
        return self._model("object")[:3]

    @property
    def object_quaternion(self) -> Vector:
        """Orientation of the object."""
        return self._model("object")[3:7]

    @property
    def object_speed(self) -> float:
        """Speed of the object's centre in m/s."""
        return float(np.linalg.norm(self._model("object")[7:10]))

    def begin(self) -> None:
        """Discard the state of the previous episode."""
        self._targets[:] = 0.0
        self._poses[:] = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)

    def set_joints(self, joints_rad: Vector, opening_m: float) -> None:
        """Set the joints (6,) and the gripper opening, at rest, and hold them."""
        self.command_arm(joints_rad)
        self.command_gripper(opening_m)

    def set_goal(self, position_m: Vector) -> None:
        """Set the goal's position (3,)."""
        self._poses[self._rows["goal"], :3] = position_m

    def set_object(self, position_m: Vector, yaw_rad: float = 0.0) -> None:
        """Set the object's centre (3,) and yaw, at rest."""
        turn = [np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)]
        self._poses[self._rows["object"]] = [*position_m, *turn]

    def settle(self, seed: int) -> None:
        """Apply the start that was set; the seed also seeds the solver."""
        self._now = self._client.reset(seed, self._targets, self._poses)

    def command_arm(self, targets_rad: Vector) -> None:
        """Set the joint targets (6,)."""
        self._targets[:6] = targets_rad

    def command_gripper(self, opening_m: float) -> None:
        """Set the target opening of the gripper."""
        self._targets[6:] = opening_m / 2

    def _model(self, name: str) -> Vector:
        return np.array(self._now.models[self._rows[name]])
