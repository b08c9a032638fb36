"""The expert of `carry`: both arms move the bar straight to its mark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.tasks.carry import ends, reaching, tips

LEAD = np.array([0.004, 0.004, 0.015])
"""How far the commanded pose of the bar is ahead of the measured one at most: m, m, rad."""
LOST_M = 0.05


class CarryExpert:
    """Needs `joints`, `bar` and `goal`."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector | None:
        """Return the proposal (1, 4); None when an arm does not hold the bar."""
        bar, goal = planar(observation["bar"]), planar(observation["goal"])
        if np.linalg.norm(tips(observation["joints"]) - ends(bar), axis=1).max() > LOST_M:
            return None
        away = goal - bar
        share = min(1.0, float(1 / np.maximum(np.abs(away) / LEAD, 1.0).max()))
        return reaching(ends(bar + share * away))[None]


def planar(pose: NDArray[Any]) -> Vector:
    """Return x, y and the turn of a pose (7,), whose orientation is about z."""
    return np.array([pose[0], pose[1], 2 * np.arctan2(pose[5], pose[6])])
