"""Drive along a path of places by pure pursuit.

Coulter 1992, "Implementation of the Pure Pursuit Path Tracking Algorithm".
"""

from __future__ import annotations

import math

import numpy as np

from il_ros.core.specs import Vector

AHEAD_M = 0.35
CRUISE_M_S = 0.5
TURN_IN_PLACE_RAD = 1.0  # with the target further aside than this, the robot turns on the spot
MAX_TURN_RAD_S = 1.8


class PathFollower:
    """Steers to the place `AHEAD_M` ahead on a path (N, 2), in metres; the last place is the goal."""

    def __init__(self, path_m: Vector) -> None:
        if path_m.ndim != 2 or path_m.shape[1] != 2 or not len(path_m):
            raise ValueError(f"the path has shape {path_m.shape}; it must be (N, 2) with one place or more")
        self._path_m = path_m
        self._place = 0

    def act(self, position_m: Vector, yaw_rad: float) -> Vector:
        """Return [[linear.x, angular.z]] (1, 2), m/s and rad/s, for the robot's pose."""
        distances_m = np.hypot(*(self._path_m[self._place :] - position_m).T)
        self._place += int(distances_m.argmin())  # never back, where the path passes itself
        ahead = self._place
        while ahead < len(self._path_m) - 1 and math.dist(self._path_m[ahead], position_m) < AHEAD_M:
            ahead += 1
        along_m, across_m = self._path_m[ahead] - position_m
        aside = math.atan2(across_m, along_m) - yaw_rad
        aside = math.atan2(math.sin(aside), math.cos(aside))
        linear = CRUISE_M_S * max(0.0, math.cos(aside)) if abs(aside) < TURN_IN_PLACE_RAD else 0.0
        away_m = max(math.hypot(along_m, across_m), 0.1)
        angular = 2 * linear * math.sin(aside) / away_m if linear else math.copysign(MAX_TURN_RAD_S, aside)
        return np.array([[linear, min(max(angular, -MAX_TURN_RAD_S), MAX_TURN_RAD_S)]])
