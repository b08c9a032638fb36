"""Emergency stop and handover with the real nodes in one process, measured by Gazebo."""

from types import SimpleNamespace

import numpy as np
import pytest
from std_srvs.srv import SetBool, Trigger

from il_ros.core import contract, messages
from il_ros.core.share import path
from il_ros.nodes.runtime.streams import message_class
from il_ros.nodes.sim.expert_node import ScriptedExpert
from il_ros.nodes.sim.node import Sim
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records import proposal
from il_ros.records.decision import NOBODY, from_json

ODOMETRY, STRING = "nav_msgs/msg/Odometry", "std_msgs/msg/String"
TERMS = contract.load(path("config", "contracts", "drive.yaml"))
PERIOD_S = TERMS.period_ns * 1e-9
WAIT_S = 60.0
PATIENT = {f"{name}__timeout_s": WAIT_S for name in ("policy", "expert")}


class World:
    """`drive` on Gazebo in lockstep with a supervisor; stores the messages of both."""

    def __init__(self, graph):
        self.graph = graph
        self.supervisor = graph.start(DaggerSupervisor, contract="drive", use_sim_time=True, **PATIENT)
        self.sim = graph.start(
            Sim, task="drive", simulator="gazebo_classic", cameras=False, speed=0.0, lockstep=True,
            paused=True, lockstep_timeout_s=WAIT_S, seed=1,
        )  # fmt: skip
        self._odometry = graph.received("odom", ODOMETRY)
        self._decisions = graph.received("dagger_supervisor/decision", STRING)
        graph.until(lambda: self.graph.outside.count_subscribers("cmd_vel"), "the sim's subscription")

    def go(self):
        assert self.graph.call("sim/pause", SetBool, data=False).success

    @property
    def speed(self):
        return self._odometry[-1].twist.twist.linear.x if self._odometry else 0.0

    @property
    def speeds(self):
        return np.array([message.twist.twist.linear.x for message in self._odometry])

    @property
    def place(self):
        at = self._odometry[-1].pose.pose.position
        return np.array([at.x, at.y])

    @property
    def decisions(self):
        return [from_json(message.data) for message in self._decisions]

    def until(self, condition, what):
        return self.graph.until(condition, what, timeout_s=WAIT_S)

    def frames(self, count):
        """Wait for `count` more frames."""
        wanted = len(self._odometry) + count
        self.until(lambda: len(self._odometry) >= wanted, f"{count} frames")


@pytest.fixture
def world(graph):
    return World(graph)


def ahead(graph, speed):
    """A policy that drives straight ahead and proposes at each frame until stopped."""
    publish = graph.publisher("policy_server/proposal", proposal.TYPE)
    policy = SimpleNamespace(active=True, ready=publish.count)

    def propose(raw):
        if policy.active:
            stamp = messages.stamp_ns(messages.decode(ODOMETRY, raw))
            made = proposal.Proposal("policy", stamp, np.array([[speed, 0.0]]), version="made_up")
            publish(proposal.to_message(made, TERMS.action_names, TERMS.period_ns))

    graph.outside.create_subscription(message_class(ODOMETRY), "odom", propose, 10, raw=True)
    return policy


def test_an_emergency_stop_holds_in_gazebo_until_reset(world):
    policy = ahead(world.graph, 0.3)
    world.until(policy.ready, "the supervisor's subscription")
    world.go()
    world.until(lambda: world.speed > 0.25, "driving")
    assert world.graph.call("dagger_supervisor/estop", SetBool, data=True).success
    world.until(lambda: abs(world.speed) < 0.005, "standing still")
    before = world.place
    world.frames(20)  # a second of proposals during the stop
    assert world.decisions[-1].authority == NOBODY
    assert np.linalg.norm(world.place - before) < 0.005
    assert world.graph.call("dagger_supervisor/estop", SetBool, data=False).success
    world.frames(10)
    assert abs(world.speed) < 0.005, "it latches"
    assert world.graph.call("dagger_supervisor/reset_estop", Trigger).success
    world.until(lambda: world.speed > 0.25, "driving again")


def test_an_expert_takes_over_and_hands_back_without_a_jerk(world):
    policy = ahead(world.graph, 0.5)
    world.until(policy.ready, "the supervisor's subscription")
    world.go()
    world.until(lambda: world.speed > 0.45, "the policy driving")
    world.graph.start(ScriptedExpert, contract="drive", task="drive", use_sim_time=True)
    world.until(lambda: world.decisions[-1].authority == "expert", "the expert's authority")
    world.frames(40)
    driven = [decision.authority for decision in world.decisions if decision.sent is not None]
    assert "policy" in driven
    assert driven[-1] == "expert"
    assert world.graph.call("expert/engage", SetBool, data=False).success
    world.until(lambda: world.decisions[-1].authority == "policy", "the policy's authority again")
    world.frames(10)
    assert world.decisions[-1].authority == "policy"
    # 2 m/s^2 by contract; twice that for the controlled wheels
    assert np.abs(np.diff(world.speeds)).max() < 2 * 2.0 * PERIOD_S


def test_a_reset_begins_the_next_seed_in_gazebo(world):
    before = world.sim.task.corridor.goal
    assert world.graph.call("sim/reset", Trigger).message == "seed 2"
    assert world.sim.task.corridor.goal != before
    start = world.sim.task.corridor.start
    world.until(lambda: np.linalg.norm(world.place - start.xy) < 1e-6, "the new start")
