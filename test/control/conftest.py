"""A supervision of one joint at 20 Hz, driven with explicit times."""

import numpy as np
import pytest

from il_ros.control.supervisor.arbitration import Source
from il_ros.control.supervisor.supervision import Supervision, SupervisorOptions
from il_ros.core import contract, messages
from il_ros.records.proposal import Proposal

PERIOD = 50_000_000
START = 1_000 * PERIOD
ARM = """
name: one_joint
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [joint1], max_age_s: 0.2}
actions:
  arm:
    topic: arm/commands
    type: std_msgs/msg/Float64MultiArray
    names: [joint1]
    reference: joints
    limits: {lower: -1.0, upper: 1.0, speed: 1.0}
    safe: hold
"""
BASE = """
  base:
    topic: cmd_vel
    type: geometry_msgs/msg/Twist
    names: [linear.x]
    limits: {speed: 1.0, acceleration: 2.0}
"""
SOURCES = (
    Source("policy", "policy_server/proposal", 10, timeout_s=0.25, max_age_s=0.2),
    Source("expert", "expert/proposal", 20, timeout_s=0.25, max_age_s=0.2),
)


def joint_state(position, stamp_ns):
    message = messages.make(
        "sensor_msgs/msg/JointState",
        header=messages.header(stamp_ns),
        name=["joint1"],
        position=np.array([position], dtype=np.float64),
    )
    return messages.encode("sensor_msgs/msg/JointState", message)


@pytest.fixture(scope="session")
def bench_of():
    return Bench


class Bench:
    """Feeds a supervision with events at control period k, counted from START, with both clocks in step."""

    ARM, BASE, PERIOD = ARM, ARM + BASE, PERIOD

    def __init__(self, text=ARM, mode=None, estop=None, **options):
        self.contract = contract.parse(text, "test")
        self.core = Supervision(
            self.contract, SOURCES, SupervisorOptions(**{"silence_s": 0.075, **options}), estop, mode
        )

    def measure(self, k, position=0.0):
        self.core.measured.push("joint_states", joint_state(position, self.at(k)), self.at(k))

    def propose(self, k, *values, source="policy", stamp=None, steps=1, **words):
        """Propose the values at period k for tick `stamp` (default k), as a chunk of `steps` rising rows."""
        row = np.array(values, dtype=np.float64)
        chunk = np.stack([row + 0.01 * step for step in range(steps)])
        proposal = Proposal(source, self.at(k if stamp is None else stamp), chunk, **words)
        return self.core.propose(source, proposal, self.at(k), self.at(k))

    def proposal(self, k, value, source="policy"):
        return Proposal(source, self.at(k), np.array([[value]]))

    def tick(self, k, clock=None):
        return self.core.tick(self.at(k if clock is None else clock), self.at(k))

    def running(self, *values, source="policy", measured=0.0):
        """Give a source authority by a proposal that is answered at period 0."""
        self.measure(0, measured)
        return self.propose(0, *(values or (0.0,)), source=source)

    @staticmethod
    def at(k):
        return START + round(k * PERIOD)
