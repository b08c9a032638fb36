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

SERVO_RAD_S = 20.0  # as MuJoCo's position controllers: a lag of 0.1 s
FINGER_RAD_S = 24.0
JOINTS = {f"joint{k}": SERVO_RAD_S for k in range(1, 7)} | {
    "left_finger": FINGER_RAD_S,
    "right_finger": FINGER_RAD_S,
}
STEP_NS = 2_500_000
"""Of physics, as in MuJoCo; control periods are multiples of it."""


class GazeboArm(GazeboScene):
    """See `il_ros.sim.tasks.arm_scene.ArmScene`. Raises RuntimeError where `make gazebo` was not run."""

    def __init__(self, task: str, cameras: Cameras):
        root = world_element(task)
        self.has_object = root.find("world/model[@name='object']") is not None
        self._rows = {name: row for row, name in enumerate(["goal", "object"][: 1 + self.has_object])}
        client = Client(Gazebo(world_text(root, cameras, STEP_NS)), JOINTS, list(self._rows))
        super().__init__(client, len(JOINTS), STEP_NS)
        self._poses = np.zeros((len(self._rows), 7))

    @property
    def joints(self) -> Joints:
        """What the arm's joints do now; Gazebo's servos don't tell their effort."""
        position, velocity = self._now.position, self._now.velocity
        return Joints(
            np.array([*position[:6], position[6] + position[7]]),
            np.array([*velocity[:6], velocity[6] + velocity[7]]),
            np.empty(0),
        )

    @property
    def tip_m(self) -> Vector:
        """The point between the finger tips."""
        return forward(self._now.position)[0]

    @property
    def goal_m(self) -> Vector:
        """Where the goal is."""
        return self._model("goal")[:3]

    @property
    def object_m(self) -> Vector:
        """The object's middle."""
        return self._model("object")[:3]

    @property
    def object_quaternion(self) -> Vector:
        """How the object is turned."""
        return self._model("object")[3:7]

    @property
    def object_speed(self) -> float:
        """Speed of the object's middle in m/s."""
        return float(np.linalg.norm(self._model("object")[7:10]))

    def begin(self) -> None:
        """Forget the episode before."""
        self._targets[:] = 0.0
        self._poses[:] = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)

    def set_joints(self, joints_rad: Vector, opening_m: float) -> None:
        """Put the arm's joints (6,) and the gripper there at rest, and hold them."""
        self.command_arm(joints_rad)
        self.command_gripper(opening_m)

    def set_goal(self, position_m: Vector) -> None:
        """Put the goal to (3,)."""
        self._poses[self._rows["goal"], :3] = position_m

    def set_object(self, position_m: Vector, yaw_rad: float = 0.0) -> None:
        """Put the object's middle to (3,), turned about the vertical, at rest."""
        turn = [np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)]
        self._poses[self._rows["object"]] = [*position_m, *turn]

    def settle(self, seed: int) -> None:
        """Take what was set as the start; the seed is the solver's, too."""
        self._now = self._client.reset(seed, self._targets, self._poses)

    def command_arm(self, targets_rad: Vector) -> None:
        """Take new targets (6,)."""
        self._targets[:6] = targets_rad

    def command_gripper(self, opening_m: float) -> None:
        """Take a new opening."""
        self._targets[6:] = opening_m / 2

    def _model(self, name: str) -> Vector:
        return np.array(self._now.models[self._rows[name]])
