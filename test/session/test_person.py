"""A simulated person at the keys: what it wishes for, in hand-counted ticks."""

from dataclasses import replace

import numpy as np

from il_ros.core import contract
from il_ros.interactive.dagger.human import HumanModel
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal, releasing
from il_ros.session import keys
from il_ros.session.person import GET_USED_TICKS, PATIENCE_S, SimulatedPerson
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
    recording="e", driver="policy", running=True, recorder_heard=True, supervisor_heard=True
)


class Sitting:
    """A person who has seen its own advice for long enough: it moves by 0.1 a tick. Returns wishes."""

    def __init__(self, human_model=CALM):
        self.person = SimulatedPerson(CONTRACT, human_model, 2, np.random.default_rng(0))
        self.state, self.tick, self.now_s = RUNNING, 0, 10.0
        for tick in range(GET_USED_TICKS + 1):
            self.hear("advice", 0.1 * (tick % 2))

    def hear(self, source, action):
        self.tick += source == "advice"
        self.person.heard(source, Proposal(source, self.tick, np.array([[action]])))

    def lost(self):
        """It knows no way on at the next tick."""
        self.tick += 1
        self.person.heard("advice", releasing("expert", self.tick, 1))

    def both(self, policy, advice, ticks=1):
        for _ in range(ticks):
            self.hear("advice", advice)
            self.hear("policy", policy)
        return self.person.command(self.state, self.now_s)


def test_it_takes_over_when_the_policy_is_wrong_and_hands_back_when_they_agree():
    sitting = Sitting()
    assert sitting.both(0.1, 0.0, ticks=5) == ""  # one usual motion apart
    assert sitting.both(0.3, 0.0) == ""
    assert sitting.both(0.3, 0.0) == keys.TAKE
    sitting.state = replace(RUNNING, helping=True, driver="expert")
    assert sitting.both(0.3, 0.0, ticks=5) == ""
    assert sitting.both(0.0, 0.0, ticks=2) == keys.TAKE


def test_it_takes_over_where_nothing_gets_done():
    sitting = Sitting(replace(CALM, patience_ticks=10))
    assert sitting.both(0.15, 0.0, ticks=10) == ""
    assert sitting.both(0.15, 0.0) == keys.TAKE


def test_a_new_episode_begins_with_nothing_seen():
    sitting = Sitting()
    assert sitting.both(0.3, 0.0, ticks=2) == keys.TAKE
    sitting.state = replace(RUNNING, recording="", done=1)
    assert sitting.person.command(sitting.state, sitting.now_s) == keys.NEXT
    sitting.now_s += 2 * PATIENCE_S
    sitting.state = replace(RUNNING, done=1)
    assert sitting.both(0.3, 0.0) == ""
    sitting.state = replace(RUNNING, recording="", done=2)
    assert sitting.person.command(sitting.state, sitting.now_s) == keys.END


def test_where_nobody_drives_it_does_and_without_a_policy_it_keeps_at_it():
    sitting = Sitting()
    sitting.state = replace(RUNNING, driver=NOBODY)
    assert sitting.person.command(sitting.state, sitting.now_s) == ""
    assert sitting.person.command(sitting.state, sitting.now_s + 1.1 * PATIENCE_S) == keys.TAKE
    sitting.state = replace(RUNNING, driver="expert", helping=True)
    assert sitting.person.command(sitting.state, sitting.now_s) == ""
    sitting.hear("policy", 0.0)
    assert sitting.person.command(sitting.state, sitting.now_s) == keys.TAKE


def test_an_episode_that_it_can_not_bring_back_is_a_failure():
    sitting = Sitting()
    sitting.lost()
    assert sitting.person.command(sitting.state, sitting.now_s) == ""
    sitting.hear("advice", 0.0)  # it knows again
    assert sitting.person.command(sitting.state, sitting.now_s + 1.1 * PATIENCE_S) == ""
    sitting.lost()
    assert sitting.person.command(sitting.state, sitting.now_s + 1.2 * PATIENCE_S) == ""
    assert sitting.person.command(sitting.state, sitting.now_s + 2.3 * PATIENCE_S) == keys.FAILURE
