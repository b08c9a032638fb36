"""The expert of `pick_place`: over the cube, down, close, up, over the bin, open.

It stores no phase: the gripper closes while the cube is between the fingers, the tip rises as the gripper
closes, moves to the bin as it gets higher, and the gripper opens over the bin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.experts.motion import command, measured, step_rise, toward
from il_ros.sim.tasks.kinematics import reaches

OPEN_M, CLOSED_M = 0.08, 0.03
GRASP_M = -0.004
"""Height of the tip above the cube's centre when grasping."""

HOVER_M = 0.075
CARRY_M, DROP_M = 0.13, 0.09


class PickPlaceExpert:
    """Needs `joints`, `object` and `goal` (the bin)."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector | None:
        """Return the proposal (1, 7), or None when the cube is out of the arm's reach."""
        joints, tip, opening = measured(observation)
        cube, bin_ = observation["object"][:3], observation["goal"][:3]
        if not reaches(cube + np.array([0.0, 0.0, GRASP_M])):
            return None
        offset = tip - cube - np.array([0.0, 0.0, GRASP_M])
        beside = float(np.linalg.norm(offset[:2]))
        over = step_rise(float(np.linalg.norm(tip[:2] - bin_[:2])), 0.035, 0.015)
        between = step_rise(beside, 0.020, 0.010) * step_rise(abs(float(offset[2])), 0.024, 0.012)
        held = between * step_rise(opening, 0.045, 0.041)
        done = step_rise(float(np.abs(cube[:2] - bin_[:2]).max()), 0.058, 0.050) * (
            step_rise(float(cube[2]), 0.06, 0.045)
        )

        fetch = _fetch(tip, cube, beside)
        carry = _carry(tip, bin_, over)
        away = max(held, done)
        velocity = away * carry + (1.0 - away) * fetch
        opening_m = OPEN_M - between * (1.0 - over) * (1.0 - done) * (OPEN_M - CLOSED_M)
        return command(joints, velocity, _yaw(observation["object"], done), opening_m)


def _fetch(tip: Vector, cube: Vector, beside: float) -> Vector:
    """Return the tip's velocity (3,) to the cube: across when high or near, down when above it."""
    down = step_rise(beside, 0.03, 0.008)
    high = step_rise(float(tip[2]), 0.045, 0.07)
    across = max(high, step_rise(beside, 0.03, 0.015)) * toward(cube[:2] - tip[:2], gain=4.0, speed=0.25)
    height = float(cube[2]) + GRASP_M + (1.0 - down) * HOVER_M
    return np.concatenate([across, toward(np.array([height - tip[2]]), gain=4.0, speed=0.2)])


def _carry(tip: Vector, bin_: Vector, over: float) -> Vector:
    """Return the tip's velocity (3,) to the bin: up first, then across, then a little down."""
    high = step_rise(float(tip[2]), 0.06, 0.10)
    across = high * toward(bin_[:2] - tip[:2], gain=4.0, speed=0.25)
    height = CARRY_M - over * (CARRY_M - DROP_M)
    return np.concatenate([across, toward(np.array([height - tip[2]]), gain=4.0, speed=0.2)])


def _yaw(cube: Vector, done: float) -> float:
    """Return the yaw of the grasp, along the nearest of the cube's sides; 0 when the task is done."""
    qx, qy, qz, qw = (float(value) for value in cube[3:7])
    yaw = math.atan2(2 * (qw * qz + qx * qy), 1 - 2 * (qy * qy + qz * qz))
    quarter = (yaw + math.pi / 4) % (math.pi / 2) - math.pi / 4
    return (1.0 - done) * quarter
