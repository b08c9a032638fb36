"""Joints without end: declared in the contract, and subtracted the shortest way."""

import numpy as np
import pytest

from il_ros.core import actions, contract
from il_ros.core.strict_yaml import YamlError

TEXT = """
name: t
rate_hz: 10
observations:
  joints: {{topic: j, type: sensor_msgs/msg/JointState, names: [a, b], fields: [velocity, position],
           max_age_s: 1{seen}}}
actions:
  arm: {{topic: c, type: std_msgs/msg/Float64MultiArray, names: [b, a], reference: joints{done},
         limits: {{speed: 1{limits}}}}}
"""
TURN = 2 * np.pi


def parsed(seen="", done="", limits=""):
    return contract.parse(TEXT.format(seen=seen, done=done, limits=limits), "t")


@pytest.mark.parametrize(
    "own",
    [
        parsed(done=", continuous: [a]"),
        parsed(seen=", continuous: [a]"),
        parsed(seen=", continuous: [a]", done=", continuous: [a]"),
    ],
)
def test_a_joint_is_declared_at_the_action_or_at_the_observation_or_both(own):
    assert own.actions[0].continuous == ("a",)
    assert own.observations[0].continuous == ("a",)
    np.testing.assert_array_equal(own.turns, [0, TURN])
    np.testing.assert_array_equal(own.observations[0].turns, [0, 0, TURN, 0])  # velocities, then positions
    assert own.hash == parsed(done=", continuous: [a]").hash


def test_true_declares_all_joints_and_false_none():
    np.testing.assert_array_equal(parsed(done=", continuous: true").turns, [TURN, TURN])
    assert parsed(done=", continuous: false").turns.tolist() == [0, 0]
    assert parsed(done=", continuous: false").hash == parsed().hash  # as of version 0.1.0
    assert parsed(done=", continuous: true").hash != parsed().hash


def test_a_turn_is_in_the_joints_unit():
    assert parsed(done=", continuous: true, unit: deg").turns.tolist() == [360, 360]
    assert parsed(done=", continuous: true, unit: rad").turns.tolist() == [TURN, TURN]


@pytest.mark.parametrize(
    "limits",
    [
        ", lower: -3.1416, upper: 3.1416",
        ", lower: 0, upper: 6.28319",
        ", lower: [-1, -.inf], upper: [1, .inf]",
    ],
)
def test_limits_of_a_continuous_joint_are_a_turn_or_absent(limits):
    names = "[a]" if "inf" in limits else "true"
    assert parsed(done=f", continuous: {names}", limits=limits).actions[0].limits.speed == (1, 1)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"done": ", continuous: [c]"}, r"actions.arm.continuous: 'c' is not among the names: b, a"),
        ({"done": ", continuous: 1"}, "actions.arm.continuous: must be true, false or a list of names"),
        ({"done": ", continuous: [a, a]"}, "'a' is listed twice"),
        ({"done": ", continuous: [a], quantity: velocity"}, "is for positions; a velocity has no end anyway"),
        (
            {"done": ", continuous: [a]", "limits": ", lower: -3, upper: 3"},
            r"limits.lower: 'a' is continuous, so its limits are a whole turn \(6.28319\) apart, or -.inf and",
        ),
        (
            {"done": ", continuous: [a]", "limits": ", lower: -3"},
            "'a' is continuous, so its limits are a whole turn",
        ),
        ({"seen": ", continuous: [c]"}, "observations.joints.continuous: 'c' is not among the names: a, b"),
    ],
)
def test_an_invalid_declaration_is_named(words, error):
    with pytest.raises(YamlError, match=error):
        parsed(**words)


def test_only_positions_of_an_observation_can_be_continuous():
    text = TEXT.format(seen=", continuous: true", done="", limits="").replace(
        "[velocity, position]", "[velocity]"
    )
    with pytest.raises(YamlError, match=r"continuous: is for positions, but fields are \['velocity'\]"):
        contract.parse(text, "t")


def test_a_pose_or_a_twist_has_no_continuous_joints():
    text = TEXT.format(seen="", done=", continuous: true", limits="")
    text = text.replace(
        "std_msgs/msg/Float64MultiArray, names: [b, a], reference: joints", "geometry_msgs/msg/Twist"
    )
    with pytest.raises(YamlError, match="continuous: unknown key"):
        contract.parse(text, "t")


def test_differences_are_the_shortest_way():
    found = actions.shortest(np.array([6.2, -6.2, 3.0, 100.0]), np.array([TURN, TURN, TURN, 0.0]))
    np.testing.assert_allclose(found, [6.2 - TURN, TURN - 6.2, 3.0, 100.0])
    np.testing.assert_allclose(actions.shortest(np.array([725.0]), np.array([360.0])), [5.0])


def test_a_delta_goes_the_shortest_way_and_back():
    own = parsed(done=", continuous: [a], mode: delta")
    seen = {"joints": np.array([0, 0, 3.1, 3.1])}
    learnt = actions.relative(own, np.array([-3.1, -3.1]), seen)  # b, a
    np.testing.assert_allclose(learnt, [-6.2, TURN - 6.2])
    np.testing.assert_allclose(actions.absolute(own, learnt, seen), [-3.1, TURN - 3.1])  # the same angle


def test_two_commands_of_one_pose_do_not_differ():
    text = """
name: t
rate_hz: 10
observations:
  tool: {topic: tool, type: geometry_msgs/msg/PoseStamped, max_age_s: 1}
actions:
  target: {topic: target, type: geometry_msgs/msg/PoseStamped, reference: tool, limits: {speed: 1}}
"""
    own = contract.parse(text, "t")
    command = np.array([1, 2, 3, 0.6, 0, 0, 0.8])
    other = np.array([1, 2, 2.5, -0.6, 0, 0, -0.8])
    np.testing.assert_allclose(actions.command_difference(own, command, other), [0, 0, 0.5, 0, 0, 0, 0])
    assert other[3] == -0.6  # an input is not edited
    turning = parsed(done=", continuous: [a]")
    found = actions.command_difference(turning, np.array([1.0, 3.1]), np.array([0.5, -3.1]))
    np.testing.assert_allclose(found, [0.5, 6.2 - TURN])
