"""MuJoCo's whole state as numbers, and back."""

from __future__ import annotations

import mujoco
import numpy as np

from il_ros.core.specs import Vector

_KIND = mujoco.mjtState.mjSTATE_INTEGRATION


def state_of(model: mujoco.MjModel, data: mujoco.MjData) -> Vector:
    """Return all that the physics goes on from, (S,)."""
    state = np.empty(mujoco.mj_stateSize(model, _KIND))
    mujoco.mj_getState(model, data, state, _KIND)
    return state


def restore(model: mujoco.MjModel, data: mujoco.MjData, state: Vector) -> None:
    """Set what `state_of` returned; what follows from it is the caller's to derive.

    Raises ValueError when it has another size.
    """
    needed = mujoco.mj_stateSize(model, _KIND)
    if state.shape != (needed,):
        raise ValueError(f"a state of {state.size} numbers is another model's: this one has {needed}")
    mujoco.mj_setState(model, data, np.ascontiguousarray(state), _KIND)
