"""The node that makes a gz-sim the task's robot, on a real graph; MuJoCo stands in gz's place.

gz-sim is not available to these tests. The stand-in uses the topics that the bridge carries.
"""

import json
import re

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from il_ros.core import messages
from il_ros.core.specs import JOINT_STATE, POSE
from il_ros.nodes.runtime.diagnostics import ERROR, OK
from il_ros.nodes.sim.expert_node import ScriptedExpert
from il_ros.nodes.sim.gz_node import SimGz
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.sim.gz.arm import NAMES
from il_ros.sim.tasks.task import make_task

CLOCK, FLOAT, BOOL, STRING = (
    *("rosgraph_msgs/msg/Clock", "std_msgs/msg/Float64"),
    *("std_msgs/msg/Bool", "std_msgs/msg/String"),
)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STEP_NS = 10_000_000  # 100 Hz: faster than the control rate, as gz is
WAIT_S = 60.0

PROGRAM = """#!/bin/sh
for word; do last=$word; done
printf '%s\\n' "$last" >>{file}
echo 'data: true'
"""


class Gz:
    """Physics of the push task behind the bridge's topics."""

    def __init__(self, graph, requests):
        self.graph, self.requests = graph, requests
        self.scene = make_task("push").scene
        self.scene.begin()
        self.time_ns, self._done = 1_000_000_000, 0
        self._targets = {name: graph.received(f"arm/{name}/target", FLOAT, 1) for name in NAMES}
        self._clock = graph.publisher("/clock", CLOCK)
        self._joints = graph.publisher("gz/joint_states", JOINT_STATE)
        self._object = graph.publisher("gz/object_pose", POSE)
        self.published = (self._joints, self._object)

    def step(self):
        self._put()
        wanted = [found[-1].data if found else 0.0 for found in self._targets.values()]
        self.scene.command_arm(np.array(wanted[:6]))
        self.scene.command_gripper(wanted[6] + wanted[7])
        self.scene.advance(STEP_NS)
        self.time_ns += STEP_NS
        header = messages.header(self.time_ns)
        self._clock(messages.make(CLOCK, clock=header.stamp))
        pose = messages.make(POSE, header=header)
        at, turn = pose.pose.position, pose.pose.orientation
        at.x, at.y, at.z = self.scene.object_m
        turn.w, turn.x, turn.y, turn.z = self.scene.object_quaternion
        self._object(pose)
        data, zeros = self.scene.data, np.zeros(8)
        self._joints(
            messages.make(
                JOINT_STATE, header=header, name=list(NAMES), position=np.array(data.qpos[:8]),
                velocity=np.array(data.qvel[:8]), effort=zeros,
            )
        )  # fmt: skip

    def _put(self):
        """Carry out the calls of `gz service`."""
        lines = self.requests.read_text().splitlines() if self.requests.exists() else []
        for line in lines[self._done :]:
            for name, x, y, z, w, _, _, qz in re.findall(POSE_TEXT, line):
                place = np.array([float(x), float(y), float(z)])
                if name == "object":
                    self.scene.set_object(place, 2 * np.arctan2(float(qz), float(w)))
                else:
                    self.scene.set_goal(place)
        self._done = len(lines)


NUMBER = r"(-?[\d.e-]+)"
POSE_TEXT = (
    rf'name: "(\w+)" position {{x: {NUMBER} y: {NUMBER} z: {NUMBER}}} '
    rf"orientation {{w: {NUMBER} x: {NUMBER} y: {NUMBER} z: {NUMBER}}}"
)


@pytest.fixture
def gz(graph, tmp_path, monkeypatch):
    program = tmp_path / "gz"
    program.write_text(PROGRAM.format(file=tmp_path / "requests"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Gz(graph, tmp_path / "requests")


def run(gz, condition, what, steps=3000):
    """Step gz until the condition holds, and spin the nodes after each step."""
    for _ in range(steps):
        if condition():
            return
        gz.step()
        gz.graph.settle()
    raise AssertionError(f"{what}: not within {steps} steps")


def test_the_expert_pushes_the_block_through_the_bridges_topics(graph, gz):
    graph.start(DaggerSupervisor, contract="arm_push", use_sim_time=True)
    node = graph.start(SimGz, task="push", seed=3)
    success = graph.received("task/success", BOOL, LATCHED)
    episodes = graph.received("task/episode", STRING, LATCHED)
    joints = graph.received("joint_states", JOINT_STATE)
    graph.in_line(*gz.published)
    run(gz, lambda: episodes, "the first episode")
    assert json.loads(episodes[0].data) == {"task": "push", "seed": 3, "number": 0}
    home = np.array(list(node.scene.targets.values()))[:6]
    run(gz, lambda: np.abs(gz.scene.joints.position[:6] - home).max() < 0.05, "the arm's start")
    graph.start(ScriptedExpert, contract="arm_push", task="push", use_sim_time=True)
    run(gz, lambda: success[-1].data, "success")
    assert np.linalg.norm(gz.scene.object_m[:2] - gz.scene.goal_m[:2]) < 0.03
    stamps = [messages.stamp_ns(message) for message in joints]
    assert set(np.diff(stamps)) == {50_000_000}  # 20 Hz of gz's 100
    assert joints[-1].name == [*(f"joint{k}" for k in range(1, 7)), "gripper"]
    answer = graph.call("sim/reset", Trigger)
    assert (answer.success, answer.message) == (True, "seed 4")
    gz.step()
    np.testing.assert_allclose(gz.scene.goal_m, node.scene.goal_m, atol=1e-8)


def test_before_gz_publishes_a_reset_names_what_is_missing(graph, gz):
    node = graph.start(SimGz, task="push")
    answer = graph.call("sim/reset", Trigger)
    assert not answer.success
    assert "no message on gz/joint_states, gz/object_pose" in answer.message
    assert "do gz and its bridge run?" in node.status().message


def test_no_episode_begins_until_gz_places_the_models(graph, gz, tmp_path):
    program = (tmp_path / "gz").read_text()
    (tmp_path / "gz").write_text("#!/bin/sh\necho no such service\n")
    node = graph.start(SimGz, task="push", seed=3)
    episodes = graph.received("task/episode", STRING, LATCHED)
    joints = graph.received("joint_states", JOINT_STATE)
    graph.in_line(*gz.published)
    run(gz, lambda: node.status().level == ERROR, "the refusal")
    assert "no episode yet" in node.status().message
    assert "set_pose_vector: gz refused the request: no such service" in node.status().message
    answer = graph.call("sim/reset", Trigger)
    assert not answer.success
    assert "set_pose_vector: gz refused the request: no such service" in answer.message
    assert episodes == joints == []  # no frames before the first start
    (tmp_path / "gz").write_text(program)
    run(gz, lambda: episodes and joints, "the first episode", 100_000)  # without a request
    assert json.loads(episodes[0].data) == {"task": "push", "seed": 3, "number": 0}
    assert node.status().level == OK


def test_a_reset_that_gz_refuses_does_not_change_the_episode(graph, gz, tmp_path):
    node = graph.start(SimGz, task="push", seed=3)
    episodes = graph.received("task/episode", STRING, LATCHED)
    graph.in_line(*gz.published)
    run(gz, lambda: episodes, "the first episode")
    (tmp_path / "gz").write_text("#!/bin/sh\necho no such service\n")
    targets, goal = dict(node.scene.targets), node.scene.goal_m.tolist()
    assert not graph.call("sim/reset", Trigger).success
    assert dict(node.scene.targets) == targets
    assert node.scene.goal_m.tolist() == goal
    gz.scene.set_object(gz.scene.object_m + np.array([0.2, 0.0, 0.0]))
    run(gz, lambda: np.allclose(node.scene.object_m, gz.scene.object_m, atol=1e-3), "the block's pose", 20)
    assert len(episodes) == 1
    assert node.get_parameter("seed").value == 4  # not counted up
