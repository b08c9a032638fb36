"""Publishers on one joint_states topic: each its own joints is fine, two of the same joint are named."""

import time

import pytest
import rclpy
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from supervised import CONTRACT as SUPERVISED
from supervised import Rig

from il_ros.core import contract
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.diagnostics import WARN
from il_ros.nodes.runtime.proposer import Proposer, declare_tick
from il_ros.records import proposal

TEXT = """
name: arm_and_gripper
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [arm, finger], max_age_s: 0.5}
actions:
  arm: {topic: commands, type: std_msgs/msg/Float64MultiArray, names: [arm], reference: joints, limits: {speed: 1.0}}
"""
CONTRACT = contract.parse(TEXT, "test")
NAMED = (
    "come from two publishers: [arm, finger] in frame 'base_link' and [finger, arm] within 1 s; stop one of them, or "
    "remap its topic; the topic's publishers: "
)


class Source(managed.PlainNode):
    """Proposes the observed position of the arm by a timer."""

    def __init__(self, **kwargs):
        super().__init__("expert", **kwargs)
        declare_tick(self)
        self.seen = []
        self.proposer = Proposer(self, CONTRACT, "expert", self._answer)

    def _answer(self, observation):
        self.seen.append(observation.values["joints"].tolist())
        return proposal.Answer(observation.values["joints"][None, :1])


@pytest.fixture
def driver(graph):
    """Return make(name) -> send(names, positions, frame): a node that publishes joint states."""

    def make(name):
        node = graph._add(rclpy.create_node(name))
        publisher = node.create_publisher(JointState, "joint_states", 10)

        def send(names, positions, frame=""):
            message = JointState(name=list(names), position=[float(value) for value in positions])
            now_ns = time.time_ns()
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(now_ns, 10**9)
            message.header.frame_id = frame
            publisher.publish(message)

        return send

    return make


def test_a_source_sees_the_joints_of_two_drivers(graph, driver):
    source, arm, hand = graph.start(Source), driver("arm_driver"), driver("hand_driver")

    def seen():
        arm(["arm"], [0.5])
        hand(["finger"], [0.02])
        return [0.5, 0.02] in source.seen

    graph.until(seen, "an observation of both")
    assert {tuple(each) for each in source.seen} == {(0.5, 0.02)}


def test_a_source_names_two_publishers_of_the_same_joints(graph, driver):
    source, arm, other = graph.start(Source), driver("arm_driver"), driver("gui")
    proposals = graph.received("expert/proposal", proposal.TYPE)

    def told():
        arm(["arm", "finger"], [0.5, 0.02], "base_link")
        other(["finger", "arm"], [0, 0])
        return "two publishers" in source.proposer.status().message

    graph.until(told, "the reason")
    count = len(proposals)
    for _ in range(10):
        told()
        graph.spin(0.02)
    assert len(proposals) == count
    status = source.proposer.status()
    assert status.level == WARN
    assert NAMED in status.message
    assert {"/arm_driver", "/gui"} == set(status.message.rpartition("publishers: ")[2].split(", "))


def test_the_recorder_refuses_and_names_two_publishers_of_the_same_joints(graph, driver, tmp_path):
    (tmp_path / "contract.yaml").write_text(TEXT)
    given = {"contract": str(tmp_path / "contract.yaml"), "root": str(tmp_path / "root"), "min_free_bytes": 0}
    recorder, arm, other = graph.start(Recorder, **given), driver("arm_driver"), driver("gui")

    def refused():
        arm(["arm", "finger"], [0.5, 0.02], "base_link")
        other(["finger", "arm"], [0, 0])
        graph.spin(0.02)
        return recorder._recorder.streams["/joint_states"].fault

    graph.until(refused, "both at the recorder")
    response = graph.call("/recorder/start", Trigger)
    assert not response.success
    assert response.message.startswith("not started, /joint_states: 'arm', 'finger' " + NAMED)
    assert {"/arm_driver", "/gui"} == set(response.message.rpartition("publishers: ")[2].split(", "))


def test_the_supervisor_starts_no_ramp_between_two_publishers_of_the_same_joints(
    graph, contract_file, driver
):
    rig = Rig(graph, contract_file).ready()
    other = driver("gui")

    def told():
        rig.measure(0.1, 0.2)
        other(["joint1", "joint2", "other"], [0, 0, 0])
        graph.spin(0.02)
        decision = rig.propose("policy", 0.11, 0.22, 0.0)
        return "two publishers" in decision.reason and decision

    decision = graph.until(told, "the reason")
    assert decision.sent is None
    assert "/gui" in decision.reason.rpartition("the topic's publishers: ")[2]
    assert "/outside" in decision.reason.rpartition("the topic's publishers: ")[2]


def test_an_effort_that_is_not_a_number_stops_no_ramp(graph, tmp_path):
    path = tmp_path / "effort.yaml"
    path.write_text(SUPERVISED.replace("max_age_s: 30.0", "fields: [position, effort], max_age_s: 30.0", 1))
    rig = Rig(graph, path).ready()
    assert rig.contract.observation("joints").fields == ("position", "effort")
    rig.measure(0.1, 0.2)
    assert rig.answered("policy", 0.22, 0.11, 0.3).sent is not None
