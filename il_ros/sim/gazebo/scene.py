"""Base class of the scenes in Gazebo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.gazebo.client import Client, State
from il_ros.sim.gazebo.pictures import fitted


class GazeboScene:
    """See `il_ros.sim.tasks.scene.Scene`. `targets`: number of joints that the client commands.

    `step_ns` is the physics step, as in MuJoCo; control periods are multiples of it.
    """

    restorable = False

    def __init__(self, client: Client, targets: int, step_ns: int):
        self._client, self._step_ns = client, step_ns
        self._targets = np.zeros(targets)
        self._now: State

    def advance(self, period_ns: int) -> None:
        """Advance the simulation by `period_ns`."""
        self._now = self._client.step(period_ns // self._step_ns, self._targets)

    def state(self) -> Vector:
        """Return joints, models and targets: the observable part of Gazebo's state."""
        now = self._now
        return np.concatenate([now.position, now.velocity, now.models.ravel(), self._targets])

    def restore(self, state: Vector) -> None:
        """Raise ValueError: Gazebo's complete physics state can't be set."""
        raise ValueError("Gazebo can't be set to a recorded state; restore it in the embedded simulator")

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return the current image (height, width, 3) of one of the task's cameras."""
        return fitted(self._client.picture(camera), width, height)

    def close(self) -> None:
        """End Gazebo."""
        self._client.close()
