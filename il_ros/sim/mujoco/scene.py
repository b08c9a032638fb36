"""What every scene in MuJoCo can do: advance, be saved and restored, and be rendered."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.mujoco.render import Renderer
from il_ros.sim.mujoco.state import restore, state_of


class MujocoScene:
    """A model and its state. Cameras render at any size."""

    restorable = True

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self.data = mujoco.MjData(model)
        self._renderer = Renderer(model)

    def advance(self, period_ns: int) -> None:
        """Advance the simulation by `period_ns`."""
        mujoco.mj_step(self.model, self.data, round(period_ns * 1e-9 / self.model.opt.timestep))
        self._derive()

    def state(self) -> Vector:
        """Return MuJoCo's complete state, including what the task placed, and the commands."""
        return state_of(self.model, self.data)

    def restore(self, state: Vector) -> None:
        """Restore a state returned by `state`; raises ValueError when it belongs to another model."""
        restore(self.model, self.data, state)
        self._derive()

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return the current image (height, width, 3) of a camera of the model."""
        return self._renderer.picture(self.data, camera, width, height)

    def close(self) -> None:
        """Release the graphics context, if there is one."""
        self._renderer.close()

    def _derive(self) -> None:
        """Update the derived poses: after a step they are still those of its beginning."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)


def model_of(task: str) -> mujoco.MjModel:
    """Return the model in models/<task>.xml."""
    return mujoco.MjModel.from_xml_path(str(Path(__file__).with_name("models") / f"{task}.xml"))
