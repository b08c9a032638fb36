"""A leader arm on a real graph: engaged by service or pedal, only when aligned."""

import numpy as np
import pytest
from std_srvs.srv import SetBool

from il_ros import contract, messages
from il_ros.control import proposal
from il_ros.nodes.teleop_leader import TeleopLeader

JOINT_STATE, BOOL = "sensor_msgs/msg/JointState", "std_msgs/msg/Bool"
ARM = """
name: two_joints
rate_hz: 50
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, fields: [position], names: [a, b],
           unit: rad, max_age_s: 0.5}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad,
        reference: joints, safe: hold, limits: {speed: 1.0}}
"""
CONTRACT = contract.parse(ARM, "arm")


def joints(names, positions, stamp_ns=1_000_000_000):
    return messages.make(
        JOINT_STATE, header=messages.header(stamp_ns), name=names, position=np.array(positions, float)
    )


class Arms:
    """Leader and follower; each `tick` publishes both, one control period on."""

    def __init__(self, graph, tmp_path, **parameters):
        (tmp_path / "arm.yaml").write_text(ARM)
        lines = ["arm/a l1 -1 0.5", "arm/b l2"]
        self.graph = graph
        self.node = graph.start(
            TeleopLeader, contract=str(tmp_path / "arm.yaml"), joints=lines, timeout=0.5, **parameters
        )
        self._leader = graph.publisher("leader/joint_states", JOINT_STATE)
        self._follower = graph.publisher("joint_states", JOINT_STATE)
        self.heard = graph.received("expert/proposal", proposal.TYPE)
        self._stamp_ns = 1_000_000_000
        graph.until(lambda: self._leader.count() and self._follower.count(), "subscriptions")

    def tick(self, leader=(0.1, 0.2), follower=(0.4, 0.2)):
        """Return True once the node has answered or has been silent at a new tick."""
        self._stamp_ns += CONTRACT.period_ns
        if leader is not None:
            self._leader(joints(["l1", "l2"], leader))
        self._follower(joints(["a", "b"], follower, self._stamp_ns))
        self.graph.spin(0.02)

    def ticked(self):
        def done():
            self.tick()
            return self.node.status().values.get("ticks silent by choice")

        self.graph.until(done, "a silent tick")

    def enable(self, on=True):
        return self.graph.call("expert/enable", SetBool, data=on)


def test_it_is_silent_until_enabled_then_follows_by_name_and_sign(graph, tmp_path):
    arms = Arms(graph, tmp_path)
    arms.ticked()
    assert arms.heard == []
    arms.tick()
    response = arms.enable()
    assert (response.success, response.message) == (True, "engaged")
    arms.tick(leader=(0.0, 0.3))
    graph.until(lambda: arms.heard, "a proposal")
    got = proposal.from_message(arms.heard[-1], CONTRACT.action_names, CONTRACT.period_ns)
    np.testing.assert_allclose(got.chunk, [[0.5, 0.3]])  # a = 0.5 - l1, b = l2


def test_it_refuses_to_engage_far_from_the_follower_and_says_which_joint(graph, tmp_path):
    arms = Arms(graph, tmp_path, max_difference=0.1)
    arms.ticked()
    arms.tick(follower=(0.4, 0.9))
    response = arms.enable()
    assert not response.success
    assert "arm/b: the follower is +0.700 from the leader's l2, 0.1 is allowed" in response.message


def test_without_a_leader_it_refuses_to_engage(graph, tmp_path):
    arms = Arms(graph, tmp_path)
    arms.tick(leader=None)
    response = arms.enable()
    assert not response.success
    assert "nothing on leader/joint_states" in response.message


def test_released_it_lets_go_and_is_silent(graph, tmp_path):
    arms = Arms(graph, tmp_path)
    arms.ticked()
    arms.tick()
    assert arms.enable().success
    arms.tick()
    graph.until(lambda: arms.heard, "a proposal")
    assert arms.enable(False).message == "released"
    graph.until(lambda: not arms.heard[-1].points, "its last word")
    count = len(arms.heard)
    arms.tick()
    arms.tick()
    assert len(arms.heard) == count


def test_a_pedal_engages_and_lets_go(graph, tmp_path):
    arms = Arms(graph, tmp_path)
    pedal = graph.publisher("expert/enable", BOOL)
    graph.until(pedal.count, "subscription")
    arms.ticked()

    def proposes():
        pedal(messages.make(BOOL, data=True))
        arms.tick()
        return arms.heard

    graph.until(proposes, "a proposal")


def test_a_leader_that_falls_silent_lets_go_until_enabled_again(graph, tmp_path):
    arms = Arms(graph, tmp_path)
    arms.ticked()
    arms.tick()
    assert arms.enable().success

    def let_go():
        arms.tick(leader=None)
        return arms.node.status().message == "silent by choice"

    graph.until(let_go, "silence after 0.5 s without the leader")
    graph.until(lambda: not arms.heard[-1].points, "its last word")
    count = len(arms.heard)
    arms.tick()
    arms.tick()
    assert len(arms.heard) == count


@pytest.mark.parametrize("lines", [["arm/a l1"], ["arm/a l1 x", "arm/b l2"]])
def test_a_wrong_map_is_refused_at_start(graph, tmp_path, lines):
    (tmp_path / "arm.yaml").write_text(ARM)
    with pytest.raises(ValueError, match="joints"):
        graph.start(TeleopLeader, contract=str(tmp_path / "arm.yaml"), joints=lines)
