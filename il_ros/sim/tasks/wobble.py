"""How a real arm's joints stray from their commands: a few milliradians, slowly, never twice the same.

A scripted teacher on a perfect arm always walks the same line; a policy cloned from it has never seen what
to do beside that line, and the first small error grows. (Laskey et al., "DART: Noise Injection for Robust
Imitation Learning", 2017, disturb the demonstrator for the same reason.) A sum of sines of time and drawn
phases, so that the future follows from the step number alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector

AMPLITUDE_RAD = np.array([0.022, 0.018, 0.018, 0.0, 0.018, 0.028])
"""Largest stray of each joint; typically a third of it."""

FREQUENCIES_HZ = np.array([0.35, 0.8, 1.5])


class Wobble:
    """One episode's strays."""

    def __init__(self, rng: np.random.Generator):
        self.phases: NDArray[Any] = rng.uniform(0.0, 2 * math.pi, (len(AMPLITUDE_RAD), len(FREQUENCIES_HZ)))

    def at(self, time_s: float) -> Vector:
        """Return how far each joint (6,) strays from its command, in rad; zero at the episode's begin."""
        turns = 2 * math.pi * FREQUENCIES_HZ * time_s + self.phases
        stray: Vector = AMPLITUDE_RAD * np.sin(turns).mean(axis=1) * min(1.0, time_s)
        return stray
