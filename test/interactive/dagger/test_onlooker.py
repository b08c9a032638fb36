"""A simulated human who looks on: both sides of a tick, whoever speaks first."""

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
def test_it_takes_over_and_hands_back_by_what_both_say_of_the_same_tick(policy_first):
    looking = intervener()
    drives = []
    for tick, action in enumerate([WRONG, WRONG, RIGHT, RIGHT, RIGHT]):
        sides = [(looking.policy, action), (looking.advice, RIGHT)]
        for say, what in sides if policy_first else reversed(sides):
            say(tick, what)
        drives.append(looking.drives)
    assert drives == [False, True, True, False, False]


def test_a_tick_of_which_one_side_says_nothing_is_not_judged():
    looking = intervener()
    for tick in range(3 * KEPT_TICKS):
        looking.policy(tick, WRONG)
        looking.advice(tick + 1000, RIGHT)
    assert not looking.drives


def test_an_episode_begins_with_the_policy_at_the_wheel():
    looking = intervener()
    for tick in range(2):
        looking.policy(tick, WRONG)
        looking.advice(tick, RIGHT)
    assert looking.drives
    looking.advice(2, RIGHT)
    looking.begin()
    assert not looking.drives
    looking.policy(2, WRONG)  # the advice for it was another episode's
    looking.policy(3, WRONG)
    looking.advice(3, RIGHT)
    assert not looking.drives


def test_its_hand_trembles_only_while_it_drives():
    looking = intervener(tremor=1.0)
    assert np.all(looking.tremor == 0.0)
    for tick in range(2):
        looking.policy(tick, WRONG)
        looking.advice(tick, RIGHT)
    assert looking.drives
    assert np.all(looking.tremor != 0.0)
