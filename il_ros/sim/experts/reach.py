"""The expert of `reach`: moves straight to the goal and slows down near it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.experts.motion import command, measured, toward

OPENING_M = 0.02


class ReachExpert:
    """Needs `joints` and `goal`."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector:
        """Return the proposal (1, 7)."""
        joints, tip, _ = measured(observation)
        velocity = toward(observation["goal"][:3] - tip, gain=4.0, speed=0.3)
        return command(joints, velocity, yaw_rad=None, opening_m=OPENING_M)
