"""A supervision under arbitrary events, and an oracle that checks every command by the definition of the limits.

The oracle knows the contract and computes all differences, speeds and accelerations from the published numbers. It
observes where ramps start and how much time each command may use, and checks both: the time against the robot's
clock, the start against the measured state, the limits and the last command.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from il_ros.control.supervisor.arbitration import Mode, Priority, Source
from il_ros.control.supervisor.supervision import Supervision, SupervisorOptions
from il_ros.core import contract, messages
from il_ros.core.contract import Contract
from il_ros.core.specs import POSE, ActionSpec
from il_ros.records.decision import Decision
from il_ros.records.proposal import Proposal, releasing

OUTSIDE_S, APART_S = 0.1, 0.5  # the defaults of start_tolerance and following_error
SLACK = 1e-7
SOURCES = (
    Source("policy", "policy_server/proposal", 10, timeout_s=0.25, max_age_s=0.2),
    Source("expert", "expert/proposal", 20, timeout_s=0.25, max_age_s=0.2),
)
JOINT_AND_BASE = """
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
SEVERAL_KEYS = """
name: several_keys
rate_hz: 50
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b, c, d, grip], max_age_s: 0.2}
actions:
  base:
    topic: cmd_vel
    type: geometry_msgs/msg/TwistStamped
    names: [linear.x, angular.z]
    limits: {lower: [-0.2, -1.0], upper: [0.6, 1.5], speed: [0.6, 1.2]}
  arm:
    topic: arm/commands
    type: std_msgs/msg/Float64MultiArray
    names: [b, a]
    reference: joints
    safe: stop
    limits: {lower: [-1.0, -2.0], upper: [0.5, 2.0], speed: [1.0, 0.5], acceleration: [5.0, 2.0]}
  wrist:
    topic: wrist/trajectory
    type: trajectory_msgs/msg/JointTrajectory
    names: [c]
    reference: joints
    limits: {speed: 2.0, acceleration: 8.0}
  deltas:
    topic: d/command
    type: sensor_msgs/msg/JointState
    names: [d]
    reference: joints
    mode: delta
    limits: {lower: -0.3, upper: 0.3, speed: 0.5, acceleration: 1.0}
  gripper:
    topic: gripper
    type: std_msgs/msg/Float64MultiArray
    names: [grip]
    reference: joints
    limits: {lower: 0.0, upper: 0.08, speed: 0.1}
  lift:
    topic: lift
    type: std_msgs/msg/Float64MultiArray
    names: [lift]
    quantity: velocity
    safe: stop
    limits: {speed: 0.3, acceleration: 0.5}
"""
POSE_AND_GRIPPER = """
name: pose_and_gripper
rate_hz: 20
observations:
  tcp: {topic: tcp, type: geometry_msgs/msg/PoseStamped, max_age_s: 0.2}
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [grip], max_age_s: 0.2}
actions:
  hand:
    topic: hand
    type: geometry_msgs/msg/PoseStamped
    reference: tcp
    limits:
      lower: [-0.5, -0.5, 0.0, -1.1, -1.1, -1.1, -1.1]
      upper: [0.5, 0.5, 0.8, 1.1, 1.1, 1.1, 1.1]
      speed: [0.25, 0.25, 0.1, 1.0, 1.0, 1.0, 1.0]
      acceleration: [1.0, 1.0, 1.0, 4.0, 4.0, 4.0, 4.0]
  gripper:
    topic: gripper
    type: std_msgs/msg/Float64MultiArray
    names: [grip]
    reference: joints
    limits: {lower: 0.0, upper: 0.08, speed: 0.1, acceleration: 1.0}
"""
WITHOUT_END = """
name: joints_without_end
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b, c], max_age_s: 0.2}
actions:
  turn:
    topic: turn
    type: std_msgs/msg/Float64MultiArray
    names: [a, b]
    unit: rad
    continuous: true
    reference: joints
    limits: {lower: -3.14159265, upper: 3.14159265, speed: [2.0, 1.0], acceleration: [8.0, 4.0]}
  free:
    topic: free
    type: std_msgs/msg/Float64MultiArray
    names: [c]
    unit: rad
    continuous: true
    reference: joints
    safe: stop
    limits: {speed: 1.5, acceleration: 6.0}
"""
TEXTS = {
    "joint_and_base": JOINT_AND_BASE,
    "several_keys": SEVERAL_KEYS,
    "pose_and_gripper": POSE_AND_GRIPPER,
    "joints_without_end": WITHOUT_END,
}
CONTRACTS = {name: contract.parse(text, name) for name, text in TEXTS.items()}


class LimitError(AssertionError):
    """A command that breaks a limit."""


class Worst:
    """Counts of events and checks, and the largest ratio of a command to each kind of limit (1: at the limit)."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.ratios: dict[str, float] = {}

    def check(self, kind: str, value: float, limit: float, slack: float, told: str) -> None:
        """Record value / limit; raise LimitError when the value exceeds the limit by more than `slack`."""
        self.counts[kind] += 1
        if not value <= limit + slack:
            raise LimitError(f"{kind}: {told}: {value:.9g} is above {limit:.9g}")
        if limit > 1e-6:  # below, rounding decides
            self.ratios[kind] = max(self.ratios.get(kind, 0.0), value / limit)


class Oracle:
    """The last command of one action key, by its contract; `check` compares the next one with the limits."""

    def __init__(self, spec: ActionSpec, worst: Worst) -> None:
        self.spec, self._worst = spec, worst
        limits = spec.limits
        self.lower, self.upper = limits.lower, limits.upper
        self.speed, self.acceleration = limits.speed, limits.acceleration
        self.turns = tuple(map(float, spec.turns))  # of continuous joints, else 0
        self.positions = 3 if spec.type == POSE else spec.size  # numbers that are positions or velocities
        self.sent: tuple[float, ...] | None = None
        self._blur = 0.0  # rounding of the velocity, which a step of nanoseconds magnifies
        self.velocity: list[float] = []  # of positions; of a pose's orientation: the angular velocity follows

    def forget(self) -> None:
        """Forget the last command."""
        self.sent = None

    def rest(self) -> None:
        """The robot was placed, and stands still."""
        self.velocity = [0.0] * len(self.velocity)

    def apart(self, index: int, after: float, before: float) -> float:
        """Return the signed difference of two positions; of a continuous joint, the shortest way."""
        difference = after - before
        turn = self.turns[index]
        return difference - turn * round(difference / turn) if turn else difference

    def start(self, sent: tuple[float, ...], speed: Sequence[float], *, placed: bool) -> None:
        """Check and adopt the start of a ramp; `placed`: the robot may be anywhere within the limits."""
        if self.spec.is_velocity:
            self.sent = self.sent or sent
            return
        for index in range(self.positions):
            most = self.speed[index] * OUTSIDE_S
            if not self.turns[index]:
                outside = max(0.0, self.lower[index] - sent[index], sent[index] - self.upper[index])
                self._worst.check("start", outside, most, SLACK, f"{self.spec.names[index]} at {sent[index]}")
        if self.sent is not None and not placed:
            for index in range(self.positions):
                far = abs(self.apart(index, sent[index], self.sent[index]))
                most = self.speed[index] * APART_S
                told = f"{self.spec.names[index]}: {self.sent[index]} -> {sent[index]}"
                self._worst.check("start", far, most, SLACK, told)
                self._same_speed(index, sent[index], speed[index])
            if self.spec.type == POSE:
                angle = math.hypot(*_turn(self.sent[3:], sent[3:]))
                self._worst.check("start", angle, min(self.speed[3:]) * APART_S, SLACK, "orientation")
        self.sent = sent
        self.velocity = list(speed[: self.positions])
        if self.spec.type == POSE:
            self.velocity += speed[3:6]

    def _same_speed(self, index: int, position: float, speed: float) -> None:
        """A ramp starts with the speed of the last command, or slower where that cannot be stopped in time."""
        was = self.velocity[index]
        room = min(position - self.lower[index], self.upper[index] - position)
        room = math.inf if self.turns[index] else room
        stops = was * was <= 2 * self.acceleration[index] * max(0.0, room) if room < math.inf else True
        if speed * was < 0 or abs(speed) > abs(was) + SLACK or (stops and abs(speed - was) > SLACK):
            raise LimitError(f"start: {self.spec.names[index]}: {was} -> {speed} at once")

    def check(self, sent: tuple[float, ...], dt_s: float, *, emergency: bool, safe: bool) -> None:
        """Check a command `dt_s` after the last one; `safe`: the safe behaviour, not a target."""
        if not all(map(math.isfinite, sent)):
            raise LimitError(f"finite: {self.spec.key}: {sent}")
        assert self.sent is not None
        if self.spec.is_velocity:
            at_once = emergency or (safe and self.spec.safe == "zero")
            self._check_velocities(sent, dt_s, at_once=at_once)
        else:
            for index in range(self.positions):
                self._check_position(index, sent[index], dt_s)
            if self.spec.type == POSE:
                self._check_rotation(sent[3:], dt_s)
            if dt_s > 0:
                self._blur = 1e-15 * (1.0 + max(map(abs, sent))) / dt_s
        self.sent = sent

    def _check_position(self, index: int, position: float, dt_s: float) -> None:
        assert self.sent is not None
        before, name = self.sent[index], self.spec.names[index]
        moved, told = self.apart(index, position, before), f"{name}: {before} -> {position}"
        if not self.turns[index]:
            above = max(self.upper[index], before) - position
            below = position - min(self.lower[index], before)
            if min(above, below) < -SLACK:
                raise LimitError(f"position: {told}")
            self._worst.counts["position"] += 1
            if self.lower[index] <= before <= self.upper[index] < math.inf:
                half = (self.upper[index] - self.lower[index]) / 2
                ratio = abs(position - self.lower[index] - half) / half
                self._worst.ratios["position"] = max(self._worst.ratios.get("position", 0.0), ratio)
        elif not self.lower[index] - SLACK <= position <= self.upper[index] + SLACK:
            raise LimitError(f"position: {told}, not within its turn")
        self._worst.check("speed", abs(moved), self.speed[index] * dt_s, SLACK, f"{told} in {dt_s} s")
        if dt_s > 0:
            was, now = self.velocity[index], moved / dt_s
            slack = SLACK + 1e-9 / dt_s + self._blur
            most = self.acceleration[index] * dt_s
            self._worst.check(
                "acceleration", abs(now - was), most, slack, f"{name}: {was} -> {now}/s in {dt_s} s"
            )
            self.velocity[index] = now

    def _check_rotation(self, after: Sequence[float], dt_s: float) -> None:
        assert self.sent is not None
        self._worst.check("norm", abs(math.hypot(*after) - 1.0), 0.0, 1e-6, f"quaternion {after}")
        turn = _turn(self.sent[3:], after)
        told = f"orientation: {self.sent[3:]} -> {after} in {dt_s} s"
        self._worst.check("angular speed", math.hypot(*turn), min(self.speed[3:]) * dt_s, SLACK, told)
        if dt_s > 0:
            was, now = self.velocity[3:], [part / dt_s for part in turn]
            change = math.hypot(*(a - b for a, b in zip(now, was, strict=True)))
            most = min(self.acceleration[3:]) * dt_s
            self._worst.check("angular acceleration", change, most, SLACK + 1e-9 / dt_s + self._blur, told)
            self.velocity[3:] = now

    def _check_velocities(self, sent: Sequence[float], dt_s: float, *, at_once: bool) -> None:
        assert self.sent is not None
        for index, (value, before) in enumerate(zip(sent, self.sent, strict=True)):
            name = self.spec.names[index]
            top = (
                min(self.upper[index], self.speed[index])
                if value > 0
                else max(self.lower[index], -self.speed[index])
            )
            self._worst.check("velocity", abs(value), abs(top), SLACK, name)
            if not (at_once and value == 0.0):
                most = self.acceleration[index] * dt_s if self.acceleration[index] < math.inf else math.inf
                told = f"{name}: {before} -> {value} in {dt_s} s"
                self._worst.check("velocity change", abs(value - before), most, SLACK, told)


class LimitedMotion:
    """Feeds events to a supervision; raises LimitError as soon as a command breaks a limit.

    The steady clock starts at 1 s and the node's clock at 1000 s. `simulated`: the robot's clock is the node's.
    `options` are those of the supervisor.
    """

    def __init__(
        self,
        own: Contract = CONTRACTS["joint_and_base"],
        *,
        simulated: bool = False,
        mode: Mode | None = None,
        worst: Worst | None = None,
        **options: Any,
    ) -> None:
        self.contract, self.simulated = own, simulated
        self.period_ns, self.worst = own.period_ns, worst or Worst()
        given = SupervisorOptions(silence_s=1.5 * own.period_ns / 1e9, simulated=simulated, **options)
        self.core = Supervision(own, SOURCES, given, mode=mode)
        self.oracles = {action.key: Oracle(action, self.worst) for action in own.actions}
        self._slices = own.action_slices
        self.now, self.steady = 1_000 * 10**9, 10**9
        self.passed = self.since = self.spent = (
            0.0  # s: on the robot's clock; at the first command; of motion
        )
        self.sent: tuple[float, ...] | None = None
        self.dt_s = 0.0
        self.placed = True  # the robot may be elsewhere than the last command
        self.commands = self.followed = 0
        """Counts of commands, and of those towards a target."""
        self._watch()

    def _watch(self) -> None:
        shaper = self.core._shaper
        anchor, spend, advance = shaper._actuation.anchor, shaper._step_budget.spend, shaper.advance
        restart = self.core.restart

        def anchored(measured: Mapping[str, Any], **words: Any) -> Any:
            failed = anchor(measured, **words)
            if not failed:
                for key, oracle in self.oracles.items():
                    motion = shaper._actuation._motions[key]
                    assert motion is not None
                    oracle.start(motion.sent, motion.speed, placed=self.placed)
            return failed

        def spent(*times: int) -> float:
            self.dt_s = spend(*times)
            return self.dt_s

        def advanced(target: Any, *times: Any, emergency: bool) -> Any:
            limited = advance(target, *times, emergency=emergency)
            if shaper.sent is not None:
                self._check(shaper.sent, emergency=emergency, safe=target is None)
                self.followed += target is not None
                self.placed &= target is None and self.simulated
            return limited

        def restarted() -> None:
            restart()
            if self.simulated:  # a simulator may place the robot, at rest
                self.placed = True
                for oracle in self.oracles.values():
                    oracle.rest()

        shaper._actuation.anchor, shaper._step_budget.spend = anchored, spent  # type: ignore[method-assign]
        shaper.advance, self.core.restart = advanced, restarted  # type: ignore[method-assign]

    # ---- events ------------------------------------------------------------------------------------------

    def wait(self, steady_ns: int, clock_ns: int | None = None) -> None:
        """Let both clocks advance; `clock_ns`: of the node's clock, default the same."""
        clock_ns = steady_ns if clock_ns is None else clock_ns
        self.steady, self.now = self.steady + steady_ns, self.now + clock_ns
        self.passed += max(0, clock_ns if self.simulated else steady_ns) / 1e9

    def step_clock(self, step_ns: int) -> None:
        """Set the node's clock; on a robot no time passes by that."""
        self.now = max(10**9, self.now + step_ns)
        self.passed += max(0, step_ns) / 1e9 if self.simulated else 0.0

    def measure(self, values: Sequence[float]) -> None:
        """Measure the state (A,) of all actions; velocities are ignored."""
        for spec in self.contract.observations:
            message = messages.make(spec.type, header=messages.header(self.now))
            if spec.type == POSE:
                (action,) = (each for each in self.contract.actions if each.reference == spec.key)
                pose = values[self._slices[action.key]]
                for axis, value in zip("xyz", pose[:3], strict=True):
                    setattr(message.pose.position, axis, value)
                for axis, value in zip("xyzw", pose[3:], strict=True):
                    setattr(message.pose.orientation, axis, value)
            else:
                state = dict.fromkeys(spec.names, 0.0)
                for action in self.contract.actions:
                    if action.reference == spec.key:
                        state |= dict(zip(action.names, values[self._slices[action.key]], strict=True))
                message.name = list(state)
                message.position = np.array(list(state.values()), dtype=np.float64)
            self.core.measured.push(spec.topic, messages.encode(spec.type, message), self.now)

    def propose(
        self,
        source: str,
        *rows: Sequence[float],
        ahead_ns: int = 0,
        current: bool = True,
        late: float | None = None,
    ) -> None:
        """Propose a chunk of rows (A,) for the tick `ahead_ns` after now; `late`: its uncertainty."""
        proposal = Proposal(
            source,
            max(1, self.now + ahead_ns),
            np.array(rows, dtype=np.float64),
            generation=self.core.generation if current else None,
            uncertainty=late,
        )
        self._decided(self.core.propose(source, proposal, self.now, self.steady))

    def release(self, source: str) -> None:
        """Let a source release its authority."""
        size = self.contract.action_size
        self._decided(self.core.propose(source, releasing(source, self.now, size), self.now, self.steady))

    def tick(self) -> None:
        """Let the supervisor's timer fire."""
        self._decided(self.core.tick(self.now, self.steady))

    def stop(self) -> None:
        """Latch the emergency stop, which zeroes velocities at once."""
        self.core.estop.update("topic", True, self.steady)
        self._decided(self.core.answer_estop(self.now, self.steady))

    def resume(self) -> None:
        """Release the emergency stop."""
        self.core.estop.update("topic", False, self.steady)
        self.core.reset_estop(self.steady)

    def restart(self) -> None:
        """Start a new episode."""
        self.core.restart()

    def activate(self) -> None:
        """Activate the node again: other nodes may have moved the robot."""
        self.core.activate()
        self.placed, self.sent = True, None
        for oracle in self.oracles.values():
            oracle.forget()

    def switch(self, mode: Mode | None = None) -> None:
        """Change the mode."""
        self.core.switch(mode or Priority())

    def drive(self, allowed: bool = True) -> None:
        """Let the sources drive, or go to rest."""
        self.core.drive(allowed)

    # ---- the checks --------------------------------------------------------------------------------------

    def _decided(self, decision: Decision | None) -> None:
        if decision is not None and decision.sent is not None:
            self.commands += 1
            if decision.sent != self.sent:
                raise LimitError(f"decision: {decision.sent} was sent instead of {self.sent}")

    def _check(self, sent: tuple[float, ...], *, emergency: bool, safe: bool) -> None:
        if self.sent is None:  # the first command has a whole period
            self.spent, self.since = 0.0, self.passed
        self.spent += self.dt_s
        passed = self.passed - self.since + 1.25 * self.period_ns / 1e9
        self.worst.check("time", self.spent, passed, SLACK, "s of motion in s on the robot's clock")
        for key, oracle in self.oracles.items():
            oracle.check(sent[self._slices[key]], self.dt_s, emergency=emergency, safe=safe)
        self.sent = sent


def _turn(start: Sequence[float], end: Sequence[float]) -> tuple[float, float, float]:
    """Return the rotation vector (3,), rad, of the shortest turn between two quaternions x, y, z, w."""
    (x, y, z, w), (ex, ey, ez, ew) = start, end
    # end * conjugate(start), by its scalar and vector parts
    scalar = ew * w + ex * x + ey * y + ez * z
    vector = (
        w * ex - ew * x - (ey * z - ez * y),
        w * ey - ew * y - (ez * x - ex * z),
        w * ez - ew * z - (ex * y - ey * x),
    )
    if scalar < 0:
        scalar, vector = -scalar, (-vector[0], -vector[1], -vector[2])
    sine = math.hypot(*vector)
    angle = 2.0 * math.atan2(sine, scalar)
    return (0.0, 0.0, 0.0) if sine == 0 else tuple(part * angle / sine for part in vector)  # type: ignore[return-value]
