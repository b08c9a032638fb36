"""The simulated operator: its user commands, with ticks counted by hand."""

from dataclasses import replace

import numpy as np

from il_ros.core import contract
from il_ros.interactive.dagger.human import HumanModel
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal, releasing
from il_ros.session import keys
from il_ros.session.person import CALIBRATION_TICKS, PATIENCE_S, SimulatedPerson
from il_ros.session.state import SessionState

CONTRACT = contract.parse(
    """
name: point
rate_hz: 10
observations:
  x: {topic: x, type: std_msgs/msg/Float64MultiArray, names: [x], max_age_s: 0.1}
actions:
  u: {topic: u, type: std_msgs/msg/Float64MultiArray, names: [x], unit: rad, reference: x, safe: hold,
      limits: {speed: 1.0}}
""",
    "test",
)
CALM = HumanModel(alarm=2.0, content=1.0, reaction_ticks=2, least_ticks=2, misjudged=0.0, tremor=0.0)


RUNNING = SessionState(
    recording="e", driver="policy", running=True, recorder_known=True, supervisor_known=True
)


class CalibratedPerson:
    """A simulated person after calibration with advice that moves by 0.1 per tick."""

    def __init__(self, human_model=CALM):
        self.person = SimulatedPerson(CONTRACT, human_model, 2, np.random.default_rng(0))
        self.state, self.tick, self.now_s = RUNNING, 0, 10.0
        for tick in range(CALIBRATION_TICKS + 1):
            self.receive("advice", 0.1 * (tick % 2))

    def receive(self, source, action):
        self.tick += source == "advice"
        self.person.observe(source, Proposal(source, self.tick, np.array([[action]])))

    def give_up(self):
        """Let the expert give up at the next tick."""
        self.tick += 1
        self.person.observe("advice", releasing("expert", self.tick, 1))

    def both(self, policy, advice, ticks=1):
        for _ in range(ticks):
            self.receive("advice", advice)
            self.receive("policy", policy)
        return self.person.command(self.state, self.now_s)


def test_takes_over_when_the_policy_is_wrong_and_hands_back_when_both_agree():
    operator = CalibratedPerson()
    assert operator.both(0.1, 0.0, ticks=5) == ""  # one typical motion apart
    assert operator.both(0.3, 0.0) == ""
    assert operator.both(0.3, 0.0) == keys.TAKE
    operator.state = replace(RUNNING, helping=True, driver="expert")
    assert operator.both(0.3, 0.0, ticks=5) == ""
    assert operator.both(0.0, 0.0, ticks=2) == keys.TAKE


def test_takes_over_without_progress():
    operator = CalibratedPerson(replace(CALM, patience_ticks=10))
    assert operator.both(0.15, 0.0, ticks=10) == ""
    assert operator.both(0.15, 0.0) == keys.TAKE


def test_a_new_episode_starts_without_evidence():
    operator = CalibratedPerson()
    assert operator.both(0.3, 0.0, ticks=2) == keys.TAKE
    operator.state = replace(RUNNING, recording="", done=1)
    assert operator.person.command(operator.state, operator.now_s) == keys.NEXT
    operator.now_s += 2 * PATIENCE_S
    operator.state = replace(RUNNING, done=1)
    assert operator.both(0.3, 0.0) == ""
    operator.state = replace(RUNNING, recording="", done=2)
    assert operator.person.command(operator.state, operator.now_s) == keys.END


def test_takes_over_without_a_driver_and_drives_on_without_a_policy():
    operator = CalibratedPerson()
    operator.state = replace(RUNNING, driver=NOBODY)
    assert operator.person.command(operator.state, operator.now_s) == ""
    assert operator.person.command(operator.state, operator.now_s + 1.1 * PATIENCE_S) == keys.TAKE
    operator.state = replace(RUNNING, driver="expert", helping=True)
    assert operator.person.command(operator.state, operator.now_s) == ""
    operator.receive("policy", 0.0)
    assert operator.person.command(operator.state, operator.now_s) == keys.TAKE


def test_an_episode_that_the_expert_gives_up_is_a_failure():
    operator = CalibratedPerson()
    operator.give_up()
    assert operator.person.command(operator.state, operator.now_s) == ""
    operator.receive("advice", 0.0)  # the expert continues
    assert operator.person.command(operator.state, operator.now_s + 1.1 * PATIENCE_S) == ""
    operator.give_up()
    assert operator.person.command(operator.state, operator.now_s + 1.2 * PATIENCE_S) == ""
    assert operator.person.command(operator.state, operator.now_s + 2.3 * PATIENCE_S) == keys.FAILURE


def test_no_episode_starts_before_the_policy_that_is_to_be_corrected():
    waits = SimulatedPerson(CONTRACT, CALM, 2, np.random.default_rng(0), awaits_policy=True)
    rests = replace(RUNNING, recording="", driver=NOBODY)
    assert waits.command(rests, 10.0) == ""
    assert waits.command(replace(rests, policy="v1"), 10.0) == keys.NEXT
    without = SimulatedPerson(CONTRACT, CALM, 2, np.random.default_rng(0))
    assert without.command(rests, 10.0) == keys.NEXT
