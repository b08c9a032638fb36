"""No sequence of events makes a command that breaks a limit of position, speed or acceleration."""

import math

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from bench.support.limit_events import NAMES, RandomEvents
from bench.support.limit_oracle import CONTRACTS, LimitedMotion, LimitError, Worst
from il_ros.control.limiter import actuation, rotation, safety
from il_ros.control.limiter.actuation import Actuation
from il_ros.control.limiter.rotation import RotationLimits
from il_ros.control.limiter.safety import Motion, SafetyLimiter
from il_ros.control.supervisor.watchdog import StepBudget
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.records.labelling import MODES

PERIOD = 50_000_000
SOURCE = st.sampled_from(["policy", "expert"])
VALUE = st.floats(-1.5, 1.5) | st.sampled_from([0.0, 1.0, -1.0, 50.0, 1e6, -1e300, 1e308, math.nan, math.inf])
STATE = st.floats(-1.2, 1.2) | st.sampled_from([0.0, 1e6, -1e308])
AHEAD = st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 3.0, -1.0])  # control periods
PAUSE = st.sampled_from([0.0, 1e-4, 0.2, 0.5, 1.0, 1.0, 3.0, 20.0])
SIZE = 16  # numbers that are drawn for an action; a contract uses the first of them
MODE = st.sampled_from(MODES)


def mode_of(own, name):
    options = ModeOptions(mode=name, beta="constant:0.5")
    return make_mode(options, own, NAMES, ModeMemory(own.period_ns))


class AnyEvents(RuleBasedStateMachine):
    """Arbitrary events on a robot or in a simulation, under any contract and mode; the oracle raises LimitError."""

    @initialize(
        name=st.sampled_from(sorted(CONTRACTS)), simulated=st.booleans(), mode=MODE, hold=st.booleans(),
        without=st.sampled_from(["wait", "trust"]), rest=st.booleans(),
        state=st.lists(STATE, min_size=SIZE, max_size=SIZE),
    )  # fmt: skip
    def begin(self, name, simulated, mode, hold, without, rest, state):
        self.own = own = CONTRACTS[name]
        self.rotations = [
            slice(part.stop - 4, part.stop) for key, part in own.action_slices.items() if key == "hand"
        ]
        self.motion = LimitedMotion(
            own, simulated=simulated, mode=mode_of(own, mode), without_measurement=without, hold_at_start=hold,
            start_at_rest=rest,
        )  # fmt: skip
        self.measure(state)

    def row(self, values, *, turn=True):
        """Return an action (A,): rotations of norm 1 if that is possible and wanted."""
        row = np.resize(np.array(values), self.own.action_size)
        for part in self.rotations:
            norm = math.hypot(*row[part])
            if turn and math.isfinite(norm) and norm > 0:
                row[part] /= norm
        return row

    def where(self, offset):
        """Return a state (A,) off from the last command by `offset` s of motion at the speed limit."""
        speed = np.concatenate([action.limits.arrays()[2] for action in self.own.actions])
        if self.motion.sent is None:
            return self.row([0.01] * SIZE)
        row = np.array(self.motion.sent) + offset * speed
        for part in self.rotations:  # less than the offset
            row[part] = np.array(self.motion.sent)[part] + np.array([offset, 0.0, 0.0, 0.0]) / 3
            row[part] /= np.linalg.norm(row[part])
        return row

    @rule(
        source=SOURCE, values=st.lists(VALUE, min_size=SIZE, max_size=SIZE), ahead=AHEAD, steps=st.integers(1, 5),
        current=st.booleans(), turn=st.booleans(),
    )  # fmt: skip
    def propose(self, source, values, ahead, steps, current, turn):
        ahead_ns = int(ahead * self.own.period_ns)
        self.motion.propose(
            source, *[self.row(values, turn=turn)] * steps, ahead_ns=ahead_ns, current=current
        )

    @rule(source=SOURCE, value=st.floats(-1.5, 1.5), count=st.integers(2, 20), apart=st.floats(1e-9, 1.0))
    def burst(self, source, value, count, apart):
        for k in range(count):
            ahead_ns = min(int(k * apart * self.own.period_ns), 199_000_000)
            self.motion.propose(source, self.row([value] * SIZE), ahead_ns=ahead_ns)

    @rule(
        source=SOURCE, values=st.lists(st.floats(-1.2, 1.2), min_size=SIZE, max_size=SIZE), count=st.integers(2, 20),
        apart=st.floats(-0.3, 0.3), length=st.sampled_from([1.0, 1.0, 0.4, 1.3]),
    )  # fmt: skip
    def drive(self, source, values, count, apart, length):
        """Drive a robot that follows its commands with a constant error, by regular or irregular ticks."""
        self.motion.drive()
        for _ in range(count):
            self.motion.wait(int(length * self.own.period_ns))
            self.motion.measure(self.where(apart))
            self.motion.propose(source, self.row(values))

    @rule(values=st.lists(STATE, min_size=SIZE, max_size=SIZE), turn=st.booleans())
    def measure(self, values, turn=True):
        self.motion.measure(self.row(values, turn=turn))

    @rule(pause=PAUSE, stopped=st.booleans())
    def wait(self, pause, stopped):
        self.motion.wait(int(pause * self.own.period_ns), 0 if stopped else None)
        self.motion.tick()

    @rule(step=st.sampled_from([-(10**9), -PERIOD, -1, 1, PERIOD, 10**9]))
    def step_clock(self, step):
        self.motion.step_clock(step)
        self.motion.tick()

    @rule(source=SOURCE)
    def release(self, source):
        self.motion.release(source)

    @rule(mode=MODE)
    def switch(self, mode):
        self.motion.switch(mode_of(self.own, mode))

    @rule(what=st.sampled_from(["stop", "resume", "restart", "activate", "tick"]))
    def command(self, what):
        getattr(self.motion, what)()

    @rule(allowed=st.booleans())
    def rest(self, allowed):
        self.motion.drive(allowed)


AnyEvents.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestNoCommandBreaksALimit = AnyEvents.TestCase


@pytest.mark.parametrize("name", CONTRACTS)
def test_thousands_of_commands_under_random_events_obey_the_limits(name):
    worst, commands = Worst(), 0
    for seed in range(16):
        events = RandomEvents(CONTRACTS[name], np.random.default_rng(20261129 + seed), worst)
        events.run(400)
        commands += events.motion.commands
    assert commands > 2000
    ends = set() if name == "joints_without_end" else {"position"}
    limits = {"speed", "acceleration"} | ends | ({"angular speed"} if name == "pose_and_gripper" else set())
    assert all(worst.ratios[limit] > 0.999 for limit in limits)  # the limits were reached
    assert all(ratio < 1.000001 for ratio in worst.ratios.values())


# ---- planted bugs: the oracle must detect each -------------------------------------------------------------


def following(motion, count, arm=1.0, base=1.0, source="policy"):
    """Let the robot follow its commands exactly."""
    for _ in range(count):
        motion.wait(PERIOD)
        motion.measure(motion.sent or (0.0, 0.0))
        motion.propose(source, (arm, base))


def glitch(motion):
    following(motion, 9)
    motion.wait(PERIOD)
    motion.measure((1e6, 0.0))
    motion.propose("expert", (1.0, 0.0))


def glitch_within_the_limits(motion):
    following(motion, 9)
    motion.wait(PERIOD)
    motion.measure((-0.9, 0.0))
    motion.propose("expert", (1.0, 0.0))


def handover(motion):
    following(motion, 9)
    following(motion, 1, source="expert")


def restart(motion):
    following(motion, 12)
    motion.restart()
    following(motion, 1)


def burst_ahead(motion):
    following(motion, 3)
    for k in range(1, 15):  # a quarter period apart, stamped half a period apart
        motion.wait(12_500_000)
        motion.propose("policy", (1.0, 1.0), ahead_ns=k * 12_500_000)


def clock_steps(motion):
    following(motion, 3)
    for _ in range(15):
        motion.wait(12_500_000, PERIOD)
        motion.propose("policy", (1.0, 1.0))


def start_at_rest(self, measured, speed=None):
    return Motion(tuple(measured), (0.0,) * len(measured))


def rest_at_once(self, *, placed):
    for key, limiter in self._limiters.items():
        if limiter.spec.is_velocity and self._motions[key] is not None:
            self._motions[key] = limiter.zero(self._motions[key])


def stamps_are_time(self, stamp_ns, now_ns, steady_ns):
    before, self.before_ns = getattr(self, "before_ns", stamp_ns - PERIOD), stamp_ns
    return min(PERIOD, max(0, stamp_ns - before)) / 1e9


def clock_is_time(self, stamp_ns, now_ns, steady_ns):
    return stamps_are_time(self, max(now_ns, steady_ns), 0, 0)


BUGS = {
    "starts a ramp at a glitch": (actuation, "start_problem", lambda *_: "", glitch, "start"),
    "starts a ramp anywhere within the limits": (
        actuation, "start_problem", lambda *_: "", glitch_within_the_limits, "start",
    ),
    "starts a ramp at rest": (SafetyLimiter, "start", start_at_rest, handover, "start"),
    "stops the base at once at a restart": (Actuation, "rest", rest_at_once, restart, "velocity change"),
    "counts stamps as time": (StepBudget, "spend", stamps_are_time, burst_ahead, "time"),
    "counts clock steps as time": (StepBudget, "spend", clock_is_time, clock_steps, "time"),
    "ignores the speed": (
        safety, "speed_range", lambda *_: (-math.inf, math.inf, "speed", "speed"), handover, "speed",
    ),
    "ignores the acceleration": (
        safety, "speed_range", lambda axis, *_: (-axis.speed, axis.speed, "speed", "speed"), handover,
        "acceleration",
    ),
    "ignores the position limit": (
        SafetyLimiter, "step", lambda self, target, motion, dt_s: (Motion((9.0,), (0.0,)), []), handover,
        "position",
    ),
}  # fmt: skip


TURN = (0.0, 0.0, 0.5, 0.0, 0.0, math.sin(0.5), math.cos(0.5), 0.04)  # 1 rad about z


def turning(motion):
    """Turn the tool: 1 rad at 1 rad/s and 4 rad/s^2."""
    for _ in range(9):
        motion.wait(PERIOD)
        motion.measure(motion.sent or (0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 1.0, 0.04))
        motion.propose("policy", TURN)


TURNING_BUGS = {
    "ignores the angular speed": (
        RotationLimits, "step", lambda self, target, before, sent, velocity, dt_s: (target, (0.0,) * 3, ""),
        "angular speed",
    ),
    "ignores the angular acceleration": (
        safety, "RotationLimits", lambda speed, _: RotationLimits(speed, math.inf), "angular acceleration",
    ),
    "sends a quaternion that is not a rotation": (
        rotation, "turned", lambda quaternion, vector: tuple(1.01 * part for part in quaternion), "norm",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", TURNING_BUGS)
def test_the_oracle_detects_a_limiter_that(monkeypatch, bug):
    where, name, planted, broken = TURNING_BUGS[bug]
    turning(LimitedMotion(CONTRACTS["pose_and_gripper"]))
    monkeypatch.setattr(where, name, planted)
    with pytest.raises(LimitError, match=f"^{broken}: "):
        turning(LimitedMotion(CONTRACTS["pose_and_gripper"]))


@pytest.mark.parametrize("bug", BUGS)
def test_the_oracle_detects_a_supervisor_that(monkeypatch, bug):
    where, name, planted, events, broken = BUGS[bug]
    events(LimitedMotion())  # without the bug, nothing is broken
    monkeypatch.setattr(where, name, planted)
    with pytest.raises(LimitError, match=f"^{broken}: "):
        events(LimitedMotion())
