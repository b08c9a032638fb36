"""The drive robot in its corridor in MuJoCo: the model is built by `il_ros.sim.mujoco.drive_model`."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.mujoco.drive_model import drive_model, place
from il_ros.sim.mujoco.render import Renderer
from il_ros.sim.mujoco.state import restore, state_of
from il_ros.sim.tasks.corridor import Corridor
from il_ros.sim.tasks.laser import Laser
from il_ros.sim.tasks.task import Cameras


class MujocoDrive:
    """See `il_ros.sim.tasks.drive_scene.DriveScene`. Cameras of every size are there on demand."""

    restorable = True

    def __init__(self, task: str, cameras: Cameras):
        self.model = drive_model()
        self.data = mujoco.MjData(self.model)
        self._renderer = Renderer(self.model)
        self._base = self.model.body("base").id
        self._laser = Laser(self.model, "laser")

    @property
    def position_m(self) -> Vector:
        """Where the robot is, (3,)."""
        return np.array(self.data.xpos[self._base])

    @property
    def quaternion(self) -> Vector:
        """How it is turned, (4,) wxyz."""
        return np.array(self.data.xquat[self._base])

    @property
    def velocity(self) -> tuple[Vector, Vector]:
        """How it moves and turns in its own frame, (3,) m/s and (3,) rad/s."""
        velocity = np.empty(6)
        body = mujoco.mjtObj.mjOBJ_XBODY
        mujoco.mj_objectVelocity(self.model, self.data, body, self._base, velocity, 1)  # rotation first
        return velocity[3:], velocity[:3]

    @property
    def ranges(self) -> Vector:
        """What the laser sees, (BEAMS,) metres."""
        return self._laser.ranges(self.data)

    @property
    def touching(self) -> bool:
        """True while the robot touches a piece of the corridor."""
        return bool((self.model.geom_contype[self.data.contact.geom] == 2).any())

    def place(self, corridor: Corridor, seed: int) -> None:
        """Build the corridor and put the robot at its start, standing still."""
        mujoco.mj_resetData(self.model, self.data)
        place(self.model, self.data, corridor)
        mujoco.mj_forward(self.model, self.data)

    def drive(self, left_rad_s: float, right_rad_s: float) -> None:
        """Take new speeds of the wheels."""
        self.data.ctrl[:] = left_rad_s, right_rad_s

    def advance(self, period_ns: int) -> None:
        """Let so much time pass."""
        mujoco.mj_step(self.model, self.data, round(period_ns * 1e-9 / self.model.opt.timestep))
        mujoco.mj_forward(self.model, self.data)  # positions and contacts of now, not of the last substep

    def state(self) -> Vector:
        """Return MuJoCo's whole state, the corridor included."""
        return state_of(self.model, self.data)

    def restore(self, state: Vector) -> None:
        """Go on from what `state` returned; raises ValueError when it is another model's."""
        restore(self.model, self.data, state)
        mujoco.mj_forward(self.model, self.data)

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return what 'camera' (on the robot) or 'above' sees now, (height, width, 3)."""
        return self._renderer.picture(self.data, camera, width, height)

    def close(self) -> None:
        """Free the graphics context, if there is one."""
        self._renderer.close()
