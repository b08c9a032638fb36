"""Maximum-entropy IRL: exact gradients, a known expert recovered, few demonstrations, other layouts."""

import numpy as np
import pytest

from il_ros.irl.demonstrations import Demonstrated, demonstrated
from il_ros.irl.grid import Grid
from il_ros.irl.maximum_entropy import Problem, feature_error, fit, objective
from il_ros.irl.rewards import LinearReward, NetworkReward
from il_ros.irl.soft_control import expected_return, sample, soft_policy, uniform_policy, visits

SIZE, HORIZON = 6, 16
GOOD, BAD = (5, 5), ((2, 2), (2, 3), (3, 2))


def world(good=GOOD, bad=BAD):
    """Return a slippery gridworld and its features: every step, the good cell, the bad cells."""
    grid = Grid(np.ones((SIZE, SIZE), bool), slip=0.1)
    features = np.zeros((SIZE * SIZE, 3))
    features[:, 0] = 1.0
    features[grid.state(good), 1] = 1.0
    features[[grid.state(cell) for cell in bad], 2] = 1.0
    return grid.mdp([(0, 0), (0, 1), (1, 0)], HORIZON), features


TRUE = np.array([-1.0, 3.0, -3.0])


def exact(mdp, reward) -> Demonstrated:
    return Demonstrated(visits(mdp, soft_policy(mdp, reward).probabilities), mdp.start)


@pytest.fixture(scope="module")
def known():
    mdp, features = world()
    return Problem(mdp, features, exact(mdp, features @ TRUE))


@pytest.mark.parametrize("form", [LinearReward(), NetworkReward((5,), seed=1)], ids=["linear", "network"])
def test_the_gradient_is_that_of_central_differences(known, form):
    parameters = form.initial(3) + 0.1
    _, gradient = objective([known], form, parameters, 0.01)
    step = 1e-5
    for index in range(len(parameters)):
        change = np.zeros(len(parameters))
        change[index] = step
        above, _ = objective([known], form, parameters + change, 0.01)
        below, _ = objective([known], form, parameters - change, 0.01)
        assert gradient[index] == pytest.approx((above - below) / (2 * step), abs=1e-6)


def test_a_known_expert_is_recovered(known):
    found = fit([known], l2=0.0)
    assert found.converged
    assert found.feature_error < 1e-5
    # a constant on every step changes nothing: an episode has as many steps, whatever is done
    np.testing.assert_allclose(found.parameters[1:], TRUE[1:], atol=1e-3)
    policy = soft_policy(known.mdp, found.reward(known.features)).probabilities
    expert = soft_policy(known.mdp, known.features[:, 0] @ TRUE).probabilities
    np.testing.assert_allclose(policy, expert, atol=1e-4)


def test_a_network_recovers_the_policy_too(known):
    found = fit([known], NetworkReward((8,), seed=0), l2=0.0)
    assert found.feature_error < 1e-3
    expert = soft_policy(known.mdp, known.features[:, 0] @ TRUE).probabilities
    policy = soft_policy(known.mdp, found.reward(known.features)).probabilities
    np.testing.assert_allclose(visits(known.mdp, policy), visits(known.mdp, expert), atol=0.02)


def drawn(problem: Problem, count: int, seed: int) -> Problem:
    policy = soft_policy(problem.mdp, problem.features[:, 0] @ TRUE).probabilities
    episodes = sample(problem.mdp, policy, count, np.random.default_rng(seed))
    return Problem(problem.mdp, problem.features, demonstrated(problem.mdp, episodes))


def test_a_reward_transfers_to_another_layout_where_the_policy_does_not(known):
    found = fit([drawn(known, 40, seed=4)])
    elsewhere, features = world(good=(0, 5), bad=((4, 4), (4, 5), (1, 4)))
    true = features @ TRUE
    best = expected_return(elsewhere, soft_policy(elsewhere, true).probabilities, true)
    uniform = expected_return(elsewhere, uniform_policy(elsewhere), true)
    learnt = soft_policy(elsewhere, found.reward(np.repeat(features[:, None], 4, axis=1))).probabilities
    copied = soft_policy(known.mdp, known.features[:, 0] @ TRUE).probabilities
    assert expected_return(elsewhere, learnt, true) - uniform > 0.9 * (best - uniform)
    assert expected_return(elsewhere, copied, true) - uniform < 0.2 * (best - uniform)


def test_cells_that_were_never_shown_keep_the_fit_finite_by_l2(known):
    cells = np.eye(SIZE * SIZE)
    few = drawn(known, 10, seed=5)
    problem = Problem(few.mdp, cells, few.demonstrated)
    bounded = fit([problem])
    assert bounded.converged
    assert np.abs(bounded.parameters).max() < 10
    assert fit([problem], l2=0.0, iterations=150).objective < bounded.objective


def test_one_reward_is_fitted_to_several_processes(known):
    elsewhere, features = world(good=(0, 5), bad=((4, 4),))
    other = Problem(elsewhere, features, exact(elsewhere, features @ TRUE))
    found = fit([known, other], l2=0.0)
    np.testing.assert_allclose(found.parameters[1:], TRUE[1:], atol=1e-3)
    assert max(feature_error(each, found.reward(each.features)) for each in (known, other)) < 1e-5


def test_an_episode_that_ends_early_stays_in_its_absorbing_state():
    grid = Grid(np.ones((1, 3), bool), ends=[(0, 2)])
    found = demonstrated(grid.mdp([(0, 0)], horizon=5), [([0, 1, 2], [0, 0])])
    assert found.visits[:2].tolist() == [[1, 0, 0, 0], [1, 0, 0, 0]]
    assert found.visits[2].sum() == 3
    assert (found.start.tolist(), found.episodes) == ([1, 0, 0], 1)


@pytest.mark.parametrize(
    ("episodes", "says"),
    [
        ([], "there are no demonstrations; at least one is needed"),
        (
            [([0, 1], [0])],
            "demonstration 1 has 1 step; the process has 2, and only an episode that ends in an",
        ),
        ([([0, 0, 0, 0], [1, 1, 1])], "demonstration 1 has 3 steps; the process has 2"),
        (
            [([0, 1, 2], [0, 0]), ([0, 3, 2], [0, 0])],
            r"demonstration 2, step 1: state 3 must be within 0\.\.2",
        ),
        ([([0, 1, 2], [0, 4])], r"demonstration 1, step 1: action 4 must be within 0\.\.3"),
        ([([0, 2, 2], [0, 0])], "demonstration 1, step 0: action 0 never leads from state 0 to 2"),
        (
            [([0.0, 1.0, 2.0], [0, 0])],
            "demonstration 1: states must be a row of whole numbers; they are float64",
        ),
        ([([0, 1], [0, 0])], "demonstration 1 has 2 states and 2 actions; it needs"),
    ],
)
def test_a_demonstration_that_cannot_be_is_refused(episodes, says):
    mdp = Grid(np.ones((1, 3), bool), ends=[(0, 2)]).mdp([(0, 0)], horizon=2)
    with pytest.raises(ValueError, match=says):
        demonstrated(mdp, episodes)


def test_problems_that_do_not_fit_are_refused(known):
    with pytest.raises(ValueError, match=r"features have shape \(3, 3\); they must be \(36, 4, F\)"):
        Problem(known.mdp, np.zeros((3, 3)), known.demonstrated)
    wrong = known.features.copy()
    wrong[4, 2, 1] = np.inf
    with pytest.raises(ValueError, match="state 4, action 2: feature 1 is inf"):
        Problem(known.mdp, wrong, known.demonstrated)
    with pytest.raises(ValueError, match=r"the same number of features; there are \[2, 3\]"):
        fit([known, Problem(known.mdp, known.features[:, :, :2], known.demonstrated)])
    with pytest.raises(ValueError, match="l2 is -1; it must not be negative"):
        fit([known], l2=-1.0)
    with pytest.raises(FloatingPointError, match="use a larger l2"):
        objective([known], LinearReward(), np.array([0.0, np.inf, 0.0]), 0.0)
