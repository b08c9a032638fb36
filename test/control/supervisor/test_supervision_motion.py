"""No sequence of events makes a command that breaks a limit of position, speed or acceleration."""

import math

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from limited_motion import PERIOD, LimitedMotion, LimitError

from il_ros.control.limiter import actuation, safety
from il_ros.control.limiter.actuation import Actuation
from il_ros.control.limiter.safety import Motion, SafetyLimiter
from il_ros.control.supervisor.watchdog import StepBudget

SOURCE = st.sampled_from(["policy", "expert"])
VALUE = st.floats(-1.5, 1.5) | st.sampled_from([0.0, 1.0, -1.0, 50.0, 1e6, -1e300, 1e308, math.nan, math.inf])
STATE = st.floats(-1.2, 1.2) | st.sampled_from([0.0, 1e6, -1e308])
AHEAD = st.sampled_from([0, 0, 0, PERIOD // 2, PERIOD, 3 * PERIOD, -PERIOD, 199_000_000])
PAUSE = st.sampled_from([0, 1_000, PERIOD // 5, PERIOD // 2, PERIOD, PERIOD, 3 * PERIOD, 10**9])


class AnyEvents(RuleBasedStateMachine):
    """Arbitrary events on a robot or in a simulation; the oracle raises LimitError."""

    @initialize(
        simulated=st.booleans(), without=st.sampled_from(["wait", "trust"]), hold=st.booleans(),
        position=st.floats(-1.05, 1.05),
    )  # fmt: skip
    def begin(self, simulated, without, hold, position):
        self.motion = LimitedMotion(simulated=simulated, without_measurement=without, hold_at_start=hold)
        self.motion.measure(position)

    @rule(source=SOURCE, arm=VALUE, base=VALUE, ahead=AHEAD, steps=st.integers(1, 5), current=st.booleans())
    def propose(self, source, arm, base, ahead, steps, current):
        self.motion.propose(source, arm, base, ahead_ns=ahead, steps=steps, current=current)

    @rule(source=SOURCE, arm=VALUE, base=VALUE, count=st.integers(2, 20), apart=st.integers(1, PERIOD))
    def burst(self, source, arm, base, count, apart):
        for k in range(count):
            self.motion.propose(source, arm, base, ahead_ns=min(k * apart, 199_000_000))

    @rule(
        source=SOURCE, arm=st.floats(-1.2, 1.2), base=st.floats(-1.0, 1.0), count=st.integers(2, 20),
        apart=st.floats(-0.3, 0.3),
    )  # fmt: skip
    def drive(self, source, arm, base, count, apart):
        """Drive a robot that follows its commands with a constant error."""
        for _ in range(count):
            self.motion.wait(PERIOD)
            where = 0.0 if self.motion.arm is None else self.motion.arm[0]
            self.motion.measure(where + apart)
            self.motion.propose(source, arm, base)

    @rule(position=STATE)
    def measure(self, position):
        self.motion.measure(position)

    @rule(steady=PAUSE, stopped=st.booleans())
    def wait(self, steady, stopped):
        self.motion.wait(steady, 0 if stopped else None)
        self.motion.tick()

    @rule(step=st.sampled_from([-(10**9), -PERIOD, -1, 1, PERIOD, 10**9]))
    def step_clock(self, step):
        self.motion.step_clock(step)
        self.motion.tick()

    @rule(source=SOURCE)
    def release(self, source):
        self.motion.release(source)

    @rule(what=st.sampled_from(["stop", "resume", "restart", "switch", "activate", "tick"]))
    def command(self, what):
        getattr(self.motion, what)()


AnyEvents.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestNoCommandBreaksALimit = AnyEvents.TestCase


@pytest.mark.parametrize("simulated", [False, True])
def test_thousands_of_commands_in_one_run_obey_the_limits(simulated):
    rng = np.random.default_rng(20261129)
    motion = LimitedMotion(simulated=simulated)
    for _ in range(8000):
        kind = rng.choice(13)
        source = ("policy", "expert")[rng.integers(2)]
        arm, base = rng.uniform(-1.3, 1.3), rng.uniform(-1.2, 1.2)
        if kind < 6:
            motion.wait(int(rng.choice([PERIOD, PERIOD, PERIOD // 3, 2 * PERIOD])))
            motion.measure((motion.arm or (0.0,))[0] + rng.uniform(-0.2, 0.2))
            motion.propose(source, arm, base)
        elif kind == 6:
            for k in range(int(rng.integers(1, 10))):
                motion.propose(source, arm, base, ahead_ns=k * PERIOD // 3)
        elif kind == 7:
            motion.measure(float(rng.choice([1e6, -3.0, 0.0, 1.05])))
            motion.propose(source, arm, base)
        elif kind == 8:
            motion.wait(int(rng.choice([PERIOD, 5 * PERIOD])))
            motion.tick()
        elif kind == 9:
            motion.step_clock(int(rng.choice([-(10**9), 10**9])))
        else:
            motion.apply([[("restart",)], [("switch",)], [("stop",), ("resume",)]][kind - 10])
    assert motion.commands > 3000


# ---- planted bugs: the oracle must detect each -------------------------------------------------------------


def following(motion, count, arm=1.0, base=1.0, source="policy"):
    """Let the robot follow its commands exactly."""
    for _ in range(count):
        motion.wait(PERIOD)
        motion.measure(0.0 if motion.arm is None else motion.arm[0])
        motion.propose(source, arm, base)


def glitch(motion):
    following(motion, 9)
    motion.wait(PERIOD)
    motion.measure(1e6)
    motion.propose("expert", 1.0, 0.0)


def glitch_within_the_limits(motion):
    following(motion, 9)
    motion.wait(PERIOD)
    motion.measure(-0.9)
    motion.propose("expert", 1.0, 0.0)


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
        motion.propose("policy", 1.0, 1.0, ahead_ns=k * 12_500_000)


def clock_steps(motion):
    following(motion, 3)
    for _ in range(15):
        motion.wait(12_500_000, PERIOD)
        motion.propose("policy", 1.0, 1.0)


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
    "stops the base at once at a restart": (Actuation, "rest", rest_at_once, restart, "base acceleration"),
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


@pytest.mark.parametrize("bug", BUGS)
def test_the_oracle_detects_a_supervisor_that(monkeypatch, bug):
    where, name, planted, events, broken = BUGS[bug]
    events(LimitedMotion())  # without the bug, nothing is broken
    monkeypatch.setattr(where, name, planted)
    with pytest.raises(LimitError, match=f"^{broken}: "):
        events(LimitedMotion())
