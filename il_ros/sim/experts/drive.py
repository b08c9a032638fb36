"""The expert of `drive`: steers from the laser alone to where a disc of the robot's size can go far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.sim.tasks.laser import beam_angles

CLEARANCE_M = 0.25  # half width of the path that must be free; the robot's radius is 0.16 m
AHEAD_M = 2.0  # free distance beyond this is ignored
FORWARD_RAD = 1.75  # directions beyond this are ignored: the robot never turns back
SHARPNESS_PER_M = (
    5.0  # weight of a metre of free distance; low: a smooth mean, high: the best direction alone
)
ASIDE_M_PER_RAD = 0.35  # free distance that a turn by one radian costs
STOP_M = 0.15  # free distance ahead at which the robot stops
CRUISE_M_S = 0.55
TURN_PER_S = 2.2
MAX_TURN_RAD_S = 1.8


class DriveExpert:
    """A smooth function of the scan, so that a policy can learn it; no memory, no map, no goal."""

    def __init__(self) -> None:
        angles = beam_angles()
        self._angles = angles
        self._ahead = int(np.argmin(np.abs(angles)))
        self._aside = angles[None, :] - angles[:, None]  # [direction, beam]
        self._allowed = np.abs(angles) <= FORWARD_RAD

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector:
        """Return [[linear.x, angular.z]] (1, 2), m/s and rad/s; `observation["scan"]` is (BEAMS,) metres."""
        free = self.free_way(np.asarray(observation["scan"], dtype=np.float64))
        worth = np.minimum(free, AHEAD_M) - ASIDE_M_PER_RAD * np.abs(self._angles)
        weight = np.exp(SHARPNESS_PER_M * (worth - np.max(worth[self._allowed]))) * self._allowed
        heading = float(weight @ self._angles / weight.sum())
        room = float(np.interp(heading, self._angles, free)) * 0.5 + float(free[self._ahead]) * 0.5
        linear = CRUISE_M_S * np.clip((room - STOP_M) / 0.6, 0.0, 1.0) * max(0.0, np.cos(heading)) ** 2
        angular = np.clip(TURN_PER_S * heading, -MAX_TURN_RAD_S, MAX_TURN_RAD_S)
        return np.array([[linear, angular]])

    def free_way(self, ranges_m: Vector) -> Vector:
        """Return how far a disc of radius CLEARANCE_M can go in each beam's direction, (BEAMS,) metres."""
        along = ranges_m * np.cos(self._aside)
        across = ranges_m * np.sin(self._aside)
        inside = CLEARANCE_M**2 - across**2
        way = along - np.sqrt(np.maximum(inside, 0.0))
        way = np.where((inside > 0.0) & (along > 0.0), np.maximum(way, 0.0), np.inf)
        free: Vector = np.minimum(way.min(axis=1), np.max(ranges_m))
        return free
