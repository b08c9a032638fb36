"""The contact stop: a force or effort above its threshold stops the robot until a person releases it."""

import numpy as np
import pytest

from il_ros.control.supervisor.supervision import Supervision, SupervisorOptions
from il_ros.core import contract, messages
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal

WRENCH, JOINTS = "geometry_msgs/msg/WrenchStamped", "sensor_msgs/msg/JointState"
TEXT = """
name: touching
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a], fields: [position, effort],
           max_age_s: 0.2}
  wrench: {topic: wrench, type: geometry_msgs/msg/WrenchStamped, max_age_s: 0.2}
actions:
  arm:
    {topic: arm, type: std_msgs/msg/Float64MultiArray, names: [a], reference: joints, safe: hold,
     limits: {lower: -2.0, upper: 2.0, speed: 1.0, acceleration: 4.0}}
  base:
    {topic: v, type: geometry_msgs/msg/Twist, names: [linear.x], safe: stop,
     limits: {speed: 1.0, acceleration: 2.0}}
safety:
  contact:
    wrench: {force: 30.0, torque: 5.0}
    joints: {effort: 12.0}
"""


class Touching:
    """A joint and a base with a wrench sensor, at control periods k."""

    def __init__(self, bench_of, text=TEXT, **options):
        self.at, self.contract = bench_of.at, contract.parse(text, "test")
        sources = bench_of().core.proposal_buffer.sources
        self.core = Supervision(self.contract, sources, SupervisorOptions(0.075, **options))

    def joints(self, k, position=0.0, effort=1.0):
        message = messages.make(
            JOINTS, header=messages.header(self.at(k)), name=["a"], position=np.array([position]),
            effort=np.array([effort]),
        )  # fmt: skip
        return self.core.measure("joint_states", messages.encode(JOINTS, message), self.at(k), self.at(k))

    def wrench(self, k, force=(0.0, 0.0, 9.0), torque=(0.0, 0.0, 0.0)):
        message = messages.make(WRENCH, header=messages.header(self.at(k)))
        for axis, f, t in zip("xyz", force, torque, strict=True):
            setattr(message.wrench.force, axis, f)
            setattr(message.wrench.torque, axis, t)
        return self.core.measure("wrench", messages.encode(WRENCH, message), self.at(k), self.at(k))

    def propose(self, k, arm=1.0, base=0.5):
        proposal = Proposal("policy", self.at(k), np.array([(arm, base)]), generation=self.core.generation)
        return self.core.propose("policy", proposal, self.at(k), self.at(k))

    def driving(self, periods=8):
        for k in range(periods):
            self.joints(k)
            self.wrench(k)
            decision = self.propose(k)
        assert decision.authority == "policy"
        return decision


@pytest.mark.parametrize(
    ("touch", "what"),
    [
        ({"force": (20.0, 20.0, 15.0)}, "force of wrench (wrench) is 32.02, at most 30 is allowed"),
        ({"torque": (0.0, 3.0, 4.1)}, "torque of wrench (wrench) is 5.08, at most 5 is allowed"),
    ],
)
def test_a_force_above_its_threshold_stops_at_once_and_latches(bench_of, touch, what):
    robot = Touching(bench_of)
    sent = robot.driving().sent
    stop = robot.wrench(8.2, **touch)
    assert (stop.authority, stop.reason) == (NOBODY, f"contact: {what}")
    assert stop.sent[1] == 0.0  # as an emergency stop: the base at once
    assert stop.sent[0] >= sent[0]  # the arm brakes within its acceleration
    for k in range(9, 30):
        robot.joints(k)
        robot.wrench(k)
        decision = robot.propose(k)
        assert decision is None or decision.authority == NOBODY
    assert robot.core.reset_estop(robot.at(30)) == ""


def test_an_effort_above_its_threshold_stops_and_names_the_joint(bench_of):
    robot = Touching(bench_of)
    robot.driving()
    stop = robot.joints(8.2, effort=-12.5)
    assert stop.reason == "contact: effort of a of joints (joint_states) is 12.5, at most 12 is allowed"


def test_forces_at_their_thresholds_stop_nothing(bench_of):
    robot = Touching(bench_of)
    robot.driving()
    assert robot.wrench(8, force=(0.0, 0.0, -30.0), torque=(5.0, 0.0, 0.0)) is None
    assert robot.joints(8, effort=12.0) is None
    assert robot.propose(8).authority == "policy"


def test_the_declared_behaviour_safe_is_the_actions_own_and_a_pressed_stop_outranks_it(bench_of):
    robot = Touching(bench_of, TEXT + "  on_contact: safe\n")
    before = robot.driving().sent
    stop = robot.wrench(9, force=(0.0, 0.0, 40.0))
    assert stop.sent[1] == pytest.approx(before[1] - 0.1)  # safe: stop, 2 m/s^2 for 0.05 s
    robot.core.estop.update("topic", True, robot.at(10))
    pressed = robot.core.answer_estop(robot.at(10), robot.at(10))
    assert pressed is None or pressed.sent[1] == 0.0
    assert robot.core.tick(robot.at(12), robot.at(12)).sent[1] == 0.0


def test_without_its_sensor_the_robot_does_not_move_and_a_silent_one_stops_it(bench_of):
    robot = Touching(bench_of)
    robot.joints(0)
    waiting = robot.propose(0)
    assert (waiting.authority, waiting.sent) == (NOBODY, None)
    assert "contact: wrench (wrench): nothing received" in waiting.reason
    robot = Touching(bench_of)
    robot.driving()
    for k in range(8, 20):  # joints and policy go on
        robot.joints(k)
        decision = robot.propose(k)
    # the last wrench was at period 7; 0.2 s and two periods later it is silent
    assert (decision.authority, decision.sent[1]) == (NOBODY, 0.0)
    assert "contact: wrench (wrench): silent for 0.60 s" in decision.reason
    assert robot.core.estop.latched == ""  # it drives on when the sensor is back
    robot.joints(20)
    robot.wrench(20)
    assert robot.propose(20).authority == "policy"


def test_a_sensor_that_measures_nan_counts_as_silent(bench_of):
    robot = Touching(bench_of)
    robot.driving()
    for k in range(8, 20):
        robot.joints(k)
        robot.wrench(k, force=(float("nan"), 0.0, 0.0))
        decision = robot.propose(k)
    assert (decision.authority, decision.sent[1]) == (NOBODY, 0.0)
    assert "contact: wrench (wrench): silent for 0.60 s" in decision.reason


def test_a_contract_without_thresholds_needs_no_sensor(bench_of):
    robot = Touching(bench_of, TEXT.partition("safety:")[0])
    robot.joints(0, effort=99.0)
    assert robot.propose(0).authority == "policy"
    assert set(robot.core.measurements) == {"joint_states"}
