"""The simulated intervener: messages of both sides, in either order."""

import numpy as np
import pytest

from il_ros.interactive.dagger.human import HumanModel, SimulatedHuman
from il_ros.interactive.dagger.intervener import KEPT_TICKS, SimulatedIntervener

QUICK = HumanModel(alarm=2.0, content=1.0, reaction_ticks=2, least_ticks=2, misjudged=0.0, tremor=0.0)
RIGHT, WRONG = np.array([1.0]), np.array([1.3])  # three typical motions apart


def intervener(**changes):
    human_model = HumanModel(**{**vars(QUICK), **changes})
    return SimulatedIntervener(SimulatedHuman(human_model, np.array([0.1]), np.random.default_rng(0)))


@pytest.mark.parametrize("policy_first", [True, False])
def test_takes_over_and_hands_back_by_the_actions_of_the_same_tick(policy_first):
    watching = intervener()
    drives = []
    for tick, action in enumerate([WRONG, WRONG, RIGHT, RIGHT, RIGHT]):
        sides = [(watching.policy, action), (watching.advice, RIGHT)]
        for receive, received in sides if policy_first else reversed(sides):
            receive(tick, received)
        drives.append(watching.drives)
    assert drives == [False, True, True, False, False]


def test_a_tick_with_one_side_missing_is_not_judged():
    watching = intervener()
    for tick in range(3 * KEPT_TICKS):
        watching.policy(tick, WRONG)
        watching.advice(tick + 1000, RIGHT)
    assert not watching.drives


def test_a_new_episode_starts_with_the_policy_and_discards_messages():
    watching = intervener()
    for tick in range(2):
        watching.policy(tick, WRONG)
        watching.advice(tick, RIGHT)
    assert watching.drives
    watching.advice(2, RIGHT)
    watching.begin()
    assert not watching.drives
    watching.policy(2, WRONG)  # its advice belonged to the earlier episode
    watching.policy(3, WRONG)
    watching.advice(3, RIGHT)
    assert not watching.drives


def test_tremor_is_0_unless_the_human_drives():
    watching = intervener(tremor=1.0)
    assert np.all(watching.tremor == 0.0)
    for tick in range(2):
        watching.policy(tick, WRONG)
        watching.advice(tick, RIGHT)
    assert watching.drives
    assert np.all(watching.tremor != 0.0)
