"""Playback of recorded commands, worked out by hand."""

import json

import numpy as np
import pytest

from il_ros.control.playback import Playback, PlaybackError, PlaybackPhase, TargetSeries
from il_ros.core import contract

TEXT = """
name: both
rate_hz: 10
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 0.5}
actions:
  arm: {topic: arm, type: std_msgs/msg/Float64MultiArray, names: [a, b], reference: joints,
        limits: {lower: -2.0, upper: 2.0, speed: [1.0, 2.0]}}
  base: {topic: cmd_vel, type: geometry_msgs/msg/Twist, names: [linear.x], safe: zero, limits: {speed: 1.0}}
"""
BOTH = contract.parse(TEXT, "test")
NAMES = BOTH.action_names


def made(times_s, targets):
    return TargetSeries(NAMES, np.array(times_s, float), np.array(targets, float))


def test_it_leads_in_a_straight_line_at_the_share_of_the_speed_limits():
    playback = Playback(BOTH, made([0], [[1.0, -1.0, 0.4]]), speed=0.5)
    at_rest = np.array([0.0, 0.0, np.nan])
    # joint a is the slower one: 0.5 rad/s; b covers the same way; the base stands
    np.testing.assert_allclose(playback.target(at_rest, 10.0), [0.0, 0.0, 0.0])
    np.testing.assert_allclose(playback.target(at_rest, 10.2), [0.1, -0.1, 0.0])
    np.testing.assert_allclose(playback.target(at_rest, 11.0), [0.5, -0.5, 0.0])
    np.testing.assert_allclose(playback.target(at_rest, 12.0), [1.0, -1.0, 0.0])
    assert playback.phase is PlaybackPhase.LEADING  # commanded, not yet measured
    assert playback.target(np.array([0.95, -0.9, np.nan]), 12.5) is None
    assert playback.phase is PlaybackPhase.DONE


def test_a_robot_that_does_not_follow_is_a_failure_that_names_the_joint():
    playback = Playback(BOTH, made([0], [[0.5, 0.0, 0.0]]), speed=1.0)
    stuck = np.zeros(3)
    for now_s in np.arange(0.0, 3.4, 0.1):
        assert playback.target(stuck, now_s) is not None
    assert playback.target(stuck, 3.6) is None  # commanded at 0.5 s, plus 3 s
    assert playback.phase is PlaybackPhase.FAILED
    assert playback.words(3.6).startswith("not reached: arm/a is at 0, 0.5 from 0.5")


def test_at_half_speed_positions_take_twice_as_long_and_velocities_are_halved():
    recorded = made([0, 0.1, 0.2], [[0, 0, 0.4], [0.2, 0, 0.4], [0.4, 0.1, 0.0]])
    playback = Playback(BOTH, recorded, speed=0.5)
    there = np.array([0.0, 0.0, np.nan])
    np.testing.assert_allclose(playback.target(there, 5.0), [0.0, 0.0, 0.2])
    np.testing.assert_allclose(playback.target(there, 5.1), [0.1, 0.0, 0.2])
    np.testing.assert_allclose(playback.target(there, 5.3), [0.3, 0.05, 0.2])
    np.testing.assert_allclose(playback.target(there, 5.4), [0.4, 0.1, 0.0])  # the end stands still
    np.testing.assert_allclose(playback.deviation, [0.4, 0.1, 0.0])
    assert playback.target(there, 5.5) is None
    assert playback.phase is PlaybackPhase.DONE


def test_a_base_stands_still_in_a_gap_of_the_recording():
    playback = Playback(BOTH, made([0, 1.0], [[0, 0, 0.4], [0, 0, 0.4]]), speed=1.0)
    np.testing.assert_allclose(playback.target(np.zeros(3), 0.0), [0, 0, 0])
    np.testing.assert_allclose(playback.target(np.zeros(3), 0.5), [0, 0, 0])


TURNING = contract.parse(
    """
name: turning
rate_hz: 10
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [w, b], max_age_s: 0.5}
actions:
  arm: {topic: arm, type: std_msgs/msg/Float64MultiArray, names: [w, b], reference: joints, continuous: [w],
        limits: {lower: [-.inf, -2], upper: [.inf, 2], speed: 1.0}}
""",
    "turning",
)


def turning(times_s, targets):
    return TargetSeries(TURNING.action_names, np.array(times_s, float), np.array(targets, float))


def test_a_continuous_joint_is_led_the_short_way_and_arrives_in_any_turn():
    playback = Playback(TURNING, turning([0], [[-3.1, 0.0]]), speed=1.0)
    short = 2 * np.pi - 6.1  # from 3.0 to -3.1: 0.183 rad
    np.testing.assert_allclose(playback.target(np.array([3.0, 0.0]), 0.0), [3.0 - 2 * np.pi, 0.0])
    np.testing.assert_allclose(playback.target(np.array([3.0, 0.0]), 0.1), [3.1 - 2 * np.pi, 0.0])
    playback.target(np.array([3.1, 0.0]), short + 0.01)
    assert playback.target(np.array([3.17, 0.0]), 0.4) is None  # 3.17 - 2 pi is 0.013 from -3.1
    assert playback.phase is PlaybackPhase.DONE


def test_between_two_targets_a_continuous_joint_crosses_the_end_of_its_turn():
    recorded = turning([0, 0.1, 0.2], [[3.1, 0], [-3.1, 0], [-3.0, 0]])  # 0.083 rad, then 0.1
    playback = Playback(TURNING, recorded, speed=0.5)
    there = np.array([3.1 - 2 * np.pi, 0.0])  # the same angle
    np.testing.assert_allclose(playback.target(there, 5.0), [3.1, 0.0])
    np.testing.assert_allclose(playback.target(there, 5.1), [np.pi, 0.0])  # half way, not 0
    np.testing.assert_allclose(playback.target(there, 5.3), [2 * np.pi - 3.05, 0.0])
    np.testing.assert_allclose(playback.deviation[0], 2 * np.pi - 6.15)


def test_a_turn_is_no_position_limit_of_a_continuous_joint():
    playback = Playback(TURNING, turning([0, 0.1], [[7.0, 0], [7.1, 0]]), speed=1.0)
    np.testing.assert_allclose(playback.target(np.array([7.0 - 2 * np.pi, 0.0]), 0.0), [7.0, 0.0])
    with pytest.raises(PlaybackError, match=r"arm/b is 2\.5 at 0\.00 s; its limits are -2 to 2"):
        Playback(TURNING, turning([0], [[7.0, 2.5]]), speed=1.0)


@pytest.mark.parametrize("speed", [0.0, -1.0, 1.5, float("nan")])
def test_a_speed_outside_its_range_is_refused(speed):
    with pytest.raises(PlaybackError, match="above 0 and at most 1"):
        Playback(BOTH, made([0], [[0, 0, 0]]), speed)


def test_a_position_outside_the_limits_is_named():
    with pytest.raises(PlaybackError, match=r"arm/b is 2\.5 at 0\.10 s; its limits are -2 to 2"):
        Playback(BOTH, made([0, 0.1], [[0, 0, 0], [0, 2.5, 0]]), 1.0)


def test_another_robots_recording_is_refused():
    other = TargetSeries(("arm/x",), np.zeros(1), np.zeros((1, 1)))
    with pytest.raises(
        PlaybackError, match=r"the actions are arm/x; contract 'both' has arm/a, arm/b, base/"
    ):
        Playback(BOTH, other, 1.0)


HUGE = json.dumps({"names": ["a"], "times_s": [0], "targets": [[10**400]]})


def test_a_file_is_read_back_and_an_odd_one_is_named(tmp_path):
    path = tmp_path / "t.json"
    saved = made([0, 0.1], [[0.1, 0, 0], [0.2, 1 / 3, 0]])
    saved.save(path)
    np.testing.assert_array_equal(TargetSeries.load(path).targets, saved.targets)
    for text in ("{", "[]", '{"names": ["a"], "times_s": [0], "targets": [[1, 2]]}', '{"names": 3}', HUGE):
        path.write_text(text)
        with pytest.raises(PlaybackError, match=r"t\.json: "):
            TargetSeries.load(path)


@pytest.mark.parametrize("times_s", [[0.1, 0.2], [0.0, 0.0], [0.0, float("nan")]])
def test_times_that_do_not_increase_from_zero_are_refused(times_s):
    with pytest.raises(PlaybackError, match=r"finite|must begin at 0"):
        made(times_s, np.zeros((2, 3)))
