"""Who drives at each tick, and what is learnt from it: expert's action 1, policy's 0."""

import numpy as np
import pytest

from il_ros.interactive.beta import Mixer
from il_ros.interactive.driving import Asking, Demonstrating, Mixing, Tick
from il_ros.interactive.gates import AttentionBudget

PERIOD_NS = 50_000_000
EXPERT, POLICY = np.array([1.0]), np.array([0.0])


def tick(doubt=None):
    return Tick(POLICY, EXPERT, doubt)


def mixing(beta, asked=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return Mixing(Mixer("step", 1, rng), beta, asked, rng)


def test_a_demonstration_is_the_experts_at_every_tick():
    choice = Demonstrating().choose(tick())
    assert (choice.sent[0], choice.expert, choice.label[0]) == (1.0, True, 1.0)


@pytest.mark.parametrize(("beta", "sent"), [(1.0, 1.0), (0.0, 0.0)])
def test_at_the_extremes_of_beta_one_of_them_drives_and_the_expert_labels(beta, sent):
    driver = mixing(beta)
    driver.begin()
    for _ in range(50):
        choice = driver.choose(tick())
        assert (choice.sent[0], choice.expert, choice.label[0]) == (sent, sent == 1.0, 1.0)


def test_the_expert_is_asked_at_its_share_of_the_policys_ticks_and_tells_whenever_it_drives():
    driver = mixing(0.25, asked=0.4)
    choices = [driver.choose(tick()) for _ in range(4000)]
    driven = [choice for choice in choices if choice.expert]
    watched = [choice for choice in choices if not choice.expert]
    assert all(choice.label is not None for choice in driven)
    # 4 standard errors: 4 sqrt(0.25 * 0.75 / 4000) = 0.027, and 4 sqrt(0.4 * 0.6 / 3000) = 0.036
    assert len(driven) / 4000 == pytest.approx(0.25, abs=0.027)
    asked = sum(choice.label is not None for choice in watched)
    assert asked / len(watched) == pytest.approx(0.4, abs=0.036)


def test_a_share_of_nothing_is_refused():
    with pytest.raises(ValueError, match="asked is 0"):
        mixing(0.5, asked=0)


def asking(per_hour=3600, least_ticks=3):
    """A budget of 3600 an hour at 20 Hz and 2 ticks each: a tenth of the ticks."""
    driver = Asking(AttentionBudget(per_hour, 20, ticks_per_request=2), 0.5, least_ticks, PERIOD_NS, 20)
    driver.begin()
    for _ in range(20):  # what is usual; the threshold becomes 1
        driver.choose(tick(1.0))
    return driver


def drove(driver, doubts):
    return [driver.choose(tick(doubt)).expert for doubt in doubts]


def test_it_asks_above_the_threshold_and_is_satisfied_below_half_of_it():
    doubts = [1.0, 3.0, 0.9, 0.9, 0.9, 0.6, 0.4, 1.0]
    assert drove(asking(), doubts) == [False, True, True, True, True, True, False, False]


def test_the_expert_drives_for_the_least_time_even_if_doubt_is_gone():
    assert drove(asking(), [3.0, 0.0, 0.0, 0.0, 0.0]) == [True, True, True, False, False]


def test_it_does_not_ask_before_it_knows_what_doubt_is_usual():
    driver = Asking(AttentionBudget(3600, 20, ticks_per_request=2), 0.5, 3, PERIOD_NS, warm_up_ticks=4)
    driver.begin()
    assert drove(driver, [1.0, 9.0, 9.0, 1.0, 20.0]) == [False, False, False, False, True]


def test_only_what_the_expert_drove_is_learnt():
    driver = asking()
    calm, doubtful = driver.choose(tick(1.0)), driver.choose(tick(3.0))
    assert (calm.sent[0], calm.label) == (0.0, None)
    assert (doubtful.sent[0], doubtful.label[0]) == (1.0, 1.0)


def test_without_a_request_left_the_policy_drives_on():
    driver = asking(per_hour=1, least_ticks=1)
    assert drove(driver, [3.0, 0.0, 4.0, 5.0]) == [True, False, False, False]


def test_a_policy_without_doubt_never_asks():
    assert not any(drove(asking(), [None] * 5))


def test_a_new_episode_begins_with_the_policy():
    driver = asking()
    assert drove(driver, [3.0]) == [True]
    driver.begin()
    assert drove(driver, [0.6]) == [False]
