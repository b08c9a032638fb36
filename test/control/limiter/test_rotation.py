"""Rotations: turns by hand, and the limits of angular speed and acceleration of a pose."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from il_ros.control.limiter import rotation
from il_ros.control.limiter.rotation import RotationLimits, turn_between, turned, unit
from il_ros.control.limiter.safety import Motion, SafetyLimiter, problem, quaternion_slices
from il_ros.core.specs import POSE, ActionSpec, Limits

INF = math.inf
DT = 0.05
ONE = (0.0, 0.0, 0.0, 1.0)
HALF = math.sqrt(0.5)
NAMES = ("position.x", "position.y", "position.z", *(f"orientation.{axis}" for axis in "xyzw"))


def about(axis, angle):
    """Return the quaternion of a turn about axis 0, 1 or 2."""
    parts = [0.0, 0.0, 0.0, math.cos(angle / 2)]
    parts[axis] = math.sin(angle / 2)
    return tuple(parts)


def pose(speed=0.5, acceleration=INF, lower=-INF, upper=INF):
    limits = Limits((lower,) * 7, (upper,) * 7, (speed,) * 7, (acceleration,) * 7)
    return SafetyLimiter(ActionSpec(key="tool", topic="pose", type=POSE, names=NAMES, limits=limits))


def angle_between(start, end):
    """Return the angle by the definition: twice the arc cosine of the scalar product, here by the arc sine."""
    chord = min(np.linalg.norm(np.subtract(start, end)), np.linalg.norm(np.add(start, end)))
    return 4.0 * math.asin(min(1.0, chord / 2.0))


# ---- by hand ---------------------------------------------------------------------------------------------


def test_a_turn_by_90_degrees_about_z():
    assert turn_between(ONE, (0.0, 0.0, HALF, HALF)) == pytest.approx((0.0, 0.0, math.pi / 2))
    assert turned(ONE, (0.0, 0.0, math.pi / 2)) == pytest.approx((0.0, 0.0, HALF, HALF))


def test_turns_are_in_the_frame_of_the_pose():  # first 90 degrees about z, then 90 degrees about x
    both = turned(about(2, math.pi / 2), (math.pi / 2, 0.0, 0.0))
    assert both == pytest.approx((0.5, -0.5, 0.5, 0.5))


def test_the_short_way_round_is_taken():
    minus = tuple(-part for part in about(0, 0.2))
    assert turn_between(ONE, minus) == pytest.approx((0.2, 0.0, 0.0))


def test_an_orientation_turns_at_its_angular_speed():  # 0.5 rad/s * 0.05 s = 0.025 rad
    here = pose().start((0.0, 0.0, 0.0, *ONE))
    motion, acted = pose().step((0.0, 0.0, 0.0, *about(2, 1.0)), here, DT)
    assert motion.sent[3:] == pytest.approx(about(2, 0.025), abs=1e-12)
    assert motion.speed[3:] == pytest.approx((0.0, 0.0, 0.5, 0.0))
    assert acted == ["orientation speed"]


def test_an_orientation_accelerates_from_rest():  # 2 rad/s^2 * 0.05 s * 0.05 s = 0.005 rad, then 0.015
    limiter, sent = pose(acceleration=2.0), []
    motion = limiter.start((0.0, 0.0, 0.0, *ONE))
    for _ in range(2):
        motion, acted = limiter.step((0.0, 0.0, 0.0, *about(0, 1.0)), motion, DT)
        sent.append(angle_between(ONE, motion.sent[3:]))
    assert sent == pytest.approx([0.005, 0.015], abs=1e-9)
    assert acted == ["orientation acceleration"]


def test_a_rotating_pose_brakes_at_its_acceleration():  # 0.4 rad/s at 2 rad/s^2: 0.3, 0.2, 0.1, 0
    limiter = pose(acceleration=2.0)
    motion = limiter.start((0.0, 0.0, 0.0, *ONE), (0.0, 0.0, 0.0, 0.0, 0.4, 0.0, 0.0))
    angles = []
    for _ in range(5):
        motion = limiter.brake(motion, DT)
        angles.append(angle_between(ONE, motion.sent[3:]))
    assert angles == pytest.approx(np.cumsum([0.3, 0.2, 0.1, 0.0, 0.0]) * DT, abs=1e-9)


def test_a_target_within_reach_passes_bit_for_bit():
    target = (0.01, 0.0, 0.0, *about(1, 0.02))
    motion, acted = pose().step(target, pose().start((0.0, 0.0, 0.0, *ONE)), DT)
    assert (motion.sent, acted) == (target, [])


def test_a_stream_within_the_limits_passes_bit_for_bit():  # 0.3 (1 - cos t) rad: at most 0.3 rad/s, 0.3 rad/s^2
    limiter = pose(acceleration=0.4)
    motion = limiter.start((0.0, 0.0, 0.0, *ONE))
    for k in range(200):
        target = (0.0, 0.0, 0.0, *about(2, 0.3 * (1.0 - math.cos(k * DT))))
        motion, acted = limiter.step(target, motion, DT)
        assert (motion.sent, acted) == (target, [])


def test_a_resting_target_is_reached_without_overshoot():
    limiter, target = pose(speed=1.0, acceleration=2.0), about(0, 2.0)
    motion = limiter.start((0.0, 0.0, 0.0, *ONE))
    left = []
    for _ in range(80):
        motion, _ = limiter.step((0.0, 0.0, 0.0, *target), motion, DT)
        left.append(angle_between(motion.sent[3:], target))
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(left))
    assert left[-1] == 0.0  # 2 rad at 1 rad/s and 2 rad/s^2 take 2.5 s, 50 steps


def test_a_slightly_long_quaternion_is_normalised():
    long = tuple(1.05 * part for part in about(1, 0.02))
    motion, _ = pose().step((0.0, 0.0, 0.0, *long), pose().start((0.0, 0.0, 0.0, *ONE)), DT)
    assert math.hypot(*motion.sent[3:]) == pytest.approx(1.0, abs=1e-12)
    assert unit(ONE) == ONE
    start = pose().start((0.0, 0.0, 0.0, *long))  # a measured one, too
    assert math.hypot(*start.sent[3:]) == pytest.approx(1.0, abs=1e-12)


def test_an_orientation_stays_where_a_position_limit_of_its_numbers_is_reached():
    limiter = pose(lower=-1.0, upper=1.0)
    motion, acted = limiter.step((0.0, 0.0, 0.0, *about(2, 0.02)), limiter.start((0.0, 0.0, 0.0, *ONE)), DT)
    assert acted == []
    tight = pose(lower=-0.001, upper=2.0)
    motion, acted = tight.step((0.0, 0.0, 0.0, *about(2, -0.02)), tight.start((0.0, 0.0, 0.0, *ONE)), DT)
    assert (motion.sent[3:], acted) == (ONE, ["orientation position"])


def test_zero_short_and_long_quaternions_are_not_commands():
    rest = (0.0, 0.0, 0.0)
    places = quaternion_slices([pose().spec])
    assert places == [slice(3, 7)]
    assert problem((*rest, *ONE), NAMES, places) is None
    for bad, norm in (((0.0,) * 4, "0"), ((0.0, 0.0, 0.0, 0.004), "0.004"), ((0.0, 2.0, 0.0, 0.0), "2")):
        assert problem((*rest, *bad), NAMES, places) == (
            f"orientation.x: the quaternion's norm is {norm}, expected 1 (within 0.1)"
        )


# ---- properties ------------------------------------------------------------------------------------------

PART = st.floats(-1.0, 1.0)
QUATERNION = (
    st.tuples(PART, PART, PART, PART)
    .filter(lambda q: math.hypot(*q) > 0.1)
    .map(lambda q: tuple(part / math.hypot(*q) for part in q))
)
STEP = st.tuples(QUATERNION, st.sampled_from([0.0, 1e-3, 0.013, 0.05]), st.booleans())


@given(QUATERNION, QUATERNION)
def test_turning_by_the_turn_between_two_orientations_leads_from_one_to_the_other(start, end):
    vector = turn_between(start, end)
    assert math.hypot(*vector) <= math.pi + 1e-9
    assert math.hypot(*vector) == pytest.approx(angle_between(start, end), abs=1e-6)
    assert angle_between(turned(start, vector), end) < 1e-7


def broken_limit(speed, acceleration, start, steps):
    """Apply the steps; return the first limit that was violated, measured on the rotations alone."""
    limiter = pose(speed, acceleration)
    motion, before = limiter.start((0.0, 0.0, 0.0, *start)), (0.0, 0.0, 0.0)
    for target, dt_s, brakes in steps:
        last = motion.sent[3:]
        motion = (
            limiter.brake(motion, dt_s) if brakes else limiter.step((0.0, 0.0, 0.0, *target), motion, dt_s)[0]
        )
        sent = motion.sent[3:]
        if abs(math.hypot(*sent) - 1.0) > 1e-9:
            return "norm"
        if angle_between(last, sent) > speed * dt_s * (1 + 1e-6) + 1e-7:
            return "speed"
        if dt_s > 0:
            velocity = tuple(part / dt_s for part in turn_between(last, sent))
            if math.dist(velocity, before) > acceleration * dt_s * (1 + 1e-6) + 1e-7 / dt_s:
                return "acceleration"
            before = velocity
    return None


@settings(max_examples=300, deadline=None)
@given(st.floats(0.05, 20.0), st.floats(0.05, 100.0) | st.just(INF), QUATERNION, st.lists(STEP, max_size=40))
def test_no_sequence_of_orientations_violates_a_limit(speed, acceleration, start, steps):
    assert broken_limit(speed, acceleration, start, steps) is None


@settings(max_examples=100, deadline=None)
@given(QUATERNION, QUATERNION, st.tuples(PART, PART, PART))
def test_any_resting_orientation_is_reached_from_any_motion(start, target, velocity):
    limits = RotationLimits(speed=1.0, acceleration=4.0)
    sent, speed, before = start, limits.start(velocity), None
    for _ in range(200):
        wanted = rotation.same_sign(target, sent)
        sent, speed, _ = limits.step(wanted, before, sent, speed, DT)
        before = wanted
    assert angle_between(sent, target) < 1e-9


def straight(self, target, motion, dt_s):
    """Move each number of the pose, as if the quaternion were four axes."""
    return Motion(
        tuple(p + 0.02 * (t - p) for t, p in zip(target, motion.sent, strict=True)), motion.speed, target
    ), []


def twice(quaternion, vector):
    return unit(tuple(a + b for a, b in zip(quaternion, (*vector, 0.0), strict=True)))


BUGS = {
    "limits the numbers of the quaternion": (SafetyLimiter, "_pose", straight, "norm"),
    "ignores the limits": (rotation, "_shortened", lambda vector, most: tuple(vector), "speed"),
    "turns by twice the angle": (rotation, "turned", twice, "acceleration"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_the_oracle_detects_a_limiter_that(monkeypatch, bug):
    where, name, planted, caught = BUGS[bug]
    steps = [(about(2, 3.0), DT, False)] * 20 + [(about(0, 3.0), DT, False)] * 20
    assert broken_limit(0.5, 2.0, ONE, steps) is None
    monkeypatch.setattr(where, name, planted)
    assert broken_limit(0.5, 2.0, ONE, steps) == caught
