"""The contract's section `safety` on a real graph: contact, workspace, and a robot that does not follow."""

import numpy as np
import pytest
from std_srvs.srv import Trigger
from supervised import CONTRACT, Rig

from il_ros.core import messages
from il_ros.records.decision import NOBODY

WRENCH = "geometry_msgs/msg/WrenchStamped"
URDF = """
<robot name="planar">
  <link name="base"/><link name="upper"/><link name="tip"/>
  <joint name="joint1" type="revolute">
    <parent link="base"/><child link="upper"/><axis xyz="0 0 1"/>
    <limit lower="-3" upper="3" effort="1" velocity="1"/>
  </joint>
  <joint name="joint2" type="prismatic">
    <parent link="upper"/><child link="tip"/><origin xyz="0.5 0 0"/><axis xyz="1 0 0"/>
    <limit lower="-3" upper="3" effort="1" velocity="1"/>
  </joint>
</robot>
"""
SENSED = CONTRACT.replace(
    "actions:",
    "  wrench: {topic: wrench, type: geometry_msgs/msg/WrenchStamped, max_age_s: 30.0}\nactions:",
)
BOX = "{description: planar.urdf, tool: tip, lower: [-1, -1, -1], upper: [0.6, 1, 1]}"


@pytest.fixture
def contract_file(tmp_path):
    (tmp_path / "planar.urdf").write_text(URDF)
    path = tmp_path / "contract.yaml"
    path.write_text(f"{SENSED}safety:\n  contact: {{wrench: {{force: 20.0}}}}\n  workspace: {BOX}\n")
    return path


@pytest.fixture
def rig(graph, contract_file):
    return Rig(graph, contract_file).ready()


def push(rig, force):
    publish = rig.graph.publisher("wrench", WRENCH)
    rig.graph.in_line(publish)
    message = messages.make(WRENCH, header=messages.header(rig.now))
    message.wrench.force.z = force
    publish(message)


def test_a_contact_stops_the_robot_until_a_person_releases_it(rig):
    rig.measure(0.0, 0.0)
    waiting = rig.propose("policy", 0.02, 0.0, 0.3)
    assert (waiting.authority, "wrench (wrench): nothing received" in waiting.reason) == (NOBODY, True)
    push(rig, 5.0)
    assert rig.answered("policy", 0.02, 0.0, 0.3).sent[2] == 0.3
    push(rig, 25.0)
    reason = "contact: force of wrench (wrench) is 25, at most 20 is allowed"
    rig.graph.until(lambda: rig.decisions[-1].reason == reason, "the stop")
    assert rig.decisions[-1].sent[2] == 0.0
    rig.graph.until(lambda: rig.statuses[-1]["estop"] == reason, "the status")
    assert rig.graph.call("dagger_supervisor/reset_estop", Trigger).success


def test_the_tool_stays_in_the_workspace_of_the_robots_description(rig):
    rig.measure(0.0, 0.0)
    push(rig, 0.0)
    limited = []
    for _ in range(8):  # joint2 would slide the tip to 0.5 + 0.9 m; the box ends at 0.6 m
        decision = rig.answered("policy", 0.9, 0.0, 0.0)
        limited += decision.limited
    assert "arm/workspace" in limited
    assert 0.05 <= decision.sent[0] <= 0.1 + 1e-6


def test_a_description_that_is_not_there_refuses_the_configuration(graph, contract_file):
    (contract_file.parent / "planar.urdf").unlink()
    from il_ros.nodes.supervisor.node import DaggerSupervisor

    node = graph.start(DaggerSupervisor, contract=str(contract_file))
    assert node.state == "unconfigured"
    assert "planar.urdf: cannot read the robot's description" in node._last_error[1]


def test_a_robot_that_does_not_follow_is_stopped(graph, tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text(CONTRACT)
    rig = Rig(graph, path, unresponsive_s=0.5, following_error=0.2).ready()
    rig.measure(0.0, 0.0)

    def stopped():
        rig.propose("policy", 0.9, 0.0, 0.0)
        return "has not followed the commands" in rig.statuses[-1]["estop"]

    graph.until(stopped, "the stop of a robot that stands still")
    assert "arm/joint2 is at 0" in rig.statuses[-1]["estop"]
    assert np.isfinite(rig.arm[-1].data).all()
