"""The expert of `touch`: moves over the block that the instruction names, then down onto it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.experts.motion import command, measured, step_rise, toward
from il_ros.sim.tasks.table.touch import BLOCKS, TOUCH_M

OPENING_M = 0.02
HOVER_M = 0.06
"""Height over the point to touch at which the tip moves across, so that it touches no other block."""


class TouchExpert:
    """Needs `joints`, `instruction` and the position of each block."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector | None:
        """Return the proposal (1, 7), or None when the instruction does not name exactly one block."""
        words = str(observation["instruction"]).lower().split()
        named = [block for block in BLOCKS if block in words]
        if len(named) != 1:
            return None
        joints, tip, _ = measured(observation)
        offset = observation[named[0]][:3] + np.array([0.0, 0.0, TOUCH_M]) - tip
        aside = float(np.linalg.norm(offset[:2]))
        hover = (1.0 - step_rise(aside, 0.04, 0.01)) * HOVER_M
        across = toward(offset[:2], gain=4.0, speed=0.3)
        rise = toward(np.array([offset[2] + hover]), gain=4.0, speed=0.25)
        return command(joints, np.concatenate([across, rise]), yaw_rad=None, opening_m=OPENING_M)
