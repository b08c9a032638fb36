"""Action groups of a contract: which actions are under one authority."""

import pytest

from il_ros.core import contract
from il_ros.core.contract import ContractError
from il_ros.core.contract_differences import differences

TEXT = """
name: robot
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b, c], max_age_s: 0.1}
actions:
  left: {topic: left, type: std_msgs/msg/Float64MultiArray, names: [a], reference: joints, limits: {speed: 1.0}}
  base: {topic: cmd_vel, type: geometry_msgs/msg/Twist, names: [linear.x, angular.z], limits: {speed: 1.0}}
  hand: {topic: hand, type: std_msgs/msg/Float64MultiArray, names: [c, b], reference: joints, limits: {speed: 1.0}}
"""


def groups(text=""):
    return contract.parse(TEXT + text, "robot.yaml").groups


def test_without_groups_all_actions_are_one():
    (group,) = groups()
    assert (group.name, group.keys, group.columns) == ("all", ("left", "base", "hand"), (0, 1, 2, 3, 4))
    assert not contract.parse(TEXT, "robot.yaml").grouped


def test_a_groups_columns_are_in_the_order_of_the_flat_vector():
    arm, wheels = groups("groups: {arm: [hand, left], wheels: [base]}")
    assert (arm.keys, arm.columns) == (("left", "hand"), (0, 3, 4))
    assert (wheels.keys, wheels.columns) == (("base",), (1, 2))


def test_groups_are_no_part_of_a_contracts_meaning():
    """Bags and policies stay usable when groups are added."""
    with_groups = contract.parse(TEXT + "groups: {arm: [hand, left], wheels: [base]}", "robot.yaml")
    without = contract.parse(TEXT, "robot.yaml")
    assert with_groups.grouped
    assert with_groups.hash == without.hash
    assert with_groups == without
    assert differences(with_groups, without) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groups: {arm: [left, hand]}", r"groups\.base: action 'base' is in no group; .* one of: arm"),
        (
            "groups: {arm: [left, hand], wheels: [base, hand]}",
            r"robot\.yaml:\d+: groups\.wheels: 'hand' is in group 'arm' already; it must be in one",
        ),
        (
            "groups: {arm: [left, hands], wheels: [base]}",
            r"'hands' is not an action; the actions are: left, base, hand",
        ),
        ("groups: {all: [left, base, hand]}", r"groups\.all: 'all' means all actions; choose another name"),
        ("groups: {1st: [left, base, hand]}", r"groups\.1st: a group's name begins with a letter"),
        ("groups: {arm: []}", r"groups\.arm: must be a list of names"),
        ("groups: {}", r"action 'left' is in no group; every action must be in one of: none"),
        ("groups: [left]", r"groups: must be a mapping"),
    ],
)
def test_a_wrong_group_is_an_error_that_names_it(text, message):
    with pytest.raises(ContractError, match=message):
        groups(text)
