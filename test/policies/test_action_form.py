"""One command has one learnt value, and near commands have near ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.core import contract
from il_ros.policies.action_form import ActionForm

TURN = 2 * np.pi
MIXED = contract.parse(
    """
name: mixed
rate_hz: 10
observations:
  joints: {topic: j, type: sensor_msgs/msg/JointState, names: [a, b, c], max_age_s: 1}
  tool: {topic: tool, type: geometry_msgs/msg/PoseStamped, max_age_s: 1}
actions:
  free: {topic: f, type: std_msgs/msg/Float64MultiArray, names: [a, b], reference: joints, continuous: [a],
         limits: {lower: [-.inf, -1], upper: [.inf, 2], speed: 1}}
  led: {topic: l, type: std_msgs/msg/Float64MultiArray, names: [c], reference: joints, mode: delta, continuous: true,
        limits: {speed: 1}}
  target: {topic: t, type: geometry_msgs/msg/PoseStamped, reference: tool, limits: {speed: 1}}
  base: {topic: v, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 1}}
""",
    "mixed",
)
FORM = ActionForm(MIXED)
SEEN = {"joints": np.array([3.0, 0.5, 3.1]), "tool": np.array([0, 0, 0, 0, 0, 0, -1.0])}
OFFSET = np.array([0, 0, 3.1, 0, 0, 0, 0, 0, 0, 0, 0.0])
COMMAND = np.array([TURN / 6, 0.7, -3.1, 1, 2, 3, 0, 0, 0, 1, 0.25])
LEARNT = [0.7, TURN - 6.2, 1, 2, 3, 0.25, 0.5, np.sqrt(0.75), 1, 0, 0, 0, 1, 0]


def test_numbers_angles_and_orientations_have_their_own_forms():
    assert FORM.names == (
        *("free/b", "led/c", "target/position.x", "target/position.y", "target/position.z", "base/linear.x"),
        *("free/a cos", "free/a sin"),
        *(f"target/orientation.{place}" for place in range(6)),
    )
    np.testing.assert_allclose(FORM.learnt(COMMAND[None], OFFSET[None]), [LEARNT])
    np.testing.assert_array_equal(FORM.ranges[:6], [3, np.inf, np.inf, np.inf, np.inf, np.inf])
    np.testing.assert_array_equal(FORM.ranges[6:], [2] * 8)
    assert FORM.groups.tolist() == [0, 1, 2, 3, 4, 5, 6, 6, 7, 7, 7, 7, 7, 7]


def test_learnt_numbers_become_commands_beside_what_is_measured():
    found = FORM.commands(np.array([LEARNT]), SEEN)[0]
    expected = COMMAND.copy()
    expected[2] = TURN - 3.1  # 3.1 and then 0.08 on
    expected[6:10] *= -1  # the sign of the measured quaternion
    np.testing.assert_allclose(found, expected, atol=1e-12)
    turned = {**SEEN, "joints": np.array([3.0 + 4 * TURN, 0.5, 3.1])}
    assert FORM.commands(np.array([LEARNT]), turned)[0, 0] == pytest.approx(TURN / 6 + 4 * TURN)


@given(
    angle=st.floats(-20, 20),
    turn=st.floats(-3, 3),
    axis=st.sampled_from(range(3)),
    half=st.floats(-1.5, 1.5),
)
def test_commands_survive_the_way_there_and_back(angle, turn, axis, half):
    command = COMMAND.copy()
    command[0], command[2] = angle, 3.1 + turn
    command[6:10] = 0
    command[6 + axis], command[9] = np.sin(half), np.cos(half)
    back = FORM.commands(FORM.learnt(command[None], OFFSET[None]), SEEN)[0]
    assert np.cos(back[0] - angle) == pytest.approx(1)
    assert abs(back[6:10] @ command[6:10]) == pytest.approx(1)
    np.testing.assert_allclose(
        np.delete(back, [0, 6, 7, 8, 9]), np.delete(command, [0, 6, 7, 8, 9]), atol=1e-9
    )


def test_one_rotation_and_one_angle_have_one_value():
    other = COMMAND.copy()
    other[6:10] *= -1
    np.testing.assert_array_equal(
        FORM.learnt(other[None], OFFSET[None]), FORM.learnt(COMMAND[None], OFFSET[None])
    )
    other[0] += TURN
    other[2] -= 3 * TURN
    np.testing.assert_allclose(FORM.learnt(other[None], OFFSET[None]), [LEARNT], atol=1e-9)
    np.testing.assert_allclose(FORM.difference(COMMAND, other), np.zeros(14), atol=1e-9)


def test_a_chunk_goes_on_over_the_end_of_a_turn():
    # one radian a step from 2.1 on, as a driver reports it; the joint was measured at 1.6
    angles = np.array([2.1, 3.1, 4.1 - TURN, 5.1 - TURN, 6.1 - TURN])
    chunk = np.tile(COMMAND, (5, 1))
    chunk[:, 2] = angles
    offset = OFFSET.copy()
    offset[2] = 1.6
    np.testing.assert_allclose(FORM.learnt(chunk, offset[None])[:, 1], [0.5, 1.5, 2.5, 3.5, 4.5])


def test_differences_are_those_of_the_learnt_numbers():
    other = COMMAND.copy()
    other[[0, 1, 2, 3]] = [TURN / 3, 0.5, 3.1, 0.5]
    other[6:10] = [1, 0, 0, 0]  # half a turn about x: its second column is opposite
    expected = [
        0.2,
        TURN - 6.2,
        0.5,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        0,
        2,
        0,
    ]  # cos 60 - cos 120 degrees, equal sines
    np.testing.assert_allclose(FORM.difference(COMMAND, other), expected, atol=1e-12)


def test_numbers_without_a_rotation_are_an_error():
    with pytest.raises(ValueError, match="0 or parallel"):
        FORM.commands(np.array([[*LEARNT[:8], 0, 0, 0, 0, 0, 0]]), SEEN)


def test_the_former_form_is_the_numbers_themselves():
    former = ActionForm(MIXED, former=True)
    assert former.size == 12  # the angle still as two numbers, the quaternion as four
    assert ActionForm.of_size(MIXED, 12) == former
    assert ActionForm.of_size(MIXED, 14) == FORM
    with pytest.raises(ValueError, match="actions has 11 values; required: 14 or 12"):
        ActionForm.of_size(MIXED, 11)


def test_without_angles_and_orientations_nothing_changes():
    own = contract.parse(
        """
name: t
rate_hz: 10
observations:
  joints: {topic: j, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 1}
actions:
  arm: {topic: c, type: std_msgs/msg/Float64MultiArray, names: [b, a], reference: joints, mode: delta,
        limits: {speed: 1}}
""",
        "t",
    )
    form, chunk, offset = ActionForm(own), np.array([[0.1, 7.0], [0.3, 9.0]]), np.array([[0.7, 0.2]])
    np.testing.assert_array_equal(form.learnt(chunk, offset), chunk - offset)
    seen = {"joints": np.array([0.2, 0.7])}
    np.testing.assert_array_equal(form.commands(chunk, seen), chunk + offset)
    np.testing.assert_array_equal(form.difference(chunk, chunk[::-1]), chunk - chunk[::-1])
    assert form.names == own.action_names
