"""Slow disturbances of the joint commands, a few milliradians in size, as on a real arm.

A scripted expert on a perfect arm always follows the same path; a policy cloned from it has no data beside that path,
and small errors grow. Laskey et al., "DART: Noise Injection for Robust Imitation Learning", 2017, disturb the
demonstrator for the same reason. The disturbance is a sum of sines with random phases, so that it depends on the step
number alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector

AMPLITUDE_RAD = np.array([0.022, 0.018, 0.018, 0.0, 0.018, 0.028])
"""Largest deviation of each joint; a third of it is typical."""

FREQUENCIES_HZ = np.array([0.35, 0.8, 1.5])


class Wobble:
    """The disturbance of one episode."""

    def __init__(self, rng: np.random.Generator):
        self.phases: NDArray[Any] = rng.uniform(0.0, 2 * math.pi, (len(AMPLITUDE_RAD), len(FREQUENCIES_HZ)))

    def at(self, time_s: float) -> Vector:
        """Return each joint's deviation (6,) from its command in rad; zero at the start of the episode."""
        turns = 2 * math.pi * FREQUENCIES_HZ * time_s + self.phases
        stray: Vector = AMPLITUDE_RAD * np.sin(turns).mean(axis=1) * min(1.0, time_s)
        return stray
