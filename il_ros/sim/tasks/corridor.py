"""Random corridors: poses of walls, obstacles, start and end zone, independent of a simulator.

A corridor consists of pieces of fixed size (three overlapping panels per wall), so that corridors differ only
in poses and any simulator with boxes and cylinders can represent them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

SEGMENTS = 4
HALF_WIDTH_M = 0.7
LENGTH_M = (2.0, 2.4)  # of a segment's centre line
TURN_RAD = (math.radians(20), math.radians(50))
HEADING_RAD = math.radians(80)  # the corridor never leads back, so it never crosses itself
PANEL_M = (1.2, 0.05)  # length, thickness
PANELS_PER_WALL = 3
END_PANEL_M = 1.5
START_M = 0.5  # from the closed back end to the start
GOAL_M = 0.6  # from the end zone's centre to the closed far end
END_ZONE_RADIUS_M = 0.45
CYLINDERS, BOXES = 2, 2
OBSTACLE_OFFSET_M = (0.1, 0.45)  # from the centre line, to either side

WALL_PANELS = SEGMENTS * 2 * PANELS_PER_WALL


@dataclass(frozen=True)
class Place:
    """A pose in the plane: metres and radians."""

    x_m: float
    y_m: float
    yaw_rad: float = 0.0

    @property
    def xy(self) -> Vector:
        """(2,) metres."""
        return np.array([self.x_m, self.y_m])


@dataclass(frozen=True)
class Corridor:
    """Poses of all pieces. `line` (SEGMENTS + 1, 2): the centre line's corners, in metres.

    `panels`: centres of the WALL_PANELS wall panels; `ends`: of the two panels that close the corridor.
    """

    line: Vector
    panels: tuple[Place, ...]
    ends: tuple[Place, Place]
    cylinders: tuple[Place, ...]
    boxes: tuple[Place, ...]
    start: Place
    goal: Place


def random_corridor(rng: np.random.Generator) -> Corridor:
    """Return a corridor of SEGMENTS straight pieces, with an obstacle in each and the start in the first."""
    turns, lengths = _turns(rng), rng.uniform(*LENGTH_M, SEGMENTS)
    headings = np.concatenate([[0.0], np.cumsum(turns)])
    steps = lengths[:, None] * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    line = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    obstacles = [_obstacle(rng, line, headings, lengths, k) for k in range(SEGMENTS)]
    obstacles = [obstacles[k] for k in rng.permutation(SEGMENTS)]
    start = _on(line, headings, 0, START_M, rng.uniform(-0.2, 0.2), rng.uniform(-0.4, 0.4))
    goal = _on(line, headings, SEGMENTS - 1, lengths[-1] - GOAL_M, 0.0, 0.0)
    thickness = PANEL_M[1]
    back = _on(line, headings, 0, -thickness / 2, 0.0, math.pi / 2)
    far = _on(line, headings, SEGMENTS - 1, lengths[-1] + thickness / 2, 0.0, math.pi / 2)
    panels = [
        panel
        for k in range(SEGMENTS)
        for side in (1.0, -1.0)
        for panel in _wall(line, headings, turns, lengths, k, side)
    ]
    return Corridor(
        line,
        tuple(panels),
        (back, far),
        tuple(obstacles[:CYLINDERS]),
        tuple(obstacles[CYLINDERS:]),
        start,
        goal,
    )


def _turns(rng: np.random.Generator) -> Vector:
    """Return the turn (rad, left is positive) at each inner corner."""
    turns: list[float] = []
    for _ in range(SEGMENTS - 1):
        turn = rng.uniform(*TURN_RAD) * rng.choice((-1.0, 1.0))
        turns.append(turn if abs(sum(turns) + turn) <= HEADING_RAD else -turn)
    return np.array(turns)


def _on(line: Vector, headings: Vector, k: int, along_m: float, left_m: float, turn_rad: float) -> Place:
    """Return the place `along_m` into segment k, `left_m` left of its centre line, rotated by `turn_rad`."""
    cos, sin = math.cos(headings[k]), math.sin(headings[k])
    x, y = line[k]
    return Place(
        float(x + along_m * cos - left_m * sin),
        float(y + along_m * sin + left_m * cos),
        float(headings[k] + turn_rad),
    )


def _obstacle(rng: np.random.Generator, line: Vector, headings: Vector, lengths: Vector, k: int) -> Place:
    """Return an obstacle in segment k, far from the start, the corners and the end zone."""
    along = {0: (0.62, 0.72), SEGMENTS - 1: (0.25, 0.4)}.get(k, (0.4, 0.6))
    left = rng.uniform(*OBSTACLE_OFFSET_M) * rng.choice((-1.0, 1.0))
    return _on(line, headings, k, rng.uniform(*along) * lengths[k], left, rng.uniform(0.0, math.pi / 2))


def _wall(line: Vector, headings: Vector, turns: Vector, lengths: Vector, k: int, side: float) -> list[Place]:
    """Return the panels of segment k's left (side 1) or right (-1) wall, ends mitred at its corners."""
    length, thickness = PANEL_M
    offset = HALF_WIDTH_M + thickness / 2

    def shortened(turn: float) -> float:
        """Return how much earlier the wall ends at a corner: more on the inside of a turn, without a gap."""
        return float(offset * side * math.tan(turn / 2) - thickness / 2 * math.tan(abs(turn) / 2))

    first = shortened(turns[k - 1]) if k > 0 else -thickness
    last = lengths[k] - (shortened(turns[k]) if k < SEGMENTS - 1 else -thickness)
    middles = np.linspace(first + length / 2, last - length / 2, PANELS_PER_WALL)
    return [_on(line, headings, k, float(middle), side * offset, 0.0) for middle in middles]
