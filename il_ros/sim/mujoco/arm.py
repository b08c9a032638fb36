"""The arm's scenes in MuJoCo: models/<task>.xml."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.mujoco.render import Renderer
from il_ros.sim.mujoco.state import restore, state_of
from il_ros.sim.tasks.arm_scene import Joints
from il_ros.sim.tasks.task import Cameras


class MujocoArm:
    """See `il_ros.sim.tasks.arm_scene.ArmScene`. Cameras of every size are there on demand."""

    restorable = True

    def __init__(self, task: str, cameras: Cameras):
        path = Path(__file__).with_name("models") / f"{task}.xml"
        self.model = mujoco.MjModel.from_xml_path(str(path))
        self.data = mujoco.MjData(self.model)
        self._renderer = Renderer(self.model)
        self._goal = int(self.model.body("goal").mocapid[0])
        self._tip = int(self.model.site("tip").id)
        self.has_object = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_JOINT, "object") >= 0
        if self.has_object:
            self._object = int(self.model.joint("object").qposadr[0])
            self._object_velocity = int(self.model.joint("object").dofadr[0])

    @property
    def joints(self) -> Joints:
        """What the arm's joints do now."""
        position, velocity = self.data.qpos, self.data.qvel
        return Joints(
            np.array([*position[:6], position[6] + position[7]]),
            np.array([*velocity[:6], velocity[6] + velocity[7]]),
            np.array(self.data.actuator_force),
        )

    @property
    def tip_m(self) -> Vector:
        """The point between the finger tips."""
        return np.array(self.data.site_xpos[self._tip])

    @property
    def goal_m(self) -> Vector:
        """Where the goal is."""
        return np.array(self.data.mocap_pos[self._goal])

    @property
    def object_m(self) -> Vector:
        """The object's middle."""
        return np.array(self.data.qpos[self._object : self._object + 3])

    @property
    def object_quaternion(self) -> Vector:
        """How the object is turned."""
        return np.array(self.data.qpos[self._object + 3 : self._object + 7])

    @property
    def object_speed(self) -> float:
        """Speed of the object's middle in m/s."""
        start = self._object_velocity
        return float(np.linalg.norm(self.data.qvel[start : start + 3]))

    def begin(self) -> None:
        """Forget the episode before."""
        mujoco.mj_resetData(self.model, self.data)

    def set_joints(self, joints_rad: Vector, opening_m: float) -> None:
        """Put the arm's joints (6,) and the gripper there at rest, and hold them."""
        self.data.qpos[:6] = joints_rad
        self.data.qpos[6:8] = opening_m / 2
        self.data.qvel[:8] = 0.0
        self.data.ctrl[:6] = joints_rad
        self.data.ctrl[6] = opening_m

    def set_goal(self, position_m: Vector) -> None:
        """Put the goal to (3,)."""
        self.data.mocap_pos[self._goal] = position_m

    def set_object(self, position_m: Vector, yaw_rad: float = 0.0) -> None:
        """Put the object's middle to (3,), turned about the vertical, at rest."""
        turn = [np.cos(yaw_rad / 2), 0.0, 0.0, np.sin(yaw_rad / 2)]
        self.data.qpos[self._object : self._object + 7] = [*position_m, *turn]
        self.data.qvel[self._object_velocity : self._object_velocity + 6] = 0.0

    def settle(self, seed: int) -> None:
        """Take what was set as the start; MuJoCo itself draws nothing."""
        self._derive()

    def command_arm(self, targets_rad: Vector) -> None:
        """Take new targets (6,)."""
        self.data.ctrl[:6] = targets_rad

    def command_gripper(self, opening_m: float) -> None:
        """Take a new opening."""
        self.data.ctrl[6] = opening_m

    def advance(self, period_ns: int) -> None:
        """Let so much time pass."""
        mujoco.mj_step(self.model, self.data, round(period_ns * 1e-9 / self.model.opt.timestep))
        self._derive()

    def state(self) -> Vector:
        """Return MuJoCo's whole state, goal and commands included."""
        return state_of(self.model, self.data)

    def restore(self, state: Vector) -> None:
        """Go on from what `state` returned; raises ValueError when it is another model's."""
        restore(self.model, self.data, state)
        self._derive()

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return what 'overhead', 'wrist' or 'scene' (a view for pages) sees, (height, width, 3)."""
        return self._renderer.picture(self.data, camera, width, height)

    def close(self) -> None:
        """Free the graphics context."""
        self._renderer.close()

    def _derive(self) -> None:
        """Bring what follows from the joints up to date: a step leaves it at its beginning."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
