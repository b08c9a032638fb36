"""The expert of `drive`: follows its geometry, and succeeds."""

import math

import numpy as np

from il_ros.core import contract, share
from il_ros.core.codecs import decode, encode
from il_ros.sim.experts.drive import CLEARANCE_M, DriveExpert
from il_ros.sim.tasks.laser import BEAMS, beam_angles
from il_ros.sim.tasks.task import make_task

CONTRACT = contract.load(share.path("config", "contracts", "drive.yaml"))
ANGLES = beam_angles()


def act(ranges):
    return DriveExpert().act({"scan": np.asarray(ranges, dtype=float)})


def test_in_free_space_it_drives_straight_on():
    action = act(np.full(BEAMS, 4.0))
    assert action.shape == (1, 2)
    np.testing.assert_allclose(action, [[0.55, 0.0]], atol=0.01)


def test_a_mirrored_scan_gives_a_mirrored_turn():
    scan = np.random.default_rng(0).uniform(0.5, 4.0, BEAMS)
    (linear, angular), (mirrored_linear, mirrored_angular) = act(scan)[0], act(scan[::-1])[0]
    assert abs(angular + mirrored_angular) < 0.1
    assert abs(linear - mirrored_linear) < 0.05


def test_an_obstacle_on_the_left_turns_it_right():
    scan = np.where((ANGLES > 0.0) & (ANGLES < 0.5), 0.6, 3.0)
    assert act(scan)[0, 1] < -0.3


def test_in_front_of_a_wall_it_stops():
    ahead = np.abs(ANGLES) < 1.3
    scan = np.where(ahead, (CLEARANCE_M + 0.1) / np.maximum(np.cos(ANGLES), 0.2), 0.4)
    assert act(scan)[0, 0] < 0.02


def test_free_distance_ends_where_the_disc_touches():
    scan = np.full(BEAMS, 4.0)
    beam = BEAMS // 2
    scan[beam] = 2.0  # one point, straight in that beam's direction
    free = DriveExpert().free_way(scan)
    assert free[beam] == 2.0 - CLEARANCE_M
    aside = ANGLES[beam + 1] - ANGLES[beam]
    across = 2.0 * math.sin(aside)
    expected = 2.0 * math.cos(aside) - math.sqrt(CLEARANCE_M**2 - across**2)
    np.testing.assert_allclose(free[beam + 1], expected)


def test_it_succeeds_in_eight_corridors():
    task, expert = make_task("drive"), DriveExpert()
    for seed in range(8):
        task.reset(seed)
        start_ns = task.time_ns
        while not (task.success or task.failed) and task.time_ns - start_ns < task.time_limit_s * 1e9:
            seen = {reading.topic: reading.message for reading in task.readings()}
            observation = {spec.key: decode(spec, seen[spec.topic]) for spec in CONTRACT.observations}
            action = CONTRACT.actions[0]
            task.step({action.topic: encode(action, expert.act(observation)[0], task.time_ns)})
        assert task.success, f"seed {seed}"
