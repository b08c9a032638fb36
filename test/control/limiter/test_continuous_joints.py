"""Continuous joints: ramps, limits and starts go the shortest way."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.control.limiter.actuation import Actuation
from il_ros.control.limiter.safety import SafetyLimiter
from il_ros.core import contract

TEXT = """
name: t
rate_hz: 20
observations:
  joints: {{topic: j, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 1}}
actions:
  arm: {{topic: c, type: std_msgs/msg/Float64MultiArray, names: [a, b], reference: joints, continuous: [a]{safe},
        limits: {{speed: 2.0, acceleration: {acceleration}{limits}}}}}
"""
TURN, DT = 2 * math.pi, 0.05
KEPT = f", lower: [{-math.pi}, -1], upper: [{math.pi}, 1]"


def parsed(limits="", acceleration=".inf", safe=""):
    return contract.parse(TEXT.format(limits=limits, acceleration=acceleration, safe=safe), "t")


def limiter(limits="", acceleration=".inf"):
    return SafetyLimiter(parsed(limits, acceleration).actions[0])


def driven(it, start, target, steps=400):
    """Return the commands of a ramp from `start` to `target`, up to its end."""
    motion, sent = it.start(start), [start]
    for _ in range(steps):
        motion, _ = it.step(target, motion, DT)
        sent.append(motion.sent)
        if sent[-1] == sent[-2]:
            break
    return np.array(sent)


def test_a_ramp_starts_in_the_turn_in_which_commands_are_kept():
    motion = limiter(KEPT).start((3.2, 0.5))
    assert motion.sent == pytest.approx((3.2 - TURN, 0.5))
    repeated, _ = limiter(KEPT).step((3.2, 0.5), motion, 0.0)  # no time has passed: the start itself is sent
    assert repeated.sent == motion.sent
    assert limiter().start((3.2, 0.5)).sent == (
        3.2,
        0.5,
    )  # without limits commands go on from where the joint is


def test_the_way_over_the_end_of_a_turn_is_short():
    sent = driven(limiter(), (3.12, 0.0), (-3.12, 0.0))
    np.testing.assert_allclose(
        sent[1:], [[TURN - 3.12, 0]] * (len(sent) - 1)
    )  # 0.043 rad at once: 2 rad/s allow 0.1
    assert len(sent) == 3


def test_a_joint_with_an_end_takes_the_long_way():
    sent = driven(limiter(), (0.0, 3.12), (0.0, -3.12))
    assert np.abs(np.diff(sent[:, 1])).sum() == pytest.approx(6.24)


def test_commands_with_a_whole_turn_as_limits_stay_within_it():
    sent = driven(limiter(KEPT), (2.9, 0.0), (-2.9, 0.0))  # 0.483 rad on: five steps of 0.1 rad at most
    np.testing.assert_allclose(sent[:3, 0], [2.9, 3.0, 3.1])
    np.testing.assert_allclose(sent[3:6, 0], [3.2 - TURN, 3.3 - TURN, -2.9], atol=1e-12)
    assert (np.abs(sent[:, 0]) <= math.pi).all()


def test_targets_a_turn_apart_give_one_motion():
    ways = [
        driven(limiter(acceleration="4.0"), (0.3, 0.0), (1.4 + turns * TURN, 0.2))
        for turns in (-2, -1, 0, 1, 5)
    ]
    for way in ways[1:]:
        np.testing.assert_allclose(way, ways[0], atol=1e-9)


def test_a_target_within_reach_passes_bit_for_bit():
    it = limiter()
    motion, acted = it.step((0.1234567, 0.0), it.start((0.1, 0.0)), DT)
    assert (motion.sent, acted) == ((0.1234567, 0.0), [])


def test_a_stream_of_angles_over_the_end_is_followed_without_a_limit_acting():
    it = limiter(acceleration="40.0")
    motion = it.start((3.0, 0.0))
    acted = []
    for index in range(1, 60):  # 0.5 rad/s, reported from -pi to pi
        angle = 3.0 + 0.025 * index
        motion, what = it.step((math.remainder(angle, TURN), 0.0), motion, DT)
        assert math.remainder(motion.sent[0] - angle, TURN) == pytest.approx(0, abs=0.02)
        acted += what[:0] if index < 10 else what
    assert acted == []


@given(
    targets=st.lists(st.floats(-20, 20), min_size=1, max_size=30),
    start=st.floats(-10, 10),
    kept=st.booleans(),
)
def test_speed_and_acceleration_hold_on_the_circle(targets, start, kept):
    it = limiter(KEPT if kept else "", "4.0")
    motion, speed = it.start((start, 0.0)), 0.0
    for target in targets:
        after, _ = it.step((target, 0.0), motion, DT)
        now = math.remainder(after.sent[0] - motion.sent[0], TURN) / DT
        assert abs(now) <= 2.0 + 1e-6
        assert abs(now - speed) <= 4.0 * DT + 1e-6
        motion, speed = after, now
        assert not kept or abs(motion.sent[0]) <= math.pi + 1e-9


def test_a_stop_goes_over_the_end_of_a_turn():
    it = limiter(KEPT, "4.0")
    motion = it.start((3.1, 0.0), (1.0, 0.0))
    motion = it.brake(motion, DT)  # 1.0 - 4 * 0.05 = 0.8 rad/s, 0.04 rad on
    assert motion.sent[0] == pytest.approx(3.14)
    motion = it.brake(motion, DT)
    assert motion.sent[0] == pytest.approx(3.17 - TURN)


@pytest.mark.parametrize("measured", [3.13, -3.13, 3.13 + 5 * TURN])
def test_a_ramp_starts_beside_the_last_command_in_whichever_turn_it_is_measured(measured):
    it = Actuation(parsed())
    assert it.anchor({"arm": (3.12, 0.0)}, from_rest=True) == {}
    assert it.anchor({"arm": (measured, 0.0)}, from_rest=False) == {}
    it.follow((3.14, 0.0), DT)
    assert it.sent[0] == pytest.approx(measured + math.remainder(3.14 - measured, TURN))


def test_a_state_far_from_the_last_command_starts_no_ramp():
    it = Actuation(parsed())
    it.anchor({"arm": (3.0, 0.0)}, from_rest=True)
    failed = it.anchor(
        {"arm": (-1.0, 0.0)}, from_rest=False
    )  # 2.28 rad on; half a second at 2 rad/s is 1 rad
    assert failed["arm"] == "a is at 5.28319, the last command is 3, and the largest difference is 1"


def test_a_hold_keeps_the_angle():
    it = Actuation(parsed(KEPT))
    it.anchor({"arm": (math.pi - 0.01, 0.0)}, from_rest=True)
    it.follow((-math.pi + 0.02, 0.0), DT)
    held = it.sent
    for _ in range(5):
        it.apply_safe(DT)
    assert it.sent == held
