"""A supervisor on a real graph with a synthetic robot, policy and expert; real or simulated time."""

import json

import numpy as np
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile

from il_ros.core import contract, messages
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records import proposal
from il_ros.records.decision import from_json

CONTRACT = """
name: arm_and_base
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [joint1, joint2], max_age_s: 30.0}
actions:
  arm:
    topic: arm/commands
    type: std_msgs/msg/Float64MultiArray
    names: [joint2, joint1]
    reference: joints
    limits: {lower: -1.0, upper: 1.0, speed: 1.0}
  base:
    topic: cmd_vel
    type: geometry_msgs/msg/TwistStamped
    names: [linear.x]
    limits: {speed: 0.5}
"""
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STEP = 1.0 * 0.05 + 1e-9  # speed limit times one control period
PATIENT_S = 30.0  # tests that are not about silence must tolerate a stalled machine


class Rig:
    """A robot and two sources around a supervisor."""

    def __init__(self, graph, path, **parameters):
        self.graph = graph
        self.contract = contract.load(path)
        patient = {
            f"{name}__{what}": PATIENT_S
            for name in ("policy", "expert")
            for what in ("timeout_s", "max_age_s")
        }
        defaults = {"contract": str(path), "discovery_s": 0.1, **patient}
        self.node = graph.start(DaggerSupervisor, **{**defaults, **parameters})
        self.arm = graph.received("arm/commands", "std_msgs/msg/Float64MultiArray")
        self.base = graph.received("cmd_vel", "geometry_msgs/msg/TwistStamped")
        self.decision_texts = graph.received("dagger_supervisor/decision", "std_msgs/msg/String")
        self.status_texts = graph.received("dagger_supervisor/status", "std_msgs/msg/String", LATCHED)
        self.joints = graph.publisher("joint_states", "sensor_msgs/msg/JointState")
        self.estop = graph.publisher("dagger_supervisor/estop", "std_msgs/msg/Bool")
        self.sources = {
            name: graph.publisher(f"{topic}/proposal", proposal.TYPE)
            for name, topic in (("policy", "policy_server"), ("expert", "expert"))
        }

    def ready(self):
        graph = self.graph
        graph.in_line(self.joints)
        graph.until(lambda: all(publish.count() for publish in self.sources.values()), "subscriptions")
        graph.until(lambda: self.estop.count() >= 2, "e-stop subscriptions")
        graph.until(lambda: self.node._commands[0][0].get_subscription_count(), "command subscriber")
        graph.until(lambda: self.decisions, "a first decision")
        graph.until(lambda: self.status_texts, "a first status")
        return self

    @property
    def decisions(self):
        return [from_json(message.data) for message in self.decision_texts]

    @property
    def statuses(self):
        return [json.loads(message.data) for message in self.status_texts]

    @property
    def now(self):
        return self.graph.outside.get_clock().now().nanoseconds

    def measure(self, joint1, joint2):
        self.joints(
            messages.make(
                "sensor_msgs/msg/JointState",
                header=messages.header(self.now),
                name=["joint1", "joint2"],
                position=np.array([joint1, joint2]),
            )
        )
        self.graph.until(lambda: self._measured() == (joint2, joint1), "the measurement")

    def _measured(self):
        return self.node._supervision.measured.at(self.now)[0].get("arm")

    def propose(self, source, *values, **words):
        """Propose (joint2, joint1, linear.x) now; return the decision on this tick.

        Repeats the proposal if the timer decided just before.
        """
        stamps = []

        def answer():
            if not stamps or self.now > stamps[-1] + 2 * self.contract.period_ns:
                stamps.append(self.now)
                proposed = proposal.Proposal(source, stamps[-1], np.array([values]), **words)
                self.sources[source](
                    proposal.to_message(proposed, self.contract.action_names, self.contract.period_ns)
                )
            return next((d for d in self.decisions if d.stamp_ns in stamps), None)

        return self.graph.until(answer, f"the answer to {source}")

    def answered(self, source, *values, **words):
        """Propose until accepted: the timer may have decided just before."""
        return self.graph.until(
            lambda: (d := self.propose(source, *values, **words)).authority == source and d, "authority"
        )


class Lockstep:
    """Simulated time: /clock and a proposal for each tick, waiting for its decision as a simulator does.

    `silence_s` is for tests of silent sources; in all others the timer must not decide.
    """

    def __init__(self, graph, path, **parameters):
        self.rig = Rig(graph, path, use_sim_time=True, **{"silence_s": PATIENT_S, **parameters})
        self.clock = graph.publisher("/clock", "rosgraph_msgs/msg/Clock")
        graph.until(self.clock.count, "the /clock subscription")
        self.ready()

    def ready(self):
        """Wait until an activated supervisor is connected in both directions."""
        graph = self.rig.graph
        graph.in_line(self.rig.joints)
        graph.until(lambda: all(publish.count() for publish in self.rig.sources.values()), "subscriptions")
        graph.until(lambda: self.rig.node._commands[0][0].get_subscription_count(), "command subscriber")

    def begin(self, tick):
        """Publish the clock and the joints of a tick; return its time."""
        stamp = 1_000_000_000 + tick * self.rig.contract.period_ns
        time = messages.make("builtin_interfaces/msg/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)
        self.clock(messages.make("rosgraph_msgs/msg/Clock", clock=time))
        self.rig.joints(
            messages.make(
                "sensor_msgs/msg/JointState",
                header=messages.header(stamp),
                name=["joint1", "joint2"],
                position=np.zeros(2),
            )
        )
        return stamp

    def step(self, tick, *values):
        """Begin a tick, propose for it, and wait for a decision for it or a later one."""
        stamp = self.begin(tick)
        proposed = proposal.Proposal("policy", stamp, np.array([values]))
        names, period_ns = self.rig.contract.action_names, self.rig.contract.period_ns
        self.rig.sources["policy"](proposal.to_message(proposed, names, period_ns))
        self.rig.graph.until(lambda: self.answered(stamp), f"the decision for tick {tick}")
        return self.rig.decisions[-1]

    def run(self, *values):
        """Step until the values are sent; return the next tick."""
        for tick in range(100):
            if self.step(tick, *values).sent == values:
                return tick + 1
        raise AssertionError(f"{values} was never sent: {self.rig.decisions[-1]}")

    def answered(self, stamp):
        return self.rig.decision_texts and self.rig.decisions[-1].stamp_ns >= stamp


class Session(Lockstep):
    """Ticks in simulated time at which policy and expert may both propose."""

    number = 0

    def tick(self, expert=None, policy=None, **words):
        """Publish the proposals for the next tick, the expert's first; return the decision."""
        self.number += 1
        stamp = self.begin(self.number)
        rig = self.rig
        names, period_ns = rig.contract.action_names, rig.contract.period_ns
        for name, values, fields in (("expert", expert, {}), ("policy", policy, words)):
            if values is not None:
                proposed = proposal.Proposal(name, stamp, np.array(values).reshape(-1, 3), **fields)
                rig.sources[name](proposal.to_message(proposed, names, period_ns))
        rig.graph.until(lambda: self.answered(stamp), f"the decision for tick {self.number}")
        return next(d for d in rig.decisions if d.stamp_ns >= stamp)

    def until_driven_by(self, name, **proposals):
        for _ in range(100):
            if (decision := self.tick(**proposals)).authority == name:
                return decision
        raise AssertionError(f"{name} never drove: {self.rig.decisions[-1]}")

    def set(self, **parameters):
        given = [Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()]
        return self.rig.node.set_parameters_atomically(given)
