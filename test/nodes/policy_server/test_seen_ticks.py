"""What the policy server's policy sees on a real graph: past ticks whoever drives, without a silent optional stream."""

import time

import made_versions as made
import numpy as np
import pytest
from std_srvs.srv import Trigger

from il_ros.core import contract, messages
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.runtime.diagnostics import OK, WARN
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.policies import checkpoint
from il_ros.policies.runner import LoadedPolicy
from il_ros.records import proposal
from il_ros.records.decision import from_json

JOINT_STATE, POINT = "sensor_msgs/msg/JointState", "geometry_msgs/msg/PointStamped"
LINE = "  goal: {topic: goal, type: geometry_msgs/msg/PointStamped, max_age_s: 0.1}\nactions:"
TEXT = made.TEXT.replace("actions:", LINE)
OWN = contract.parse(TEXT, "own.yaml")


class Robot:
    """Joints at the contract's ticks, with or without a goal; a supervisor in a mode, and a policy server."""

    def __init__(self, graph, tmp_path, mode="policy", **settings):
        (tmp_path / "own.yaml").write_text(TEXT)
        policy = made.constant_policy(OWN, made.RIGHT, "v1", **settings)
        checkpoint.save(tmp_path / "checkpoint", policy)
        self.graph = graph
        self.decisions = graph.received("dagger_supervisor/decision", "std_msgs/msg/String")
        self.raw = graph.received_raw("policy_server/proposal", proposal.TYPE)
        self._joints, self._goal = (
            graph.publisher("joint_states", JOINT_STATE),
            graph.publisher("goal", POINT),
        )
        self._expert = graph.publisher("expert/proposal", proposal.TYPE)
        supervisor = graph.start(
            DaggerSupervisor, contract=str(tmp_path / "own.yaml"), mode=mode, discovery_s=0.1, silence_s=30.0,
            without_measurement="trust", policy__timeout_s=30.0, policy__max_age_s=30.0,
            policy__max_observation_age_s=30.0, expert__timeout_s=30.0, expert__max_age_s=30.0,
        )  # fmt: skip
        self.server = graph.start(PolicyServer, checkpoint=str(tmp_path / "checkpoint"), inference="inline")
        graph.in_line(self._joints, self._goal)
        proposals = self.server._proposer._publisher
        graph.until(lambda: proposals.get_subscription_count() >= 2, "supervisor and test see the proposals")
        graph.until(
            lambda: supervisor._decisions.get_subscription_count() >= 2,
            "policy server and test see decisions",
        )
        self.stamp_ns, self.count = graph.outside.get_clock().now().nanoseconds - 10**10, 0

    def tick(self, goal=False, answered=True):
        """Publish joints whose `a` counts the ticks, and wait for the proposal.

        A period passes between two ticks: the supervisor sends one command per period, also in a burst.
        """
        time.sleep(OWN.period_ns / 1e9)
        self.stamp_ns += OWN.period_ns
        self.count += 1
        head = messages.header(self.stamp_ns)
        if goal:
            point = messages.make("geometry_msgs/msg/Point", x=0.1, y=0.2, z=0.3)
            self._goal(messages.make(POINT, header=head, point=point))
            self.graph.settle()
        values = np.array([float(self.count), 0.0])
        self._joints(messages.make(JOINT_STATE, header=head, name=["a", "b"], position=values))
        if not answered:
            self.graph.settle()
            return None
        self.graph.until(lambda: self.raw and self.proposed().stamp_ns == self.stamp_ns, "the proposal")
        return self.proposed()

    def expert_proposes(self):
        """Propose for the next tick, so that the expert drives there."""
        made_up = proposal.Proposal("expert", self.stamp_ns + OWN.period_ns, np.array([[0.5, 0.5]]))
        self._expert(proposal.to_message(made_up, OWN.action_names, OWN.period_ns))
        self.graph.settle()

    def proposed(self):
        return proposal.decode(self.raw[-1], OWN.action_names, OWN.period_ns)

    def decided(self):
        """Return the decision of the newest tick."""

        def found():
            newest = [from_json(each.data) for each in self.decisions[-5:]]
            return next((each for each in newest if each.stamp_ns == self.stamp_ns), None)

        return self.graph.until(found, "the decision")


@pytest.fixture
def seen(monkeypatch):
    """The first joint of each tick in the windows that the policy was given."""
    windows, compute = [], LoadedPolicy.act_in_parts

    def act_in_parts(policy, given, *args, **words):
        if not isinstance(given, dict):
            windows.append([float(each["joints"][0]) for each in given])
        return compute(policy, given, *args, **words)

    monkeypatch.setattr(LoadedPolicy, "act_in_parts", act_in_parts)
    return windows


def test_a_silent_optional_stream_stops_no_policy_and_the_record_names_it(graph, tmp_path):
    robot = Robot(graph, tmp_path, optional=("goal",))
    answer = robot.tick()
    assert answer.missing == ("goal",)
    decision = robot.decided()
    assert (decision.authority, decision.missing, decision.sent) == ("policy", ("goal",), made.RIGHT)
    status = robot.server.status()
    assert status.level == WARN
    assert status.message == "proposing without optional observations: goal (goal): nothing received"
    assert status.values["ticks without goal"] == 1
    assert robot.tick(goal=True).missing == ()
    assert robot.decided().missing == ()
    assert robot.server.status().level == OK
    for _ in range(2):
        assert robot.tick().missing == ()  # 0.1 s old at most
    assert robot.tick().missing == ("goal",)
    assert "goal (goal): stale, 0.150 s old at the tick" in robot.server.status().message


def test_a_required_stream_still_stops_the_policy(graph, tmp_path):
    robot = Robot(graph, tmp_path)
    robot.tick(answered=False)
    assert robot.raw == []
    assert "no observation: goal (goal): nothing received" in robot.server.status().message
    assert robot.tick(goal=True).missing == ()


def test_the_window_has_the_ticks_whoever_drove_and_ends_at_an_episode(graph, tmp_path, seen):
    robot = Robot(graph, tmp_path, mode="expert", optional=("goal",), history=3)
    robot.expert_proposes()
    for _ in range(5):
        robot.tick()
    authorities = {from_json(each.data).authority for each in robot.decisions}
    assert "expert" in authorities
    assert "policy" not in authorities
    assert seen[-5:] == [[1], [1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
    generation = robot.server._generation.generation
    graph.call("dagger_supervisor/restart", Trigger)
    graph.until(lambda: robot.server._generation.generation > generation, "the status")
    robot.tick()
    assert seen[-1] == [6]
