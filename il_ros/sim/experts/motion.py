"""Motion of the arm's experts: turns a target velocity of the tip into the next joint command.

Everything is a function of the measured positions. The command leads the measurement by the distance that the
arm travels during its controllers' lag, so that the speed is steady without memory of the last command.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.tasks.kinematics import forward, pointing_down

AHEAD_S = 0.125
"""Lead of a command over the measurement: the controllers' lag plus half a control period."""

JOINT_STEP_RAD = 0.095
"""Largest distance of a joint command from the measurement: below the safety limiter's bounds."""

TURN_GAIN = 4.0
"""Gain of the tool's rotation towards its target orientation, per second."""

TURN_RAD_S = 0.8


def measured(observation: Mapping[str, NDArray[Any]]) -> tuple[Vector, Vector, float]:
    """Return joints (6,), tip (3,) and the gripper's opening in metres."""
    joints = np.asarray(observation["joints"][:6], dtype=np.float64)
    return joints, forward(joints)[0], float(observation["joints"][6])


def step_rise(value: float, start: float, end: float) -> float:
    """Return 0 before `start`, 1 after `end`, and a smooth rise between; with `end` below `start` it falls."""
    x = min(max((value - start) / (end - start), 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


def toward(offset_m: Vector, gain: float, speed: float) -> Vector:
    """Return the velocity that closes an offset: proportional when near, at most `speed` when far."""
    distance = float(np.linalg.norm(offset_m))
    return offset_m * (gain / math.hypot(1.0, distance * gain / speed))


def command(joints_rad: Vector, tip_velocity: Vector, yaw_rad: float | None, opening_m: float) -> Vector:
    """Return the proposal (1, 7) that moves the tip at `tip_velocity` (3,) and turns the tool to point down.

    `yaw_rad` as in `pointing_down`. The tip's motion and the tool's rotation are simultaneous.
    """
    tip = forward(joints_rad)[0]
    upright = pointing_down(tip, yaw_rad)
    turn = toward(upright - joints_rad, gain=TURN_GAIN, speed=TURN_RAD_S)
    change = pointing_down(tip + AHEAD_S * tip_velocity, yaw_rad) - upright + AHEAD_S * turn
    change *= min(1.0, JOINT_STEP_RAD / max(float(np.abs(change).max()), 1e-9))
    return np.array([[*(joints_rad + change), opening_m]])
