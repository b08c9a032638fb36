"""Soft value iteration, visits and samples, against values worked out by hand and against simulation."""

import math

import numpy as np
import pytest
from scipy.sparse import csr_array

from il_ros.irl.grid import Grid
from il_ros.irl.mdp import TabularMdp
from il_ros.irl.soft_control import (
    best_policy,
    expected_return,
    sample,
    soft_policy,
    state_distribution,
    uniform_policy,
    visits,
)

# Two states; action 0 stays, action 1 goes to the other state.
SWITCH = csr_array(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]))


def switch(horizon: int, discount: float = 1.0) -> TabularMdp:
    return TabularMdp(SWITCH, np.array([1.0, 0.0]), horizon, discount)


def test_one_step_is_a_softmax_of_the_rewards():
    policy = soft_policy(switch(1), np.array([[math.log(3.0), 0.0], [0.0, 0.0]]))
    np.testing.assert_allclose(policy.probabilities, [[[0.75, 0.25], [0.5, 0.5]]], rtol=1e-12)
    np.testing.assert_allclose(policy.value, [math.log(4.0), math.log(2.0)], rtol=1e-12)


def test_two_steps_by_hand():
    # r(s) = (0, ln 2), whatever the action. V_1 = r + ln 2 = (ln 2, ln 4).
    # Q_0(0, .) = (ln 2, ln 4): P(stay) = 2 / 6; V_0(0) = ln 6. Q_0(1, .) = ln 2 + (ln 4, ln 2): V_0(1) = ln 12.
    policy = soft_policy(switch(2), np.array([0.0, math.log(2.0)]))
    np.testing.assert_allclose(policy.probabilities[0], [[1 / 3, 2 / 3], [2 / 3, 1 / 3]], rtol=1e-12)
    np.testing.assert_allclose(policy.value, [math.log(6.0), math.log(12.0)], rtol=1e-12)


def test_a_discount_weakens_the_second_step():
    # Q_0(0, .) = 0.5 * (ln 2, ln 4): P(stay) = sqrt(2) / (sqrt(2) + 2)
    policy = soft_policy(switch(2, 0.5), np.array([0.0, math.log(2.0)]))
    root = math.sqrt(2.0)
    np.testing.assert_allclose(policy.probabilities[0, 0], [root / (root + 2), 2 / (root + 2)], rtol=1e-12)


def test_visits_by_hand():
    # always switching from state 0: states 0, 1, 0; discounted by 1, 1/2, 1/4
    mdp = switch(3, 0.5)
    always = np.zeros((3, 2, 2))
    always[:, :, 1] = 1.0
    np.testing.assert_array_equal(state_distribution(mdp, always), [[1, 0], [0, 1], [1, 0]])
    np.testing.assert_array_equal(visits(mdp, always), [[0, 1.25], [0, 0.5]])
    assert expected_return(mdp, always, np.array([1.0, 10.0])) == 6.25


def test_value_iteration_chooses_the_larger_sum():
    # going over to state 1 costs 1 and earns 2 in each later step
    reward = np.array([[0.0, -1.0], [2.0, 0.0]])
    policy = best_policy(switch(3), reward)
    assert policy[0, 0].tolist() == [0.0, 1.0]
    assert policy[2, 0].tolist() == [1.0, 0.0]  # too late
    assert expected_return(switch(3), policy, reward) == 3.0


@pytest.fixture(scope="module")
def slippery():
    free = np.ones((5, 6), bool)
    free[2, 1:4] = False
    grid = Grid(free, ends=[(4, 5)], slip=0.2)
    return grid.mdp([(0, 0), (0, 1)], horizon=15)


def test_probability_is_conserved(slippery):
    reward = np.random.default_rng(1).normal(size=(slippery.states, slippery.actions))
    policy = soft_policy(slippery, reward).probabilities
    np.testing.assert_allclose(policy.sum(axis=2), 1.0, rtol=1e-12)
    np.testing.assert_allclose(state_distribution(slippery, policy).sum(axis=1), 1.0, rtol=1e-12)
    assert visits(slippery, policy).sum() == pytest.approx(15.0, rel=1e-12)


def test_visits_are_those_of_samples(slippery):
    reward = np.random.default_rng(2).normal(size=slippery.states)
    policy = soft_policy(slippery, reward).probabilities
    count = 1500
    counted = np.zeros((slippery.states, slippery.actions))
    for states, actions in sample(slippery, policy, count, np.random.default_rng(3)):
        np.add.at(counted, (states[:-1], actions), 1 / count)
    # a count of an episode is at most 15 and mostly 0 or 1: five standard errors of the largest ones
    assert np.abs(counted - visits(slippery, policy)).max() < 0.25
    assert (
        np.abs(visits(slippery, uniform_policy(slippery)) - counted).max() > 0.5
    )  # the test can tell policies apart


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"start": np.array([0.5, 0.4])}, "start adds up to 0.9; it must be a distribution"),
        ({"start": np.array([1.0])}, r"start has shape \(1,\); it must be \(2,\)"),
        ({"horizon": 0}, "horizon is 0; it must be at least 1"),
        ({"discount": 1.5}, "discount is 1.5; it must be above 0, and at most 1"),
        ({"transitions": SWITCH[:3]}, r"transitions are 3 x 2; they must be \(S \* A\) x S"),
        ({"transitions": SWITCH * 0.5}, "state 0, action 0: the probabilities add up to 0.5, not to 1"),
        ({"transitions": csr_array([[2.0, -1.0]] * 4)}, "transitions must be finite and not negative"),
    ],
)
def test_a_process_that_is_none_is_refused(change, says):
    values = {"transitions": SWITCH, "start": np.array([1.0, 0.0]), "horizon": 3, **change}
    with pytest.raises(ValueError, match=says):
        TabularMdp(**values)


@pytest.mark.parametrize(
    ("reward", "says"),
    [
        (np.zeros(3), r"the reward has shape \(3,\); it must be \(2, 2\)"),
        (np.array([0.0, np.nan]), "state 1, action 0: the reward is nan"),
    ],
)
def test_a_reward_that_does_not_fit_is_refused(reward, says):
    with pytest.raises(ValueError, match=says):
        soft_policy(switch(2), reward)
