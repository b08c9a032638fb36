"""Where a ramp may start. The joint: limits -1 to 1 rad, 2 rad/s; 0.1 s and 0.5 s are 0.2 rad and 1 rad."""

import dataclasses
import math

import pytest

from il_ros.control.limiter.safety import LARGEST, Motion, SafetyLimiter
from il_ros.control.limiter.starts import StartTolerance, start_problem, within
from il_ros.core.specs import POSE, ActionSpec, Limits

INF = math.inf
TOLERANCE = StartTolerance(outside_s=0.1, from_command_s=0.5)
HALF = math.sqrt(0.5)  # cosine of 45 degrees: a turn by 90 degrees is (.., HALF) with HALF on the axis


def joint(lower=-1.0, upper=1.0):
    limits = Limits((lower,), (upper,), (2.0,), (INF,))
    spec = ActionSpec(
        key="arm", topic="c", type="std_msgs/msg/Float64MultiArray", names=("joint1",), limits=limits
    )
    return SafetyLimiter(spec)


def pose():
    names = ("position.x", "position.y", "position.z", *(f"orientation.{axis}" for axis in "xyzw"))
    limits = Limits((-INF,) * 7, (INF,) * 7, (2.0,) * 7, (INF,) * 7)
    return SafetyLimiter(ActionSpec(key="tool", topic="pose", type=POSE, names=names, limits=limits))


def problem(limiter, state, last=None, tolerance=TOLERANCE):
    last = None if last is None else Motion(last, (0.0,) * len(last))
    return start_problem(limiter, state, last, tolerance)


def test_a_state_within_the_limits_or_a_little_outside_starts_a_ramp():
    for position in (0.0, 1.0, -1.0, 1.19, -1.19):
        assert problem(joint(), (position,)) == ""


def test_a_state_far_outside_the_limits_starts_none():
    assert problem(joint(), (1.21,)) == "joint1 is at 1.21, outside its limits -1 to 1 by more than 0.2"
    assert "joint1 is at -1e+06" in problem(joint(), (-1e6,))
    assert problem(joint(), (math.nan,))


def test_without_position_limits_an_absurd_state_starts_no_ramp():
    assert problem(joint(-INF, INF), (1e6,)) == ""
    assert problem(joint(-INF, INF), (1e308,)).startswith("joint1 is at 1e+308, outside its limits -1e+09 to")
    assert LARGEST == 1e9


def test_a_state_far_from_the_last_command_starts_no_ramp():
    assert problem(joint(), (0.69,), (-0.3,)) == ""
    assert problem(joint(), (0.71,), (-0.3,)) == (
        "joint1 is at 0.71, the last command is -0.3, and the largest difference is 1"
    )


def test_with_zero_tolerance_only_states_within_the_limits_start_a_ramp():
    none = StartTolerance(0.0, 0.0)
    assert problem(joint(), (1.0,), (1.0,), none) == ""
    assert problem(joint(), (1.001,), None, none)
    assert problem(joint(), (0.999,), (1.0,), none)


def test_an_orientation_is_compared_as_a_rotation():  # 90 degrees are 1.57 rad, 2 rad/s allow 1 rad
    here = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert problem(pose(), (0.0, 0.0, 0.0, 0.0, 0.0, HALF, HALF), here) == (
        "the orientation is 1.5708 rad from the last command, and the largest difference is 1"
    )
    assert problem(pose(), (0.0, 0.0, 0.0, 0.0, 0.0, math.sin(0.49), math.cos(0.49)), here) == ""
    assert problem(pose(), (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0), here) == ""  # -q is the same rotation


def test_a_measured_quaternion_that_is_not_a_rotation_starts_no_ramp():
    assert problem(pose(), (0.0,) * 7) == "orientation.x: the quaternion's norm is 0, expected 1 (within 0.1)"


def test_within_moves_a_first_target_to_the_limit():
    assert within(joint(), (1.1,)) == (1.0,)
    assert within(joint(), (0.3,)) == (0.3,)


@pytest.mark.parametrize(
    ("name", "values"), [("start_tolerance", (-1.0, 0.5)), ("following_error", (0.1, math.nan))]
)
def test_a_tolerance_below_zero_is_refused(name, values):
    with pytest.raises(ValueError, match=f"{name} must be 0 s or more"):
        StartTolerance(*values)


def test_a_state_that_looks_like_degrees_is_said_to():
    spec = dataclasses.replace(joint().spec, unit="rad")
    assert problem(SafetyLimiter(spec), (57.3,)).endswith("by more than 0.2; it looks like degrees")
