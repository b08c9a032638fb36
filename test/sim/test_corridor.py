"""Random corridors: closed, passable, without self-intersection, determined by the seed."""

import math
from itertools import pairwise

import numpy as np
import pytest

from il_ros.sim.tasks import corridor
from il_ros.sim.tasks.corridor import HALF_WIDTH_M, PANEL_M, Place, random_corridor

SEEDS = range(40)


def drawn(seed):
    return random_corridor(np.random.default_rng(seed))


def distances_to_line(line, points):
    """Return the distance of each point (N, 2) to the polyline `line`."""
    nearest = np.full(len(points), np.inf)
    for first, last in pairwise(line):
        along = np.clip((points - first) @ (last - first) / ((last - first) @ (last - first)), 0.0, 1.0)
        nearest = np.minimum(
            nearest, np.linalg.norm(points - first - along[:, None] * (last - first), axis=1)
        )
    return nearest


def panel_points(panel, length=PANEL_M[0]):
    """Return points on a panel's centre line."""
    offsets = np.linspace(-length / 2, length / 2, 60)
    return panel.xy + offsets[:, None] * [math.cos(panel.yaw_rad), math.sin(panel.yaw_rad)]


def test_the_seed_determines_the_corridor():
    np.testing.assert_array_equal(drawn(3).line, drawn(3).line)
    assert drawn(3).start == drawn(3).start
    assert not np.array_equal(drawn(3).line, drawn(4).line)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_wall_blocks_the_corridor(seed):
    shape = drawn(seed)
    points = np.concatenate([panel_points(panel) for panel in shape.panels])
    assert distances_to_line(shape.line, points).min() > HALF_WIDTH_M - 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_walls_have_no_gaps(seed):
    shape = drawn(seed)
    for side in (0, 1):
        walls = [shape.panels[first : first + 3] for first in range(3 * side, len(shape.panels), 6)]
        for wall in walls:  # the three panels of a wall overlap
            assert all(np.linalg.norm(b.xy - a.xy) <= PANEL_M[0] for a, b in pairwise(wall))
        for wall, after in pairwise(walls):  # and at a corner the next wall begins within a wall's thickness
            assert np.linalg.norm(panel_points(after[0])[0] - panel_points(wall[-1])[-1]) < PANEL_M[1]
        for end, panel in zip(shape.ends, (walls[0][0], walls[-1][-1]), strict=True):
            gaps = panel_points(panel)[:, None] - panel_points(end, corridor.END_PANEL_M)[None]
            assert np.linalg.norm(gaps, axis=2).min() < PANEL_M[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_robot_fits_past_every_obstacle(seed):
    shape = drawn(seed)
    robot_m, half_diagonal_m = 2 * 0.16, 0.17
    for obstacle in (*shape.cylinders, *shape.boxes):
        offset = distances_to_line(shape.line, obstacle.xy[None])[0]
        assert HALF_WIDTH_M + offset - half_diagonal_m > robot_m + 0.2


def test_the_end_zone_is_clear_of_obstacles_and_far_from_the_start():
    for seed in SEEDS:
        shape = drawn(seed)
        for obstacle in (*shape.cylinders, *shape.boxes):
            assert np.linalg.norm(obstacle.xy - shape.goal.xy) > 0.45 + 0.16
        assert np.linalg.norm(shape.start.xy - shape.goal.xy) > 3.0


def test_a_place_has_coordinates():
    np.testing.assert_array_equal(Place(1.0, 2.0).xy, [1.0, 2.0])
