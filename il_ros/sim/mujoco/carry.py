"""The scene of `carry` in MuJoCo: two planar arms, a bar between them, and its mark."""

from __future__ import annotations

import mujoco
import numpy as np

from il_ros.core.specs import Vector
from il_ros.sim.mujoco.scene import MujocoScene, model_of
from il_ros.sim.tasks.task import Cameras

ARMS, BAR = slice(0, 4), slice(4, 7)


class MujocoCarry(MujocoScene):
    """Joint angles (4,): left shoulder and elbow, right ones. Poses (3,): x, y in m and the turn in rad."""

    def __init__(self, task: str, cameras: Cameras):
        super().__init__(model_of(task))

    @property
    def joints_rad(self) -> Vector:
        """The angles of the arms."""
        return np.array(self.data.qpos[ARMS])

    @property
    def speeds_rad_s(self) -> Vector:
        """The angular velocities of the arms (4,)."""
        return np.array(self.data.qvel[ARMS])

    @property
    def bar(self) -> Vector:
        """The pose of the bar."""
        return np.array(self.data.qpos[BAR])

    @property
    def bar_speed(self) -> Vector:
        """The velocity of the bar (3,): m/s and rad/s."""
        return np.array(self.data.qvel[BAR])

    @property
    def goal(self) -> Vector:
        """The pose of the mark."""
        x, y = self.data.mocap_pos[0, :2]
        w, _, _, z = self.data.mocap_quat[0]
        return np.array([x, y, 2 * np.arctan2(z, w)])

    @property
    def held(self) -> bool:
        """Whether both arms hold the bar."""
        return bool(self.data.eq_active.all())

    def place(self, joints_rad: Vector, bar: Vector, goal: Vector) -> None:
        """Begin an episode: the arms hold the bar, at rest."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[ARMS], self.data.qpos[BAR] = joints_rad, bar
        self.data.ctrl[:] = joints_rad
        self.data.mocap_pos[0, :2] = goal[:2]
        self.data.mocap_quat[0] = [np.cos(goal[2] / 2), 0.0, 0.0, np.sin(goal[2] / 2)]
        mujoco.mj_forward(self.model, self.data)

    def command(self, targets_rad: Vector) -> None:
        """Set the targets of the joints (4,)."""
        self.data.ctrl[:] = targets_rad

    def release(self) -> None:
        """Let the bar go."""
        self.data.eq_active[:] = 0
