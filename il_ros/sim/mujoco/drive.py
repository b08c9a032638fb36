"""The drive robot in its corridor in MuJoCo; `il_ros.sim.mujoco.drive_model` builds the model."""

from __future__ import annotations

import mujoco
import numpy as np

from il_ros.core.specs import Vector
from il_ros.sim.mujoco.drive_model import drive_model, place
from il_ros.sim.mujoco.scene import MujocoScene
from il_ros.sim.tasks.corridor import Corridor
from il_ros.sim.tasks.laser import Laser
from il_ros.sim.tasks.task import Cameras


class MujocoDrive(MujocoScene):
    """See `il_ros.sim.tasks.drive_scene.DriveScene`."""

    def __init__(self, task: str, cameras: Cameras):
        super().__init__(drive_model())
        self._base = self.model.body("base").id
        self._laser = Laser(self.model, "laser")

    @property
    def position_m(self) -> Vector:
        """Position of the robot, (3,)."""
        return np.array(self.data.xpos[self._base])

    @property
    def quaternion(self) -> Vector:
        """Orientation of the robot, (4,) wxyz."""
        return np.array(self.data.xquat[self._base])

    @property
    def velocity(self) -> tuple[Vector, Vector]:
        """Linear (3,) m/s and angular (3,) rad/s velocity in the robot's own frame."""
        velocity = np.empty(6)
        body = mujoco.mjtObj.mjOBJ_XBODY
        mujoco.mj_objectVelocity(self.model, self.data, body, self._base, velocity, 1)  # rotation first
        return velocity[3:], velocity[:3]

    @property
    def ranges(self) -> Vector:
        """Laser ranges, (BEAMS,) metres."""
        return self._laser.ranges(self.data)

    @property
    def touching(self) -> bool:
        """True while the robot touches the corridor."""
        return bool((self.model.geom_contype[self.data.contact.geom] == 2).any())

    def place(self, corridor: Corridor, seed: int) -> None:
        """Build the corridor and place the robot at its start, at rest."""
        mujoco.mj_resetData(self.model, self.data)
        place(self.model, self.data, corridor)
        mujoco.mj_forward(self.model, self.data)

    def drive(self, left_rad_s: float, right_rad_s: float) -> None:
        """Set the wheel speeds."""
        self.data.ctrl[:] = left_rad_s, right_rad_s

    def _derive(self) -> None:
        """Update positions and contacts: after a step they are those before its last substep."""
        mujoco.mj_forward(self.model, self.data)
