"""Jogging: rates to targets."""

import numpy as np
import pytest

from il_ros.core import contract
from il_ros.teleop.jog import Jog

TICK_NS = 100_000_000  # the contracts' period
AT_ZERO = np.zeros(2)
NOT_MEASURED = np.full(2, np.nan)


def test_a_position_starts_at_the_measured_one_and_moves_by_rate_times_period(arm):
    jog = Jog(arm)
    measured = np.array([0.3, -0.2])
    np.testing.assert_allclose(
        jog.step(np.array([0.5, 0.0]), measured, 5 * TICK_NS), [0.35, -0.2]
    )  # 0.5 rad/s * 0.1 s
    np.testing.assert_allclose(jog.step(np.array([0.5, 0.0]), measured, 6 * TICK_NS), [0.40, -0.2])


def test_a_velocity_is_the_rate_itself_and_needs_no_measurement(base):
    np.testing.assert_allclose(Jog(base).step(np.array([0.4, -1.0]), NOT_MEASURED, TICK_NS), [0.4, -1.0])


def test_the_contracts_limits_stop_the_motion(arm):
    jog = Jog(arm, lead_s=10.0)
    measured = np.array([0.98, 0.0])
    for tick in range(5):
        target = jog.step(np.array([1.0, 0.0]), measured, tick * TICK_NS)
    np.testing.assert_allclose(target, [1.0, 0.0])


def test_the_target_of_a_blocked_joint_leads_by_at_most_lead_s(arm):
    jog = Jog(arm, lead_s=0.5)
    for tick in range(20):
        target = jog.step(np.array([0.4, 0.0]), AT_ZERO, tick * TICK_NS)
    np.testing.assert_allclose(target, [0.2, 0.0])  # 0.4 rad/s * 0.5 s


def test_a_sagging_joint_keeps_its_target(arm):
    jog = Jog(arm, lead_s=0.5)
    jog.step(np.zeros(2), np.array([0.5, 0.0]), 1 * TICK_NS)
    sagging = np.array([0.1, 0.0])
    np.testing.assert_allclose(jog.step(np.array([0.2, 0.0]), sagging, 2 * TICK_NS), [0.5, 0.0])
    np.testing.assert_allclose(jog.step(np.zeros(2), sagging, 3 * TICK_NS), [0.5, 0.0])


def test_after_a_release_it_starts_at_the_measured_position_again(arm):
    jog = Jog(arm)
    jog.step(np.array([1.0, 1.0]), AT_ZERO, TICK_NS)
    jog.release()
    np.testing.assert_allclose(jog.step(np.zeros(2), np.array([-0.7, 0.7]), 2 * TICK_NS), [-0.7, 0.7])


def test_an_unmeasured_position_is_refused_by_name(arm):
    with pytest.raises(ValueError, match=r"arm/b can't be jogged"):
        Jog(arm).step(np.zeros(2), np.array([0.0, np.nan]), TICK_NS)


def test_inputs_are_not_edited(arm):
    jog, rates, measured = Jog(arm), np.array([1.0, 1.0]), np.zeros(2)
    target = jog.step(rates, measured, TICK_NS)
    target[:] = 99.0
    np.testing.assert_allclose(jog.step(rates, measured, 2 * TICK_NS), [0.2, 0.2])
    np.testing.assert_array_equal(measured, [0, 0])


def test_two_close_ticks_move_by_the_time_between_their_stamps(arm):
    jog, rates = Jog(arm), np.array([0.8, 0.0])
    stamps_ms = (1000, 1008, 1100, 1100, 1050, 1200)  # the fourth repeats a stamp, the fifth is late
    moved = [jog.step(rates, AT_ZERO, 1_000_000 * ms)[0] for ms in stamps_ms]
    # one period at the start, then 0.8 rad/s times 8, 92, 0, 0, 100 ms
    np.testing.assert_allclose(moved, [0.08, 0.0864, 0.16, 0.16, 0.16, 0.24])


def test_after_a_gap_the_target_still_leads_by_at_most_lead_s(arm):
    jog, rates = Jog(arm, lead_s=0.5), np.array([0.4, 0.0])
    jog.step(rates, AT_ZERO, TICK_NS)
    np.testing.assert_allclose(jog.step(rates, AT_ZERO, 100 * TICK_NS)[0], 0.2)


def test_a_continuous_joint_is_jogged_over_the_end_of_its_turn():
    text = """
name: t
rate_hz: 10
observations:
  joints: {topic: j, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 1}
actions:
  arm: {topic: c, type: std_msgs/msg/Float64MultiArray, names: [a], reference: joints, continuous: true,
        limits: {lower: -3.1416, upper: 3.1416, speed: 1}}
"""
    jog, angle = Jog(contract.parse(text, "t")), 3.0
    for step in range(1, 11):
        measured = np.array([(angle + np.pi) % (2 * np.pi) - np.pi])
        angle = jog.step(np.array([0.5]), measured, step * TICK_NS)[0]  # the joint follows at once
        assert angle == pytest.approx(3.0 + 0.05 * step)
