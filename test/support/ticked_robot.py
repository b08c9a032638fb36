"""A robot with two joints on a real graph, whose ticks a test publishes one by one."""

import numpy as np

from il_ros.core import contract, messages
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
        reference: joints, safe: hold, limits: {speed: 1.0}}
"""
CONTRACT = contract.parse(TEXT, "test")


class Robot:
    """Publishes joint states and receives the policy server's proposals."""

    def __init__(self, graph):
        self._joints = graph.publisher("joint_states", JOINT_STATE)
        self.proposals = graph.received("policy_server/proposal", proposal.TYPE)
        self.graph = graph
        self._stamp_ns = 1000 * MS
        graph.in_line(self._joints)

    def tick(self, a=0.0, names=("a", "b")):
        self._stamp_ns += CONTRACT.period_ns
        head = messages.header(self._stamp_ns)
        self._joints(messages.make(JOINT_STATE, header=head, name=list(names), position=np.array([a, 0.0])))

    def answer(self, a=0.0):
        """Tick once and return the proposal that answers it."""
        count = len(self.proposals)
        self.tick(a)
        self.graph.until(lambda: len(self.proposals) > count, "a proposal")
        return proposal.from_message(self.proposals[-1], CONTRACT.action_names, CONTRACT.period_ns)
