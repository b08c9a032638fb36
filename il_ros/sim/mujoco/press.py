"""The scene of `press` in MuJoCo: the arm with a force-torque sensor, and a pad on a spring."""

from __future__ import annotations

import mujoco
import numpy as np

from il_ros.core.specs import Vector
from il_ros.sim.mujoco.arm import MujocoArm
from il_ros.sim.tasks.task import Cameras

STIFFER = 5.0
"""So much stiffer than in models/arm.xml are the joints' controllers, with the same lag, as those of an industrial arm.
Softer ones bend when the arm presses, so that the joint angles may tell the force.
"""


class MujocoPress(MujocoArm):
    """See `PressScene` in `il_ros.sim.tasks.arm_scene`."""

    def __init__(self, task: str, cameras: Cameras):
        super().__init__(task, cameras)
        self.model.actuator_gainprm[:6, 0] *= STIFFER
        self.model.actuator_biasprm[:6, 1:3] *= STIFFER
        self._tool = int(self.model.body("link6").id)
        self._weight_n = float(self.model.body_subtreemass[self._tool]) * -self.model.opt.gravity

    @property
    def wrench(self) -> Vector:
        """See `PressScene`. MuJoCo measures what holds the tool: against contact, weight and inertia."""
        held = self.data.sensordata[:6]
        to_tool = self.data.site_xmat[self._tip].reshape(3, 3).T
        lever = self.data.subtree_com[self._tool] - self.data.site_xpos[self._tip]
        return np.concatenate(
            [
                to_tool @ self._weight_n - held[:3],
                to_tool @ np.cross(lever, self._weight_n) - held[3:],
            ]
        )

    @property
    def goal_m(self) -> Vector:
        """Where the pad's housing stands on the table."""
        return np.array(self.model.body("housing").pos)

    def set_goal(self, position_m: Vector) -> None:
        """Place the pad's housing (3,)."""
        self.model.body("housing").pos[:] = position_m

    def set_pad(self, height_m: float, stiffness_n_m: float) -> None:
        """Set the height of the pad's upper face above the housing's foot, and the stiffness of its spring."""
        self.model.body("pad").pos[2] = height_m
        self.model.joint("pad").stiffness[0] = stiffness_n_m

    def _derive(self) -> None:
        """Update the sensor, too: after a step it has the forces at the step's beginning."""
        mujoco.mj_forward(self.model, self.data)
