import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from il_ros.control.limiter import profile, safety
from il_ros.control.limiter.safety import Motion, SafetyLimiter, problem
from il_ros.core.specs import POSE, ActionSpec, Limits

INF = math.inf
DT = 0.05


def action(lower=-1.0, upper=1.0, speed=0.5, acceleration=INF, size=2, **other):
    limits = Limits(*((value,) * size for value in (lower, upper, speed, acceleration)))
    names = tuple(f"joint{i + 1}" for i in range(size))
    given = {"key": "arm", "topic": "arm/commands", "type": "std_msgs/msg/Float64MultiArray", **other}
    return ActionSpec(names=names, limits=limits, **given)


def twist(**limits):
    return action(quantity="velocity", safe="zero", **limits)


def still(*values):
    return Motion(values, (0.0,) * len(values))


def run(limiter, motion, targets, dt_s=DT):
    sent = []
    for target in targets:
        motion, _ = limiter.step(target, motion, dt_s)
        sent.append(motion.sent)
    return np.array(sent)


# ---- by hand ---------------------------------------------------------------------------------------------


def test_slowest_joint_sets_the_pace():  # 0.5 rad/s * 0.05 s = 0.025 rad for the far one, half for the other
    motion, acted = SafetyLimiter(action()).step((0.1, 0.05), still(0.0, 0.0), DT)
    np.testing.assert_allclose(motion.sent, [0.025, 0.0125])
    assert acted == ["joint1 speed", "joint2 speed"]


def test_only_the_joint_beyond_its_limit_is_named():
    _, acted = SafetyLimiter(action()).step((0.1, 0.01), still(0.0, 0.0), DT)
    assert acted == ["joint1 speed"]


def test_a_target_within_the_limits_passes_bit_for_bit():
    target = (0.1 + 0.2 - 0.28, -0.0)
    motion, acted = SafetyLimiter(action(acceleration=50.0)).step(target, still(0.0, 0.0), DT)
    assert motion.sent == target
    assert acted == []


def test_a_stream_within_the_limits_passes_bit_for_bit():
    time = np.arange(200) * DT  # 0.3 (1 - cos t): from rest, 0.3 rad/s, 0.3 rad/s^2 at most
    wave = np.outer(1.0 - np.cos(time), [0.3, -0.1])
    np.testing.assert_array_equal(run(SafetyLimiter(action(acceleration=0.4)), still(0.0, 0.0), wave), wave)


def test_from_rest_the_first_step_is_what_the_acceleration_allows():  # 2 rad/s^2 * 0.05 s * 0.05 s
    motion, acted = SafetyLimiter(action(acceleration=2.0, size=1)).step((0.5,), still(0.0), DT)
    np.testing.assert_allclose(motion.sent, [0.005])
    np.testing.assert_allclose(motion.speed, [0.1])
    assert acted == ["joint1 acceleration"]


def test_a_target_beyond_a_position_limit_is_approached_and_never_passed():
    sent = run(SafetyLimiter(action(acceleration=2.0, size=1)), still(0.9), [(5.0,)] * 60)
    assert sent.max() == 1.0
    assert sent[-1] == 1.0


def test_a_joint_at_its_limit_does_not_stop_the_others():
    motion, acted = SafetyLimiter(action()).step((9.0, 0.02), still(1.0, 0.0), DT)
    assert motion.sent == (1.0, 0.02)
    assert acted == ["joint1 position"]


def test_a_far_target_is_reached_without_overshoot():
    sent = run(SafetyLimiter(action(acceleration=2.0, size=1)), still(-0.5), [(0.5,)] * 100)
    assert sent.max() <= 0.5
    assert sent[-1] == 0.5
    # bang-bang would take 1.0 / 0.5 + 0.5 / 2 = 2.25 s = 45 steps; discrete braking is a little slower
    assert np.flatnonzero(sent[:, 0] == 0.5)[0] <= 52


def test_a_joint_that_lags_behind_a_moving_target_catches_up():
    moving = [(0.01 * step - 0.8,) for step in range(160)]  # 0.2 rad/s, and 0.2 rad away at first
    sent = run(SafetyLimiter(action(acceleration=2.0, size=1)), still(-1.0), moving)
    np.testing.assert_allclose(sent[-1], moving[-1], atol=1e-9)


def test_a_start_outside_the_limits_returns_at_limited_speed():
    sent = run(SafetyLimiter(action(size=1)), still(1.1), [(2.0,)] * 10)
    np.testing.assert_allclose(sent[:4, 0], [1.075, 1.05, 1.025, 1.0])
    assert sent[-1] == 1.0


def test_braking_uses_the_full_acceleration():  # 0.4 rad/s at 2 rad/s^2: 0.3, 0.2, 0.1, 0 rad/s
    limiter = SafetyLimiter(action(acceleration=2.0, size=1))
    motion = limiter.start((0.0,), (0.4,))
    sent = []
    for _ in range(6):
        motion = limiter.brake(motion, DT)
        sent.append(motion.sent[0])
    np.testing.assert_allclose(sent, np.cumsum([0.3, 0.2, 0.1, 0.0, 0.0, 0.0]) * DT, atol=1e-12)


def test_a_ramp_starts_with_a_speed_that_can_be_stopped():  # sqrt(2 * 2 rad/s^2 * 0.01 rad) = 0.2 rad/s
    motion = SafetyLimiter(action(acceleration=2.0, size=1)).start((0.99,), (0.5,))
    np.testing.assert_allclose(motion.speed, [0.2])


def test_a_step_of_zero_seconds_moves_nothing():
    motion = still(0.1, 0.2)
    assert SafetyLimiter(action()).step((1.0, 1.0), motion, 0.0) == (motion, [])
    assert SafetyLimiter(action()).brake(motion, 0.0).sent == motion.sent


def test_a_twist_without_an_acceleration_limit_needs_no_time_to_change():
    free, limited = SafetyLimiter(twist()), SafetyLimiter(twist(acceleration=4.0))
    assert free.step((0.4, -0.9), still(-0.1, 0.2), 0.0)[0].sent == (0.4, -0.5)  # 0.5 m/s at most
    assert free.brake(still(-0.1, 0.2), 0.0).sent == (0.0, 0.0)
    assert limited.step((0.4, -0.9), still(-0.1, 0.2), 0.0)[0].sent == (-0.1, 0.2)
    assert limited.brake(still(-0.1, 0.2), 0.0).sent == (-0.1, 0.2)


def test_a_twist_accelerates_along_a_straight_line():  # 4 m/s^2 * 0.05 s = 0.2 of the target 0.4
    motion, acted = SafetyLimiter(twist(acceleration=4.0)).step((0.4, 0.1), still(0.0, 0.0), DT)
    np.testing.assert_allclose(motion.sent, [0.2, 0.05])
    assert acted == ["joint1 acceleration"]


def test_a_twist_is_cut_to_its_speed_and_its_range():
    limiter = SafetyLimiter(twist(lower=-0.1, upper=1.0, speed=0.5))
    motion, acted = limiter.step((0.8, -0.4), still(0.0, 0.0), DT)
    assert motion.sent == (0.5, -0.1)
    assert acted == ["joint1 speed", "joint2 range"]


def test_zero_is_immediate_and_stop_obeys_the_acceleration():
    limiter = SafetyLimiter(twist(acceleration=4.0))
    assert limiter.zero(still(0.5, -0.1)).sent == (0.0, 0.0)
    np.testing.assert_allclose(limiter.brake(still(0.5, -0.1), DT).sent, [0.3, 0.0])


def test_a_pose_turns_the_short_way():  # q and -q are the same rotation
    limits = Limits((-1.0,) * 7, (1.0,) * 7, (1.0,) * 7, (INF,) * 7)
    names = ("position.x", "position.y", "position.z", *(f"orientation.{axis}" for axis in "xyzw"))
    limiter = SafetyLimiter(ActionSpec(key="tool", topic="pose", type=POSE, names=names, limits=limits))
    here = still(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    motion, acted = limiter.step((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0), here, DT)
    assert motion.sent == here.sent
    assert acted == []


def test_a_number_that_is_not_finite_is_named():
    assert problem((0.0, math.nan), ("a", "b")) == "b is nan"
    assert problem((0.0,), ("a", "b")) == "1 number instead of 2"
    assert problem((0.0, 1.0), ("a", "b")) is None


@pytest.mark.parametrize("acceleration", [5.0, 40.0, 1000.0, INF])
@pytest.mark.parametrize("target", [1e300, -1e305, 1e308, -1.7e308])
def test_without_position_limits_an_absurd_target_is_approached_within_the_other_limits(target, acceleration):
    limiter = SafetyLimiter(action(lower=-INF, upper=INF, acceleration=acceleration, size=1))
    sent = run(limiter, still(0.0), [(target,), (-target,), (target,)] * 10)
    most = min(0.5, acceleration * DT) * DT  # m of the first step, from rest
    assert sent[0] == pytest.approx(math.copysign(most, target))
    assert np.abs(np.diff(sent[:, 0])).max() <= 0.5 * DT + 1e-12


def test_a_finite_acceleration_that_overflows_does_not_limit():  # 1e9 m in 0.05 s
    assert profile.stoppable_speed(1e9, 1e305, DT) == pytest.approx(2e10)


# ---- properties ------------------------------------------------------------------------------------------

TARGET = st.floats(-50.0, 50.0) | st.floats(-1.2, 1.2) | st.sampled_from([-1e300, 1e300, 0.0, 1.0, -1.0])
STEP = st.tuples(
    st.tuples(TARGET, TARGET), st.sampled_from([0.0, 1e-3, 0.013, 0.05]), st.sampled_from("ssssb")
)
LIMITS = st.fixed_dictionaries(
    {
        "speed": st.floats(0.05, 20.0),
        "acceleration": st.floats(0.05, 100.0) | st.just(INF),
        "upper": st.floats(0.1, 2.0) | st.just(INF),
    }
)
START = st.tuples(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5))


def broken_limits(limits, start, steps, limiter_of=SafetyLimiter):
    """Apply the steps; return the first limit that was violated, by the definition of the limits alone."""
    spec = action(**limits)
    limiter = limiter_of(spec)
    motion = limiter.start(start, (3.0, -3.0))
    for target, dt_s, kind in steps:
        before = motion
        motion = limiter.brake(before, dt_s) if kind == "b" else limiter.step(target, before, dt_s)[0]
        moved = np.subtract(motion.sent, before.sent)
        slack = 1e-9 * (1.0 + np.abs(before.sent))
        outside = np.maximum(np.array(motion.sent) - limits["upper"], -1.0 - np.array(motion.sent))
        was_outside = np.maximum(np.array(before.sent) - limits["upper"], -1.0 - np.array(before.sent))
        if (outside > np.maximum(was_outside, 0.0)).any():
            return "position"
        if (np.abs(moved) > limits["speed"] * dt_s + slack).any():
            return "speed"
        if dt_s > 0:
            change = np.abs(moved / dt_s - before.speed)
            if (change > limits["acceleration"] * dt_s * (1 + 1e-6) + slack / dt_s).any():
                return "acceleration"
    return None


@settings(max_examples=400, deadline=None)
@given(LIMITS, START, st.lists(STEP, max_size=40))
def test_no_sequence_of_targets_violates_a_limit(limits, start, steps):
    assert broken_limits(limits, start, steps) is None


@settings(max_examples=200, deadline=None)
@given(LIMITS, START, st.lists(STEP, max_size=40))
def test_no_sequence_of_twists_violates_a_limit(limits, start, steps):
    limiter = SafetyLimiter(twist(**limits))
    motion = still(0.0, 0.0)
    for target, dt_s, kind in steps:
        before = np.array(motion.sent)
        motion = limiter.brake(motion, dt_s) if kind == "b" else limiter.step(target, motion, dt_s)[0]
        sent = np.array(motion.sent)
        assert (np.abs(sent) <= limits["speed"]).all()
        assert (sent <= limits["upper"]).all()
        assert (sent >= -1.0).all()
        if dt_s > 0:
            assert (np.abs(sent - before) <= limits["acceleration"] * dt_s * (1 + 1e-6) + 1e-12).all()


@settings(max_examples=100, deadline=None)
@given(LIMITS, START, st.tuples(st.floats(-2.0, 2.0), st.floats(-2.0, 2.0)))
def test_a_resting_target_is_reached_and_kept(limits, start, target):
    limiter = SafetyLimiter(
        action(
            **{**limits, "speed": max(1.0, limits["speed"]), "acceleration": max(2.0, limits["acceleration"])}
        )
    )
    sent = run(limiter, still(*start), [target] * 400)
    wanted = np.clip(target, -1.0, limits["upper"])
    np.testing.assert_allclose(sent[-1], wanted, atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(LIMITS, START, st.lists(st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02)), max_size=30))
def test_the_fast_path_gives_the_same_result_as_the_general_one(limits, start, moves):
    spec = action(**limits)
    fast, general = SafetyLimiter(spec), SafetyLimiter(spec)
    general._free = lambda *_: None
    motion = fast.start(start)
    for move in moves:
        target = tuple(np.add(motion.sent, move))
        expected, acted = general.step(target, motion, DT)
        motion, also_acted = fast.step(target, motion, DT)
        np.testing.assert_allclose(motion.sent, expected.sent, rtol=0, atol=1e-12)
        np.testing.assert_allclose(motion.speed, expected.speed, rtol=0, atol=1e-9)
        assert acted == also_acted


# ---- planted bugs: `broken_limits` must detect each ------------------------------------------------------

BUGS = {
    "ignores the position limit ahead": (
        {"stoppable_speed": lambda distance, acceleration, dt_s: distance / dt_s},
        "acceleration",
    ),
    "ignores acceleration": (
        {"speed_range": lambda axis, position, speed, dt_s: (-axis.speed, axis.speed, "speed", "speed")},
        "acceleration",
    ),
    "ignores speed": (
        {"speed_range": lambda axis, position, speed, dt_s: (-INF, INF, "speed", "speed")},
        "speed",
    ),
    "exceeds the position limit by rounding": (
        {"_inside": lambda axis, before, after: after * 1.001 if abs(after) > 0.99 else after},
        "position",
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_the_oracle_detects_a_limiter_that(monkeypatch, bug):
    planted, caught = BUGS[bug]
    for name, function in planted.items():
        for module in (safety, profile):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, function)
    limits = {"speed": 2.0, "acceleration": 4.0, "upper": 1.0}
    steps = [((5.0, -5.0), DT, "s")] * 30 + [((-5.0, 5.0), DT, "s")] * 30
    assert broken_limits(limits, (0.0, 0.0), steps) == caught
