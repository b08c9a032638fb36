"""The teacher of `push`: behind the block, down, and straight on until the block lies on its mark.

No phases are kept: how well the tip stands behind the block decides how low it goes, how low it is decides
how much it pushes. Wherever it finds itself, it comes back to the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.experts.motion import command, measured, step_rise, toward
from il_ros.sim.tasks.push import NEAR_M

OPENING_M = 0.03
LOW_M, HIGH_M = 0.02, 0.09
CONTACT_M = 0.04
"""From the block's middle to the tip's when the fingers touch the block."""

BEHIND_M = 0.07
"""Where the tip comes down, behind the block's middle."""

TURN_M = 0.08
"""A mark nearer than about this no longer turns the push: the direction in hand is kept."""

ARRIVED_M = (0.01, 0.05)
"""Nearer than the first the push isn't steered any more, farther than the second it is in full."""

LOST_M = NEAR_M + 0.005
"""Farther from its mark, and past it, a block is given up."""


class PushExpert:
    """Needs `joints`, `object` and `goal`."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector | None:
        """Return the proposal (1, 7), None when the block is `past` its mark: then it can't bring it back."""
        joints, tip, _ = measured(observation)
        block, goal = observation["object"][:2], observation["goal"][:2]
        if past(block, goal):
            return None
        way = _direction(_half_turn(joints[0] - joints[5]), block, goal)
        left = np.array([-way[1], way[0]])
        along, aside = float((tip[:2] - block) @ way), float((tip[:2] - block) @ left)

        behind = step_rise(along, -0.028, -CONTACT_M + 0.002)
        aligned = behind * step_rise(abs(aside), 0.035, 0.015)
        low = step_rise(float(tip[2]), LOW_M + 0.035, LOW_M + 0.010)
        clear = max(behind, step_rise(float(tip[2]), 0.05, 0.075))

        ahead = max(float((goal - block) @ way), 0.0)
        far = step_rise(float(np.linalg.norm(goal - block)), *ARRIVED_M)
        push = toward(ahead * way, gain=2.5, speed=0.12) - far * 4.0 * aside * left
        approach = clear * toward(block - BEHIND_M * way - tip[:2], gain=4.0, speed=0.25)
        pushing = low * aligned
        height = LOW_M + (1.0 - aligned) * (HIGH_M - LOW_M)
        rise = toward(np.array([height - tip[2]]), gain=5.0, speed=0.25)
        velocity = np.concatenate([pushing * push + (1.0 - pushing) * approach, rise])
        return command(joints, velocity, yaw_rad=_half_turn(math.atan2(way[1], way[0])), opening_m=OPENING_M)


def past(block: Vector, goal: Vector) -> bool:
    """Tell whether the block lies off its mark, and farther from the arm's foot than that; both (2,).

    This teacher pushes away from the arm only, and near the mark keeps the tool's way (`_direction`). Round
    such a block it goes without end, if it reaches its far side at all: it succeeded from 5 of 337 places.
    """
    farther = math.hypot(*block) > math.hypot(*goal)
    return farther and float(np.linalg.norm(goal - block)) > LOST_M


def _direction(yaw_rad: float, block: Vector, goal: Vector) -> Vector:
    """Return the unit direction (2,) of the push: from block to goal, near it the way the tool faces."""
    wanted = goal - block
    present = np.array([math.cos(yaw_rad), math.sin(yaw_rad)])
    far = step_rise(float(np.linalg.norm(wanted)), *ARRIVED_M)
    mixed = far * wanted + TURN_M * present
    return mixed / max(float(np.linalg.norm(mixed)), 1e-6)


def _half_turn(yaw_rad: float) -> float:
    """Return the same line's direction within a quarter turn of straight ahead: the gripper has no front."""
    return (yaw_rad + math.pi / 2) % math.pi - math.pi / 2
