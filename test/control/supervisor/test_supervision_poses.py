"""Commands that no source may propose: quaternions that are not rotations, and absurd numbers."""

import math

import numpy as np
import pytest

from il_ros.control.supervisor.supervision import Supervision, SupervisorOptions
from il_ros.core import codecs, contract, messages
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal

POSE = """
name: tool
rate_hz: 20
observations: {tcp: {topic: tcp, type: geometry_msgs/msg/PoseStamped, max_age_s: 0.2}}
actions:
  gripper: {topic: g, type: std_msgs/msg/Float64MultiArray, names: [width], quantity: velocity, limits: {speed: 1.0}}
  hand: {topic: cmd, type: geometry_msgs/msg/PoseStamped, reference: tcp, limits: {speed: 0.5, acceleration: 5.0}}
"""
UNLIMITED = "limits: {speed: 1.0, acceleration: 5.0}"
ONE = (0.0, 0.0, 0.0, 1.0)


class Tool:
    """A gripper and a pose at rest in the origin, at control periods k."""

    def __init__(self, bench_of):
        self.contract, self.at = contract.parse(POSE, "test"), bench_of.at
        self.core = Supervision(
            self.contract, bench_of().core.proposal_buffer.sources, SupervisorOptions(0.075)
        )

    def propose(self, k, *rotation, position=(0.0, 0.0, 0.0), measured=ONE):
        tcp = messages.make("geometry_msgs/msg/PoseStamped", header=messages.header(self.at(k)))
        for axis, value in zip("xyzw", measured, strict=True):
            setattr(tcp.pose.orientation, axis, value)
        self.core.measured.push("tcp", messages.encode("geometry_msgs/msg/PoseStamped", tcp), self.at(k))
        row = np.array([[0.0, *position, *rotation]])
        return self.core.propose("policy", Proposal("policy", self.at(k), row), self.at(k), self.at(k))


@pytest.mark.parametrize(
    ("quaternion", "norm"),
    [
        ((0.0,) * 4, "0"),
        ((0.0, 0.0, 0.0, 0.004), "0.004"),
        ((0.0, 0.02, 0.0, 0.0), "0.02"),
        ((1.0,) * 4, "2"),
    ],
)
def test_a_quaternion_that_is_not_a_rotation_is_rejected_and_the_pose_holds(bench_of, quaternion, norm):
    tool = Tool(bench_of)
    assert tool.propose(0, *ONE).sent == (0.0, 0.0, 0.0, 0.0, *ONE)
    decision = tool.propose(1, *quaternion)
    assert (decision.authority, decision.sent) == (NOBODY, (0.0, 0.0, 0.0, 0.0, *ONE))
    assert decision.rejected == {
        "policy": f"hand/orientation.x: the quaternion's norm is {norm}, expected 1 (within 0.1)"
    }


def test_a_later_step_of_a_chunk_is_checked_too(bench_of):
    tool = Tool(bench_of)
    tool.propose(0, *ONE)
    chunk = np.array([[0.0, 0.0, 0.0, 0.0, *ONE], [0.0] * 8])
    decision = tool.core.propose("policy", Proposal("policy", tool.at(1), chunk), tool.at(1), tool.at(1))
    assert decision.authority == NOBODY


def test_the_sent_orientation_turns_at_most_at_its_angular_speed(bench_of):  # 0.5 rad/s for 0.05 s: 0.025 rad
    tool = Tool(bench_of)
    angles, last, action = [], np.array(ONE), tool.contract.actions[1]
    for k in range(120):
        half = 1.5 if k < 60 else -1.5  # nearly half a turn about z, and back the other way
        sent = tool.propose(k, 0.0, 0.0, math.sin(half), math.cos(half)).sent
        orientation = codecs.encode(action, np.array(sent[1:]), 1).pose.orientation
        now = np.array([orientation.x, orientation.y, orientation.z, orientation.w])
        angles.append(2.0 * math.acos(min(1.0, abs(float(now @ last)))))
        last = now
    assert max(angles) == pytest.approx(0.025, abs=1e-6)


def test_a_measured_quaternion_of_zero_starts_no_ramp(bench_of):
    tool = Tool(bench_of)
    decision = tool.propose(0, *ONE, measured=(0.0,) * 4)
    assert decision.sent is None
    assert decision.reason.endswith("no ramp can start: hand/orientation.x: the quaternion's norm is 0, expected 1 "
                                    "(within 0.1)")  # fmt: skip


@pytest.mark.parametrize("absurd", [1e308, -1e308, 1.1e9])
def test_an_absurd_number_is_rejected(bench_of, absurd):
    bench = bench_of(bench_of.ARM.replace("limits: {lower: -1.0, upper: 1.0, speed: 1.0}", UNLIMITED))
    bench.running(0.0)
    decision = bench.propose(1, absurd)
    assert (decision.authority, decision.sent) == (NOBODY, (0.0,))
    assert decision.rejected == {"policy": f"arm/joint1 is {absurd:g}, beyond 1e+09"}


def test_without_position_limits_speed_and_acceleration_still_hold(bench_of):
    bench = bench_of(bench_of.ARM.replace("limits: {lower: -1.0, upper: 1.0, speed: 1.0}", UNLIMITED))
    bench.running(0.0)
    sent = [bench.propose(k, 9e8).sent[0] for k in range(1, 8)]
    # 5 rad/s^2: 0.25, 0.5, 0.75 rad/s, then 1 rad/s, each for 0.05 s
    assert sent == pytest.approx(np.cumsum([0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]) * 0.05)
