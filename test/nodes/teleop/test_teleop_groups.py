"""Devices that take one action group, on a real graph."""

import json

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import SetBool

from il_ros.core import contract, messages
from il_ros.nodes.runtime.parameters import ParameterError
from il_ros.nodes.sim.expert_node import ScriptedExpert
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.nodes.teleop.joy_node import TeleopJoy
from il_ros.records import proposal
from il_ros.records.decision import from_json

JOY, STRING = "sensor_msgs/msg/Joy", "std_msgs/msg/String"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TEXT = """
name: two_carts
rate_hz: 50
observations:
  camera: {topic: image, type: sensor_msgs/msg/Image, max_age_s: 0.1, image: {width: 8, height: 8}}
actions:
  left: {topic: left/cmd_vel, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 1.0}}
  right: {topic: right/cmd_vel, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 1.0}}
groups: {one: [left], other: [right]}
"""
OWN = contract.parse(TEXT, "two_carts")
AXES = ["left/linear.x 0 0.5", "right/linear.x 1 0.25"]
DEADMEN = ["one 1", "other 2"]


@pytest.fixture
def contract_file(tmp_path):
    (tmp_path / "carts.yaml").write_text(TEXT)
    return str(tmp_path / "carts.yaml")


class Pad:
    """A gamepad with a deadman for all (button 0) and one for each group."""

    def __init__(self, graph, contract_file):
        self.graph = graph
        graph.start(
            TeleopJoy,
            contract=contract_file,
            axes=AXES,
            deadmen=DEADMEN,
            deadman_button=0,
            deadzone=0.0,
            timeout=30.0,
        )
        self._publish = graph.publisher("joy", JOY)
        self._received = graph.received("expert/proposal", proposal.TYPE)
        graph.until(self._publish.count, "subscription")

    @property
    def proposals(self):
        read = proposal.from_message
        return [read(each, OWN.action_names, OWN.period_ns, OWN.groups) for each in self._received]

    def hold(self, *buttons):
        pressed = np.array([place in buttons for place in range(3)], np.int32)
        self._publish(messages.make(JOY, axes=np.ones(2, np.float32), buttons=pressed))

    def until(self, condition, what):
        return self.graph.until(lambda: next(filter(condition, self.proposals), None), what)


def test_a_deadman_of_a_group_proposes_for_this_group(graph, contract_file):
    pad = Pad(graph, contract_file)
    pad.hold(1)
    one = pad.until(lambda each: each.groups == ("one",), "a proposal for the first cart")
    assert one.chunk[0, 0] == 0.5
    assert np.isnan(one.chunk[0, 1])
    pad.hold(1, 2)
    both = pad.until(lambda each: not each.releases and each.groups == (), "a proposal for both")
    np.testing.assert_allclose(both.chunk, [[0.5, 0.25]])


def test_a_group_is_released_when_its_deadman_is_while_the_other_goes_on(graph, contract_file):
    pad = Pad(graph, contract_file)
    pad.hold(0)
    pad.until(lambda each: each.groups == (), "a proposal for both")
    pad.hold(2)
    released = pad.until(lambda each: each.releases, "a release")
    assert released.groups == ("one",)
    pad.until(lambda each: not each.releases and each.groups == ("other",), "a proposal for the second cart")
    pad.hold()
    pad.until(lambda each: each.releases and each.groups == ("other",), "the release of the second cart")


def test_a_deadman_of_an_unknown_group_is_refused(graph, contract_file):
    with pytest.raises(ParameterError, match="'arm' is not a group of the contract; it has: one, other"):
        graph.start(TeleopJoy, contract=contract_file, axes=AXES, deadmen=["arm 3"])


def test_the_supervisor_says_who_drives_each_group_and_commands_no_other(graph, contract_file):
    graph.start(DaggerSupervisor, contract=contract_file, sources=["expert"], discovery_s=0.1, silence_s=0.1)
    statuses = graph.received("dagger_supervisor/status", STRING, LATCHED)
    decisions = graph.received("dagger_supervisor/decision", STRING)
    commands = {
        side: graph.received(f"{side}/cmd_vel", "geometry_msgs/msg/Twist") for side in ("left", "right")
    }
    pad = Pad(graph, contract_file)
    pad.hold(2)
    graph.until(
        lambda: commands["right"] and commands["right"][-1].linear.x == 0.25, "the second cart's command"
    )
    assert not commands["left"]
    graph.until(
        lambda: statuses and json.loads(statuses[-1].data)["authority"] == "none+expert", "the status"
    )
    said = json.loads(statuses[-1].data)["groups"]
    assert (said["one"]["authority"], said["other"]["authority"]) == ("none", "expert")
    made = graph.until(
        lambda: next(
            (d for d in map(from_json, (m.data for m in decisions)) if d.authority == "none+expert"), None
        ),
        "its decision",
    )
    assert np.isnan(made.sent[0])


def test_a_scripted_expert_is_engaged_in_one_group(graph, tmp_path):
    """The drive robot's two numbers are of one action; so the test gives the arm's two actions a group each."""
    text = contract.find("arm_reach").text
    (tmp_path / "reach.yaml").write_text(text + "\ngroups: {arm: [arm], hand: [gripper]}\n")
    own = contract.load(tmp_path / "reach.yaml")
    graph.start(ScriptedExpert, contract=str(tmp_path / "reach.yaml"), task="reach", engaged=False)
    received = graph.received("expert/proposal", proposal.TYPE)
    joints = graph.publisher("joint_states", "sensor_msgs/msg/JointState")
    goal = graph.publisher("goal_pose", "geometry_msgs/msg/PoseStamped")
    graph.in_line(joints, goal)
    assert graph.call("expert/hand/engage", SetBool, data=True).message == "proposing"
    names = [*own.observation("joints").names]

    def answered():
        now_ns = graph.outside.get_clock().now().nanoseconds
        head = messages.header(now_ns)
        place = messages.make("geometry_msgs/msg/Point", x=0.3, y=0.0, z=0.15)
        upright = messages.make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
        pose = messages.make("geometry_msgs/msg/Pose", position=place, orientation=upright)
        goal(messages.make("geometry_msgs/msg/PoseStamped", header=head, pose=pose))
        zeros = np.full(len(names), 0.02)
        joints(
            messages.make(
                "sensor_msgs/msg/JointState",
                header=head,
                name=names,
                position=zeros,
                velocity=zeros,
                effort=zeros,
            )
        )
        return received

    graph.until(answered, "a proposal")
    found = proposal.from_message(received[0], own.action_names, own.period_ns, own.groups)
    assert found.groups == ("hand",)
    graph.call("expert/hand/engage", SetBool, data=False)
    graph.until(lambda: not received[-1].points, "the release")
    assert list(received[-1].joint_names) == ["gripper/gripper"]
