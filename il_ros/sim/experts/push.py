"""The expert of `push`: moves behind the block, down, and straight on until the block is on its mark.

It stores no phase: the alignment behind the block sets the height of the tip, and the height sets the pushing
speed. From any state it returns to the same path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.experts.motion import command, measured, step_rise, toward
from il_ros.sim.tasks.table.push import NEAR_M

OPENING_M = 0.03
LOW_M, HIGH_M = 0.02, 0.09
CONTACT_M = 0.04
"""Distance from the block's centre to the tip when the fingers touch the block."""

BEHIND_M = 0.07
"""Distance behind the block's centre at which the tip descends."""

TURN_M = 0.08
"""When the mark is nearer than about this, the push keeps its current direction."""

ARRIVED_M = (0.01, 0.05)
"""Steering is off below the first distance to the mark, and full above the second."""

LOST_M = NEAR_M + 0.005
"""The expert gives up a block that is past its mark by more than this."""


class PushExpert:
    """Needs `joints`, `object` and `goal`."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector | None:
        """Return the proposal (1, 7), or None when the block is `past` its mark."""
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
    """Return whether the block is off its mark and farther from the arm's base than the mark; both (2,).

    The expert pushes away from the arm only, and keeps the tool's direction near the mark (`_direction`). It
    would circle such a block endlessly: it succeeded from 5 of 337 places.
    """
    farther = math.hypot(*block) > math.hypot(*goal)
    return farther and float(np.linalg.norm(goal - block)) > LOST_M


def _direction(yaw_rad: float, block: Vector, goal: Vector) -> Vector:
    """Return the unit direction (2,) of the push: from block to goal; near the goal, the tool's direction."""
    wanted = goal - block
    present = np.array([math.cos(yaw_rad), math.sin(yaw_rad)])
    far = step_rise(float(np.linalg.norm(wanted)), *ARRIVED_M)
    mixed = far * wanted + TURN_M * present
    return mixed / max(float(np.linalg.norm(mixed)), 1e-6)


def _half_turn(yaw_rad: float) -> float:
    """Return the yaw modulo half a turn, nearest to straight ahead: the gripper is symmetric."""
    return (yaw_rad + math.pi / 2) % math.pi - math.pi / 2
