"""Command state of several action groups: some follow a target while the others behave safely."""

import math

import pytest

from il_ros.control.limiter.actuation import Actuation
from il_ros.core import contract

TEXT = """
name: arm_and_base
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 0.2}
actions:
  arm: {topic: arm, type: std_msgs/msg/Float64MultiArray, names: [a], reference: joints, safe: stop,
        limits: {lower: -2.0, upper: 2.0, speed: 1.0, acceleration: 4.0}}
  base: {topic: cmd_vel, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 1.0}}
  hand: {topic: hand, type: std_msgs/msg/Float64MultiArray, names: [b], reference: joints, limits: {speed: 1.0}}
"""
DT_S = 0.05


@pytest.fixture
def it():
    return Actuation(contract.parse(TEXT, "test"))


def anchored(it):
    assert it.anchor({"arm": (0.0,), "hand": (0.5,)}, from_rest=True) == {}
    return it


def test_a_key_that_was_never_started_is_not_sent(it):
    assert it.sent is None
    assert it.anchor({"hand": (0.5,)}, from_rest=True, keys=["hand"]) == {}
    assert it.sent[2] == 0.5
    assert [math.isnan(value) for value in it.sent] == [True, True, False]
    assert it.follow((9.0, 9.0, 0.52), DT_S, ["hand"]) == []
    assert it.sent[2] == 0.52
    assert math.isnan(it.sent[0])


def test_a_key_that_follows_must_be_started(it):
    it.anchor({"hand": (0.5,)}, from_rest=True, keys=["hand"])
    with pytest.raises(ValueError, match="arm: the start of the ramp is not known"):
        it.follow((0.0, 0.0, 0.5), DT_S)


def test_what_does_not_follow_behaves_safely(it):
    """The hand holds, the base stops at once, the arm (`safe: stop`) brakes at 4 rad/s^2: 0.2 rad/s less a step."""
    anchored(it)
    for _ in range(4):  # the arm speeds up by 0.2 rad/s a step: 0.2, 0.4, 0.6, 0.8
        it.follow((2.0, 0.7, 0.5), DT_S)
    before = it.sent[0]
    assert it.sent[1] == 0.7
    limited = it.follow((9.0, 9.0, 0.9), DT_S, ["hand"])
    assert it.sent == pytest.approx((before + 0.6 * DT_S, 0.0, 0.55))
    assert limited == ["hand/b speed"]


def test_in_an_emergency_what_follows_no_target_stops(it):
    anchored(it).follow((0.0, 0.7, 0.5), DT_S)
    it.follow((0.0, 0.7, 9.0), DT_S, ["arm"], emergency=True)
    assert it.sent == (0.0, 0.0, 0.5)


def test_a_new_start_of_one_key_leaves_the_others_alone(it):
    anchored(it).follow((0.01, 0.3, 0.52), DT_S)
    assert it.anchor({"arm": (0.2,), "hand": (0.9,)}, from_rest=False, keys=["arm"]) == {}
    assert it.sent == (0.2, 0.3, 0.52)


def test_a_key_that_cannot_start_is_named_and_changes_nothing(it):
    assert it.anchor({}, from_rest=True, keys=["arm"]) == {"arm": ""}
    assert it.sent is None
