"""Versions v1, v2, ... of a constant policy, and episodes to evaluate it on."""

from __future__ import annotations

import made_episodes as made
import numpy as np
import torch

from il_ros.core import contract, messages
from il_ros.policies import checkpoint, lineage
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.lineage import Lineage
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.versions import CHECKPOINT
from il_ros.records import proposal

JOINT_STATE = "sensor_msgs/msg/JointState"
MS = 1_000_000
TEXT = """
name: two_joints
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, fields: [position], names: [a, b],
           unit: rad, max_age_s: 0.1}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad,
        reference: joints, safe: hold, limits: {lower: -1000, upper: 1000, speed: 1000}}
"""
CONTRACT = contract.parse(TEXT, "two_joints.yaml")
RIGHT = (0.25, -0.5)
"""The expert's constant action."""


def constant_policy(own, answer, name, metrics=None, inputs=(), hidden=(4,), **others):
    """Return a policy under a contract without orientations that always answers `answer` (A,); `others`: settings."""
    elements = Inputs.of(own, inputs).elements
    state, actions = (Affine(np.zeros(n), np.ones(n)) for n in (len(elements), len(answer)))
    normaliser = Normaliser(state, actions)
    settings = family("bc").settings(hidden=hidden, inputs=inputs, **others)
    network = make_network("bc", settings, own, normaliser)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.linear_layers()[-1].bias.copy_(torch.tensor(answer))
    return LoadedPolicy(own, "bc", settings, network, normaliser, name, metrics or {})


def version(folder, number, answer=RIGHT, held_out=(), parent="", learnt=()):
    """Write version `number` of a policy that always answers `answer` (2,); return its folder."""
    data = {"train": list(learnt), "validation": list(held_out)}
    run = folder / f"v{number}"
    checkpoint.save(run / CHECKPOINT, constant_policy(CONTRACT, answer, run.name, {"data": data}))
    lineage.write(run, Lineage(run.name, parent, data))
    return run


def episode(root, number, ticks=20, taken_over_at=None, **info):
    """Write an episode: the expert drives throughout, or takes over from the policy at a tick."""
    items = []
    for tick in range(ticks):
        by_policy = taken_over_at is not None and tick < taken_over_at
        items.append(made.joints(tick / 10))
        driver = {"authority": "policy", "version": "v1"} if by_policy else {"authority": "expert"}
        items.append(made.decision(tick / 10, sent=RIGHT, mode="hg_dagger", **driver))
    spread = [
        item._replace(
            log_ns=made.START_NS + index // 2 * made.PERIOD_NS + (1 + index % 2) * MS,
            raw=_stamped(item, made.START_NS + index // 2 * made.PERIOD_NS),
        )
        for index, item in enumerate(items)
    ]
    return made.write(root, spread, number=number, text=TEXT, **info)


def _stamped(item, stamp_ns):
    """Return the item's bytes with another stamp: joints move by a tenth a tick, time by a whole one."""
    message = messages.decode(item.type, item.raw)
    if item.type == JOINT_STATE:
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        return messages.encode(item.type, message)
    import json

    decision = json.loads(message.data)
    decision |= {"stamp_ns": stamp_ns, "sent_ns": stamp_ns + MS}
    return messages.encode(item.type, messages.make(item.type, data=json.dumps(decision)))


class Robot:
    """Publishes the joints at 20 Hz while the graph spins, and stores the policy's proposals."""

    def __init__(self, graph):
        self.graph = graph
        self._joints = graph.publisher("joint_states", JOINT_STATE)
        self._proposals = graph.received("policy_server/proposal", proposal.TYPE, 100)
        self.stamps: list[int] = []

    def ready(self):
        """Wait for the policy server's subscription with this publisher's QoS."""
        self.graph.in_line(self._joints)
        return self

    def run(self):
        """Start ticking."""
        self._timer = self.graph.outside.create_timer(CONTRACT.period_ns / 1e9, self.tick)

    def rest(self):
        """Stop ticking, and wait for the last answer."""
        self.graph.outside.destroy_timer(self._timer)
        self.graph.until(lambda: self.proposals and self.proposals[-1].stamp_ns >= self.stamps[-1], "answers")

    def tick(self):
        # on a busy machine two timer ticks may come at once: keep the stamps a period apart
        now_ns = self.graph.outside.get_clock().now().nanoseconds
        stamp_ns = max(now_ns, self.stamps[-1] + CONTRACT.period_ns) if self.stamps else now_ns
        self.stamps.append(stamp_ns)
        head = messages.header(stamp_ns)
        self._joints(messages.make(JOINT_STATE, header=head, name=["a", "b"], position=np.array([0.1, 0.1])))

    @property
    def proposals(self):
        names, period_ns = CONTRACT.action_names, CONTRACT.period_ns
        return [proposal.from_message(message, names, period_ns) for message in self._proposals]
