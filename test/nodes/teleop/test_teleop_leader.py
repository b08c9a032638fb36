"""A leader arm on a real graph: engaged by service or pedal, only when aligned."""

import numpy as np
import pytest
from std_srvs.srv import SetBool

from il_ros.core import contract, messages
from il_ros.nodes.teleop.leader_node import TeleopLeader
from il_ros.records import proposal

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
    """Leader and follower; each `tick` publishes both, one control period later."""

    def __init__(self, graph, tmp_path, **parameters):
        (tmp_path / "arm.yaml").write_text(ARM)
        lines = ["arm/a l1 -1 0.5", "arm/b l2"]
        self.graph = graph
        self.node = graph.start(
            TeleopLeader,
            contract=str(tmp_path / "arm.yaml"),
            joints=lines,
            **{"timeout": 30.0, **parameters},
        )
        self._leader = graph.publisher("leader/joint_states", JOINT_STATE)
        self._follower = graph.publisher("joint_states", JOINT_STATE)
        self.proposals = graph.received("expert/proposal", proposal.TYPE)
        self._stamp_ns = 1_000_000_000
        graph.until(self._leader.count, "subscription")
        graph.in_line(self._follower)

    def tick(self, leader=(0.1, 0.2), follower=(0.4, 0.2)):
        """Return True once the node has answered or skipped a new tick."""
        self._stamp_ns += CONTRACT.period_ns
        if leader is not None:
            for name, position in zip(("l1", "l2"), leader, strict=True):  # each by a message of its own
                if position is not None:
                    self._leader(joints([name], [position]))
        self._follower(joints(["a", "b"], follower, self._stamp_ns))
        self.graph.spin(0.02)

    def ticked(self):
        def done():
            self.tick()
            return self.node.status().values.get("ticks silent by choice")

        self.graph.until(done, "a silent tick")

    def enable(self, on=True):
        return self.graph.call("expert/enable", SetBool, data=on)

    def refusal(self, message, **seen):
        """Tick and enable until refused for this reason; on a busy machine another may come first."""

        def refused():
            self.tick(**seen)
            response = self.enable()
            assert not response.success
            return message in response.message

        self.graph.until(refused, message)

    def engage(self):
        """Tick and enable until it proposes."""

        def proposes():
            if not self._engaged:
                self.tick()
                self._engaged = self.enable().success
            self.tick()
            return self.proposals

        self._engaged = False
        self.graph.until(proposes, f"a proposal; the node says: {self.node.status().message}")


def test_it_is_silent_until_enabled_then_maps_joints_by_name_and_sign(graph, tmp_path):
    arms = Arms(graph, tmp_path)
    arms.ticked()
    assert arms.proposals == []

    def engaged():
        arms.tick()
        return arms.enable().message == "engaged"

    graph.until(engaged, "engagement")
    arms.tick(leader=(0.0, 0.3))
    graph.until(lambda: arms.proposals, "a proposal")
    got = proposal.from_message(arms.proposals[-1], CONTRACT.action_names, CONTRACT.period_ns)
    np.testing.assert_allclose(got.chunk, [[0.5, 0.3]])  # a = 0.5 - l1, b = l2


def test_it_refuses_to_engage_far_from_the_follower_and_names_the_joint(graph, tmp_path):
    arms = Arms(graph, tmp_path, max_difference=0.1)
    arms.refusal("arm/b: the follower is +0.700 from the leader's l2, 0.1 is allowed", follower=(0.4, 0.9))


@pytest.mark.parametrize("alignment", ["relative", "blend"])
def test_engaged_apart_from_the_follower_it_begins_at_the_follower(graph, tmp_path, alignment):
    arms = Arms(graph, tmp_path, alignment=alignment, max_difference=1.0, blend_time=1e6)
    apart = {"leader": (0.1, 0.2), "follower": (0.4, 0.9)}  # the leader gives 0.4, 0.2

    def engaged():
        arms.tick(**apart)
        return arms.enable().success

    graph.until(engaged, "engagement")

    def proposed():
        arms.tick(**apart)
        return arms.proposals

    graph.until(proposed, "a proposal")
    got = proposal.from_message(arms.proposals[-1], CONTRACT.action_names, CONTRACT.period_ns)
    np.testing.assert_allclose(got.chunk, [[0.4, 0.9]], atol=1e-3)


def test_without_a_leader_it_refuses_to_engage(graph, tmp_path):
    arms = Arms(graph, tmp_path)
    arms.refusal("nothing on leader/joint_states", leader=None)


def test_after_disabling_it_releases_and_is_silent(graph, tmp_path):
    arms = Arms(graph, tmp_path)
    arms.engage()
    assert arms.enable(False).message == "released"
    graph.until(lambda: not arms.proposals[-1].points, "the releasing proposal")
    count = len(arms.proposals)
    arms.tick()
    arms.tick()
    assert len(arms.proposals) == count


def test_a_pedal_engages_and_releases(graph, tmp_path):
    arms = Arms(graph, tmp_path)
    pedal = graph.publisher("expert/enable", BOOL)
    graph.until(pedal.count, "subscription")
    arms.ticked()

    def proposes():
        pedal(messages.make(BOOL, data=True))
        arms.tick()
        return arms.proposals

    graph.until(proposes, "a proposal")


def test_a_silent_leader_is_released_until_enabled_again(graph, tmp_path):
    arms = Arms(graph, tmp_path, timeout=1.0)
    arms.engage()

    def release():
        arms.tick(leader=None)
        return arms.node.status().message == "silent by choice"

    graph.until(release, "silence after 1 s without the leader")
    graph.until(lambda: not arms.proposals[-1].points, "the releasing proposal")
    count = len(arms.proposals)
    arms.tick()
    arms.tick()
    assert len(arms.proposals) == count


def test_a_leader_of_which_one_joint_falls_silent_is_released(graph, tmp_path):
    arms = Arms(graph, tmp_path, timeout=1.0)
    arms.engage()

    def release():
        arms.tick(leader=(0.1, None))
        return arms.node.status().message == "silent by choice"

    graph.until(release, "silence after 1 s without l2")
    arms.refusal("nothing of 'l2' on leader/joint_states for 1 s", leader=(0.1, None))


@pytest.mark.parametrize("lines", [["arm/a l1"], ["arm/a l1 x", "arm/b l2"]])
def test_a_wrong_map_is_refused_at_start(graph, tmp_path, lines):
    (tmp_path / "arm.yaml").write_text(ARM)
    with pytest.raises(ValueError, match="joints"):
        graph.start(TeleopLeader, contract=str(tmp_path / "arm.yaml"), joints=lines)
