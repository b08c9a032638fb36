"""Commands without effect: the robot's own protective stop, or another controller, is noticed."""

import numpy as np
import pytest

from il_ros.control.supervisor.supervision import Supervision, SupervisorOptions
from il_ros.core import contract, messages
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal

TWO = """
name: two_joints
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b, grip], max_age_s: 0.2}
actions:
  arm:
    {topic: arm, type: std_msgs/msg/Float64MultiArray, names: [a, b], reference: joints,
     limits: {lower: -2.0, upper: 2.0, speed: 1.0}}
  grip:
    {topic: grip, type: std_msgs/msg/Float64MultiArray, names: [grip], reference: joints,
     limits: {lower: 0.0, upper: 0.08, speed: 0.01}}
"""


class Arm:
    """Two joints and a gripper at 20 Hz, 1 rad/s: a following error of 0.5 s is 0.5 rad."""

    def __init__(self, bench_of, text=TWO, **options):
        self.at, self.contract = bench_of.at, contract.parse(text, "test")
        given = {"silence_s": 0.075, "unresponsive_s": 1.0, **options}
        sources = bench_of().core.proposal_buffer.sources
        self.core = Supervision(self.contract, sources, SupervisorOptions(**given))

    def joints(self, k, positions):
        message = messages.make(
            "sensor_msgs/msg/JointState", header=messages.header(self.at(k)), name=["a", "b", "grip"],
            position=np.array(positions, dtype=np.float64),
        )  # fmt: skip
        return messages.encode("sensor_msgs/msg/JointState", message)

    def drive(self, k, target, joints):
        """Measure and propose at period k; return the decision."""
        self.core.measured.push("joint_states", self.joints(k, joints), self.at(k))
        proposal = Proposal("policy", self.at(k), np.array([target]), generation=self.core.generation)
        return self.core.propose("policy", proposal, self.at(k), self.at(k))


def first_stop(arm, target, joints, periods=80):
    for k in range(periods):
        decision = arm.drive(k, target, joints)
        if arm.core.estop.latched:
            return k, decision
    return None, decision


def test_a_robot_that_stands_still_is_stopped_after_the_declared_time(bench_of):
    arm = Arm(bench_of)
    k, stopped = first_stop(arm, (1.5, 0.0, 0.05), (0.0, 0.0, 0.05))
    # 0.05 rad a period: 0.5 rad is exceeded by the command of period 10 (0.55), seen at period 11; 1 s later: 31. The
    # command of 31 does not wait for that; the next input checks first, so the command of 32 is the stop.
    assert k == 32
    assert arm.core.estop.latched == (
        "the robot has not followed the commands for 1.00 s: arm/a is at 0, the last command is 1.5, and the largest "
        "difference is 0.5. Is it in a protective stop, or does another controller drive it?"
    )
    assert (stopped.authority, stopped.reason) == (NOBODY, arm.core.estop.latched)


@pytest.mark.parametrize("event", ["measure", "tick", "answer_estop"])
def test_whatever_comes_in_next_checks_the_last_command_first(bench_of, event):
    arm = Arm(bench_of)
    for k in range(32):
        decision = arm.drive(k, (1.5, 0.0, 0.05), (0.0, 0.0, 0.05))
    assert decision.authority == "policy"
    now_ns = arm.at(31.1)
    if event == "measure":
        stopped = arm.core.measure("joint_states", arm.joints(31.1, (0.0, 0.0, 0.05)), now_ns, now_ns)
    else:
        stopped = getattr(arm.core, event)(now_ns, now_ns)
    assert (stopped.authority, stopped.reason) == (NOBODY, arm.core.estop.latched)


def test_after_a_person_re_arms_the_ramp_starts_at_the_measured_state(bench_of):
    arm = Arm(bench_of)
    k, _ = first_stop(arm, (1.5, 0.0, 0.05), (0.0, 0.0, 0.05))
    arm.drive(k + 1, (1.5, 0.0, 0.05), (1.2, 0.0, 0.05))
    assert arm.core.reset_estop(arm.at(k + 1)) == ""
    decisions = [arm.drive(k + n, (1.5, 0.0, 0.05), (1.2, 0.0, 0.05)) for n in (2, 3, 4)]
    driven = [decision.sent[0] for decision in decisions if decision and decision.authority == "policy"]
    assert driven[0] == pytest.approx(1.25)


def test_a_robot_that_lags_within_the_following_error_drives_on(bench_of):
    arm = Arm(bench_of)
    sent = 0.0
    for k in range(80):
        sent = arm.drive(k, (1.5, 0.0, 0.05), (max(0.0, sent - 0.45), 0.0, 0.05)).sent[0]
    assert (arm.core.estop.latched, sent) == ("", 1.5)


def test_a_short_hesitation_does_not_count(bench_of):
    arm = Arm(bench_of)
    for k in range(80):
        joints = (1.5, 0.0, 0.05) if k % 15 == 14 else (0.0, 0.0, 0.05)  # follows once within each second
        arm.drive(k, (1.5, 0.0, 0.05), joints)
    assert arm.core.estop.latched == ""


@pytest.mark.parametrize("options", [{"unresponsive_s": 0.0}, {"keep_command": ("arm",)}])
def test_a_key_that_is_not_checked_may_be_blocked(bench_of, options):
    assert first_stop(Arm(bench_of, **options), (1.5, 0.0, 0.05), (0.0, 0.0, 0.05))[0] is None


def test_a_gripper_is_blocked_by_what_it_holds(bench_of):
    k, decision = first_stop(Arm(bench_of), (0.0, 0.0, 0.0), (0.0, 0.0, 0.06), periods=200)
    assert (k, decision.sent[2]) == (None, 0.0)


def test_without_a_measurement_nothing_is_concluded(bench_of):
    arm = Arm(bench_of, without_measurement="trust")
    for k in range(80):
        proposal = Proposal("policy", arm.at(k), np.array([(1.5, 0.0, 0.05)]), generation=arm.core.generation)
        decision = arm.core.propose("policy", proposal, arm.at(k), arm.at(k))
    assert (arm.core.estop.latched, decision.sent[0]) == ("", 1.5)
