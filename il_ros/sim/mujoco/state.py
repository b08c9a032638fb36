"""MuJoCo's complete state as an array, and back."""

from __future__ import annotations

import mujoco
import numpy as np

from il_ros.core.specs import Vector
from il_ros.core.tables import counted

_KIND = mujoco.mjtState.mjSTATE_INTEGRATION


def state_of(model: mujoco.MjModel, data: mujoco.MjData) -> Vector:
    """Return the complete physics state, (S,)."""
    state = np.empty(mujoco.mj_stateSize(model, _KIND))
    mujoco.mj_getState(model, data, state, _KIND)
    return state


def restore(model: mujoco.MjModel, data: mujoco.MjData, state: Vector) -> None:
    """Set a state returned by `state_of`; the caller updates the derived quantities.

    Raises ValueError when the size differs.
    """
    needed = mujoco.mj_stateSize(model, _KIND)
    if state.shape != (needed,):
        raise ValueError(
            f"a state of {counted(state.size, 'number')} is another model's; this model's state has {needed}"
        )
    mujoco.mj_setState(model, data, np.ascontiguousarray(state), _KIND)
