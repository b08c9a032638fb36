"""Teleoperation of one action group: which group each device takes."""

import numpy as np
import pytest

from il_ros.core import contract
from il_ros.teleop.jog import Jog
from il_ros.teleop.joy import Control, JoyMap, StopButtons, parse_deadmen
from il_ros.teleop.keyboard import UP, Keyboard, KeyTimes
from il_ros.teleop.leader import parse_joints

TEXT = """
name: two_arms_on_wheels
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [l, r], max_age_s: 0.1}
actions:
  left_arm: {topic: left, type: std_msgs/msg/Float64MultiArray, names: [l], reference: joints, limits: {speed: 2.0}}
  wheels: {topic: cmd_vel, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 1.0}}
  right_arm: {topic: right, type: std_msgs/msg/Float64MultiArray, names: [r], reference: joints, limits: {speed: 4.0}}
groups: {left: [left_arm], right: [right_arm], base: [wheels]}
"""
ROBOT = contract.parse(TEXT, "robot.yaml")
NAMES = ROBOT.action_names  # left_arm/l, wheels/linear.x, right_arm/r
TIMES = KeyTimes(move_s=0.4, silent_s=2.0)


# ---- keyboard -----------------------------------------------------------------------------------------------


def test_a_key_takes_the_group_of_the_joint_that_it_moves():
    keys = Keyboard(ROBOT, TIMES)
    assert keys.rates(0.0) is None
    keys.press(UP, 1.0)
    assert keys.groups(1.1) == ("left",)
    np.testing.assert_allclose(keys.rates(1.1), [0.5, 0.0, 0.0])  # a quarter of 2 rad/s
    keys.press("w", 2.0)
    assert keys.groups(2.1) == ("left", "base")
    assert keys.groups(3.1) == ("base",)  # the left arm's last key was 2.1 s ago
    assert keys.line(3.1).startswith("base: holding")


def test_a_digit_takes_the_group_of_the_selected_joint():
    keys = Keyboard(ROBOT, TIMES)
    keys.press("2", 0.0)
    assert keys.groups(0.0) == ("right",)


def test_m_takes_all_groups_and_x_releases_them():
    keys = Keyboard(ROBOT, TIMES)
    assert keys.press("m", 0.0)
    assert keys.groups(0.0) == ("left", "right", "base")
    keys.press("x", 0.1)
    assert keys.groups(0.1) == ()
    assert keys.rates(0.1) is None


def test_the_speed_keys_and_space_stay_in_the_groups_that_are_driven():
    keys = Keyboard(ROBOT, TIMES)
    keys.press("w", 0.0)
    for key in "+ ":
        keys.press(key, 1.5)
    assert keys.groups(3.0) == ("base",)


# ---- gamepad ------------------------------------------------------------------------------------------------


def test_each_deadman_takes_its_group_and_the_main_one_all():
    pad = JoyMap(
        NAMES,
        4,
        (Control(NAMES[0], 0, 1.0),),
        deadmen=parse_deadmen(["left 6", "right 7"], ["left", "right"]),
    )
    assert pad.held([0] * 8) is None
    assert pad.held([0, 0, 0, 0, 0, 0, 1, 0]) == ("left",)
    assert pad.held([0, 0, 0, 0, 0, 0, 1, 1]) == ("left", "right")
    assert pad.held([0, 0, 0, 0, 1, 0, 1, 0]) == ()  # all
    assert pad.rates([1.0], [0, 0, 0, 0, 0, 0, 1, 0])[0] == pytest.approx(1.0)
    assert pad.rates([1.0], [0] * 8) is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["arm 6"], "deadmen: 'arm' is not a group of the contract; it has: left, right"),
        (["left six"], "deadmen: 'left six' must be 'GROUP BUTTON', such as 'left 6'"),
        (["left 6", "right 6"], "deadmen: button 6 is of group 'left' already"),
    ],
)
def test_a_wrong_deadman_is_named(lines, message):
    with pytest.raises(ValueError, match=message):
        parse_deadmen(lines, ["left", "right"])


def test_a_deadman_of_a_group_is_no_button_of_another_use():
    with pytest.raises(ValueError, match="button 4 is deadman_button, which drives all groups"):
        JoyMap(NAMES, 4, (Control(NAMES[0], 0, 1.0),), deadmen={4: "left"})
    pad = JoyMap(NAMES, 4, (Control(NAMES[0], 0, 1.0),), deadmen={6: "left"})
    with pytest.raises(ValueError, match="button 6 is the deadman of 'left' already"):
        StopButtons(6, 10).require_free(pad)


# ---- jog ----------------------------------------------------------------------------------------------------


def test_an_arm_that_is_not_measured_does_not_keep_the_other_from_being_jogged():
    jog = Jog(ROBOT)
    target = jog.step(np.array([1.0, 0.0, 0.0]), np.array([0.2, np.nan, np.nan]), 1_000_000_000, ("left",))
    assert target[0] == pytest.approx(0.25)
    with pytest.raises(ValueError, match="right_arm/r can't be jogged: it is not measured"):
        jog.step(np.array([1.0, 0.0, 0.0]), np.array([0.2, np.nan, np.nan]), 1_050_000_000)


def test_an_arm_that_is_taken_later_starts_where_it_is_measured_then():
    jog = Jog(ROBOT)
    rates, second_ns = np.array([1.0, 0.0, 1.0]), 1_000_000_000
    jog.step(rates, np.array([0.0, np.nan, 0.0]), second_ns, ("left",))
    target = jog.step(rates, np.array([0.05, np.nan, 0.7]), second_ns + 50_000_000, ("left", "right"))
    assert target[2] == pytest.approx(0.05)  # the measured position of the tick before, and one step


# ---- leader arm ---------------------------------------------------------------------------------------------


def test_a_leader_may_have_the_joints_of_one_group():
    (joint,) = parse_joints(["left_arm/l leader"], NAMES, ROBOT.groups)
    assert (joint.action, joint.joint) == ("left_arm/l", "leader")


def test_a_part_of_a_groups_joints_is_refused():
    two = contract.parse(TEXT.replace("names: [l], ref", "names: [l, r], ref"), "robot.yaml")
    with pytest.raises(ValueError, match="no line for 'left_arm/r'; every action of its group needs one"):
        parse_joints(["left_arm/l leader"], two.action_names, two.groups)


def test_without_any_line_every_action_is_missing():
    with pytest.raises(ValueError, match="no line for 'left_arm/l'; every action needs one"):
        parse_joints([], NAMES, ROBOT.groups)
