"""The expert of `press`: moves over the pad, then down until it feels the force, and keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.experts.motion import command, measured, step_rise, toward
from il_ros.sim.tasks.kinematics import forward
from il_ros.sim.tasks.table.press import HEIGHT_M, PRESSED_N

HOVER_M = 0.125
WANTED_N = sum(PRESSED_N) / 2
YIELD_M_S_N = 0.022
"""Speed of the tool for each newton that is wanted and not felt."""
APPROACH_M_S = 0.04
FELT_N = (0.3, 3.0)
"""The tool is certainly free below the first force, and on the pad above the second."""
ABOVE_M = HEIGHT_M[1] + 0.01
"""Above this height there is no pad, so that the tool comes down faster."""
STIFFNESS = np.array([400.0, 500.0, 192.0, 42.5, 43.0, 20.5])
"""N m/rad of the joints' controllers: under load, an arm lags its command by torque over stiffness."""


class PressExpert:
    """Needs `joints`, `goal` and `force` (3,), in the tool's frame."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector:
        """Return the proposal (1, 7)."""
        joints, tip, _ = measured(observation)
        force_n = max(-float(observation["force"][2]), 0.0)
        offset = observation["goal"][:2] - tip[:2]
        over = step_rise(float(np.linalg.norm(offset)), 0.02, 0.008)
        down = min(YIELD_M_S_N * (WANTED_N - force_n), APPROACH_M_S) + 2.0 * max(float(tip[2]) - ABOVE_M, 0.0)
        up = toward(np.array([HOVER_M - tip[2]]), gain=4.0, speed=0.25)
        velocity = np.array([*toward(offset, gain=4.0, speed=0.3), *((1.0 - over) * up - over * down)])
        proposal = command(joints, velocity, yaw_rad=None, opening_m=0.0)
        proposal[0, :6] += _against(joints, WANTED_N * step_rise(force_n, *FELT_N))
        return proposal


def _against(joints_rad: Vector, force_n: float) -> Vector:
    """Return how far the joints' commands (6,) must lead for the tip to hold against an upward force."""
    small = 1e-4
    heights = [forward(joints_rad + small * axis)[0][2] for axis in np.eye(6)]
    slopes = (np.array(heights) - forward(joints_rad)[0][2]) / small  # (6,) m/rad
    lead: Vector = -slopes * force_n / STIFFNESS
    return lead
