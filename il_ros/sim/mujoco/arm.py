"""The arm's scenes in MuJoCo: models/<task>.xml."""

from __future__ import annotations

import mujoco
import numpy as np

from il_ros.core.specs import Vector
from il_ros.sim.mujoco.scene import MujocoScene, model_of
from il_ros.sim.tasks.arm_scene import Joints
from il_ros.sim.tasks.task import Cameras


class MujocoArm(MujocoScene):
    """See `ArmScene` and `MarkedScene` in `il_ros.sim.tasks.arm_scene`."""

    def __init__(self, task: str, cameras: Cameras):
        super().__init__(model_of(task))
        bodies = [self.model.body(number) for number in range(self.model.nbody)]
        self._marks = {body.name: int(body.mocapid[0]) for body in bodies if body.mocapid[0] >= 0}
        self._tip = int(self.model.site("tip").id)
        self.has_object = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_JOINT, "object") >= 0
        if self.has_object:
            self._object = int(self.model.joint("object").qposadr[0])
            self._object_velocity = int(self.model.joint("object").dofadr[0])

    @property
    def joints(self) -> Joints:
        """The arm's current joint states."""
        position, velocity = self.data.qpos, self.data.qvel
        return Joints(
            np.array([*position[:6], position[6] + position[7]]),
            np.array([*velocity[:6], velocity[6] + velocity[7]]),
            np.array(self.data.actuator_force),
        )

    @property
    def tip_m(self) -> Vector:
        """Position of the point between the fingertips."""
        return np.array(self.data.site_xpos[self._tip])

    @property
    def goal_m(self) -> Vector:
        """Position of the goal."""
        return self.mark_m("goal")

    def mark_m(self, name: str) -> Vector:
        """Position of a body that the task places and nothing moves."""
        return np.array(self.data.mocap_pos[self._marks[name]])

    @property
    def object_m(self) -> Vector:
        """Position of the object's centre."""
        return np.array(self.data.qpos[self._object : self._object + 3])

    @property
    def object_quaternion(self) -> Vector:
        """Orientation of the object."""
        return np.array(self.data.qpos[self._object + 3 : self._object + 7])

    @property
    def object_speed(self) -> float:
        """Speed of the object's centre in m/s."""
        start = self._object_velocity
        return float(np.linalg.norm(self.data.qvel[start : start + 3]))

    def begin(self) -> None:
        """Discard the state of the previous episode."""
        mujoco.mj_resetData(self.model, self.data)

    def set_joints(self, joints_rad: Vector, opening_m: float) -> None:
        """Set the joints (6,) and the gripper opening, at rest, and hold them."""
        self.data.qpos[:6] = joints_rad
        self.data.qpos[6:8] = opening_m / 2
        self.data.qvel[:8] = 0.0
        self.data.ctrl[:6] = joints_rad
        self.data.ctrl[6] = opening_m

    def set_goal(self, position_m: Vector) -> None:
        """Set the goal's position (3,)."""
        self.set_mark("goal", position_m)

    def set_mark(self, name: str, position_m: Vector) -> None:
        """Set the position (3,) of a body that nothing moves."""
        self.data.mocap_pos[self._marks[name]] = position_m

    def set_object(self, position_m: Vector, yaw_rad: float = 0.0) -> None:
        """Set the object's centre (3,) and yaw, at rest."""
        turn = [np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)]
        self.data.qpos[self._object : self._object + 7] = [*position_m, *turn]
        self.data.qvel[self._object_velocity : self._object_velocity + 6] = 0.0

    def settle(self, seed: int) -> None:
        """Apply the start that was set; MuJoCo draws no random numbers."""
        self._derive()

    def command_arm(self, targets_rad: Vector) -> None:
        """Set the joint targets (6,)."""
        self.data.ctrl[:6] = targets_rad

    def command_gripper(self, opening_m: float) -> None:
        """Set the target opening of the gripper."""
        self.data.ctrl[6] = opening_m
