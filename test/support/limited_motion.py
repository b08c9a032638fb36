"""A supervision under arbitrary events, and an oracle that checks every command by the definition of the limits.

One joint (position in [-1, 1] rad, 1 rad/s, 5 rad/s^2) and one base (1 m/s, 2 m/s^2, safe: stop), at 20 Hz.
"""

import math

import numpy as np

from il_ros.control.supervisor.arbitration import Priority, Source
from il_ros.control.supervisor.supervision import Supervision, SupervisorOptions
from il_ros.core import contract, messages
from il_ros.records.proposal import Proposal, releasing

PERIOD = 50_000_000
PERIOD_S = 0.05
UPPER, SPEED, ACCELERATION, BASE_SPEED, BASE_ACCELERATION = 1.0, 1.0, 5.0, 1.0, 2.0
OUTSIDE, APART = 0.1, 0.5  # start_tolerance 0.1 s and following_error 0.5 s, at 1 rad/s
SLACK = 1e-7
TEXT = """
name: joint_and_base
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [joint1], max_age_s: 0.2}
actions:
  arm:
    topic: arm/commands
    type: std_msgs/msg/Float64MultiArray
    names: [joint1]
    reference: joints
    limits: {lower: -1.0, upper: 1.0, speed: 1.0, acceleration: 5.0}
  base:
    topic: cmd_vel
    type: geometry_msgs/msg/Twist
    names: [linear.x]
    limits: {speed: 1.0, acceleration: 2.0}
    safe: stop
"""
SOURCES = (
    Source("policy", "policy_server/proposal", 10, timeout_s=0.25, max_age_s=0.2),
    Source("expert", "expert/proposal", 20, timeout_s=0.25, max_age_s=0.2),
)


class LimitError(AssertionError):
    """A command that breaks a limit."""


class LimitedMotion:
    """Feeds events to a supervision; raises LimitError as soon as a command breaks a limit.

    The steady clock starts at 1 s and the node's clock at 1000 s. `simulated`: the robot's clock is the node's.
    The oracle observes where ramps start and the time step of each command, and checks both.
    """

    def __init__(self, *, simulated=False, **options):
        self.contract = contract.parse(TEXT, "test")
        self.simulated = simulated
        given = SupervisorOptions(silence_s=0.075, simulated=simulated, **options)
        self.core = Supervision(self.contract, SOURCES, given)
        self.now, self.steady = 1_000 * 10**9, 10**9
        self.passed = self.since = 0.0  # s on the robot's clock: all, and at the first command
        self.spent = self.changed = 0.0  # s of motion, and m/s of changes of the base's velocity
        self.sent, self.arm, self.base = None, None, 0.0  # arm: position and speed of the last command
        self.placed = True  # the robot may be elsewhere than the last command
        self.commands = 0
        self._watch()

    def _watch(self):
        shaper = self.core._shaper
        anchor, spend, advance = shaper._actuation.anchor, shaper._step_budget.spend, shaper.advance

        def anchored(measured, **words):
            failed = anchor(measured, **words)
            if not failed:
                motion = shaper._actuation._motions["arm"]
                self._check_start(motion.sent[0], motion.speed[0])
            return failed

        def spent(*times):
            self.dt_s = spend(*times)
            return self.dt_s

        def advanced(target, *times, **words):
            limited = advance(target, *times, **words)
            if shaper.sent is not None:
                self._check(shaper.sent, **words)
                self.placed &= target is None and self.simulated
            return limited

        restart = self.core.restart

        def restarted():
            restart()
            if self.simulated:  # a simulator may place the robot, at rest
                self.placed, self.arm = True, None if self.arm is None else (self.arm[0], 0.0)

        shaper._actuation.anchor, shaper._step_budget.spend, shaper.advance = anchored, spent, advanced
        self.core.restart = restarted

    # ---- events ------------------------------------------------------------------------------------------

    def wait(self, steady_ns, clock_ns=None):
        """Let both clocks advance; `clock_ns`: of the node's clock, default the same."""
        clock_ns = steady_ns if clock_ns is None else clock_ns
        self.steady, self.now = self.steady + steady_ns, self.now + clock_ns
        self.passed += max(0, clock_ns if self.simulated else steady_ns) / 1e9

    def step_clock(self, step_ns):
        """Set the node's clock; on a robot no time passes by that."""
        self.now = max(10**9, self.now + step_ns)
        self.passed += max(0, step_ns) / 1e9 if self.simulated else 0.0

    def measure(self, position):
        message = messages.make(
            "sensor_msgs/msg/JointState",
            header=messages.header(self.now),
            name=["joint1"],
            position=np.array([position], dtype=np.float64),
        )
        raw = messages.encode("sensor_msgs/msg/JointState", message)
        self.core.measured.push("joint_states", raw, self.now)

    def propose(self, source, arm, base, *, ahead_ns=0, steps=1, current=True):
        chunk = np.tile([arm, base], (steps, 1))
        generation = self.core.generation if current else None
        proposal = Proposal(source, max(1, self.now + ahead_ns), chunk, generation=generation)
        self._decided(self.core.propose(source, proposal, self.now, self.steady))

    def release(self, source):
        self._decided(self.core.propose(source, releasing(source, self.now, 2), self.now, self.steady))

    def tick(self):
        self._decided(self.core.tick(self.now, self.steady))

    def stop(self):
        """Latch the emergency stop, which zeroes the base at once."""
        self.core.estop.update("topic", True, self.steady)
        self._decided(self.core.answer_estop(self.now, self.steady))

    def resume(self):
        self.core.estop.update("topic", False, self.steady)
        self.core.reset_estop(self.steady)

    def restart(self):
        self.core.restart()

    def activate(self):
        self.core.activate()
        self.placed, self.sent, self.arm, self.base, self.changed = True, None, None, 0.0, 0.0

    def switch(self):
        self.core.switch(Priority())

    def apply(self, events):
        """Apply events ('name', arguments ...)."""
        for name, *arguments in events:
            getattr(self, name)(*arguments)

    # ---- the oracle --------------------------------------------------------------------------------------

    def _decided(self, decision):
        if decision is not None and decision.sent is not None:
            self.commands += 1
            if decision.sent != self.sent:
                raise LimitError(f"decision: {decision.sent} was sent instead of {self.sent}")

    def _check_start(self, position, speed):
        """Check that a ramp starts near the limits, near the last command and with its speed."""
        if not abs(position) <= UPPER + OUTSIDE + SLACK:
            raise LimitError(f"start: {position} is outside the limits")
        if self.arm is not None and not self.placed:
            before, was = self.arm
            if abs(position - before) > APART + SLACK:
                raise LimitError(f"start: {position} is far from the last command {before}")
            free = UPPER - abs(position) > was * was / (2 * ACCELERATION) + SLACK
            if speed * was < 0 or abs(speed) > abs(was) + SLACK or (free and abs(speed - was) > SLACK):
                raise LimitError(f"start: {was} -> {speed} rad/s at once")
        self.arm = (position, speed)

    def _check(self, sent, *, emergency):
        if not all(map(math.isfinite, sent)):
            raise LimitError(f"finite: {sent}")
        if self.sent is None:  # the first command has a whole period
            self.spent, self.since = 0.0, self.passed
        self.spent += self.dt_s
        if self.spent > self.passed - self.since + 1.25 * PERIOD_S + SLACK:
            raise LimitError(f"time: {self.spent} s of motion in {self.passed - self.since} s")
        self._check_arm(sent[0])
        self._check_base(sent[1], emergency=emergency)
        self.sent = sent

    def _check_arm(self, position):
        before, speed = self.arm
        if abs(position) > max(UPPER, abs(before)) + SLACK:
            raise LimitError(f"position: {before} -> {position}")
        if abs(position - before) > SPEED * self.dt_s + SLACK:
            raise LimitError(f"speed: {before} -> {position} in {self.dt_s} s")
        if self.dt_s > 0:
            was, speed = speed, (position - before) / self.dt_s
            if abs(speed - was) > ACCELERATION * self.dt_s + SLACK + 1e-9 / self.dt_s:
                raise LimitError(f"acceleration: {was} -> {speed} rad/s in {self.dt_s} s")
        self.arm = (position, speed)

    def _check_base(self, velocity, *, emergency):
        change = abs(velocity - self.base)
        if abs(velocity) > BASE_SPEED + SLACK:
            raise LimitError(f"base speed: {velocity}")
        if not (emergency and velocity == 0.0):  # an emergency stop zeroes the base at once
            self.changed += change
            if change > BASE_ACCELERATION * self.dt_s + SLACK:
                raise LimitError(f"base acceleration: {self.base} -> {velocity} m/s in {self.dt_s} s")
            if self.changed > BASE_ACCELERATION * (self.passed - self.since + 1.25 * PERIOD_S) + 1e-6:
                raise LimitError(f"base time: changes of {self.changed} m/s in {self.passed - self.since} s")
        self.base = velocity
