"""Networks of several seeds and the two agents, against values worked out by hand."""

import math

import numpy as np
import pytest
import torch

from il_ros.rl.agents import AgentSettings, SoftActorCritic, SoftQ
from il_ros.rl.networks import Optimiser, SeededMlp, follow
from il_ros.rl.transitions import TransitionBatch


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(observation, action, following, reward=0.0):
    shape = observation.shape[:2]
    return TransitionBatch(observation, action, following, torch.full(shape, reward), torch.zeros(shape))


def test_seeds_share_nothing():
    network = SeededMlp(3, (2, 4, 1), rng())
    values = torch.randn(3, 5, 2, generator=rng(1))
    before = network(values)
    with torch.no_grad():
        network.weights[0][1] += 1.0
    after = network(values)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


def test_the_first_step_of_adam_is_the_rate_along_the_sign_of_the_gradient():
    network = SeededMlp(1, (2, 1), rng())
    with torch.no_grad():
        network.weights[0][:] = torch.tensor([[[1.0], [-2.0]]])
        network.biases[0][:] = 0.0
    optimiser = Optimiser(network, 0.1)
    optimiser.step(network(torch.tensor([[[3.0, 0.5]]])).sum())  # gradients 3, 0.5 and 1
    np.testing.assert_allclose(network.weights[0].detach()[0, :, 0], [0.9, -2.1], rtol=1e-6)
    np.testing.assert_allclose(network.biases[0].detach()[0, 0], [-0.1], rtol=1e-6)
    with pytest.raises(FloatingPointError, match="the loss is inf"):
        optimiser.step(network(torch.tensor([[[math.inf, 0.0]]])).sum())
    np.testing.assert_allclose(network.weights[0].detach()[0, :, 0], [0.9, -2.1], rtol=1e-6)


def test_a_target_follows_by_a_share():
    target, network = SeededMlp(1, (1, 1), rng(0)), SeededMlp(1, (1, 1), rng(1))
    with torch.no_grad():
        target.weights[0][:], network.weights[0][:] = 1.0, 3.0
    follow(target, network, 0.25)
    assert float(target.weights[0].detach()) == 1.5


def test_soft_q_learning_finds_the_soft_values_of_a_bandit():
    # One state, actions 0 and 1 with rewards 1 and 0, discount 1/2, temperature 1: V = ln(e^1 + e^0) + V / 2, so
    # V = 2 ln(e + 1) = 2.6265; Q = r + V / 2 = 2.3133 and 1.3133; P(0) = e / (e + 1) = 0.7311.
    agent = SoftQ(
        2, 1, 2, AgentSettings(hidden=8, discount=0.5, temperature=1.0, rate=0.01, target_share=0.1), rng()
    )
    state = torch.ones(2, 16, 1)
    action = torch.arange(16).remainder(2).expand(2, 16)
    for _ in range(600):
        agent.update(batch(state, action, state), 1.0 - action, rng())
    shares = agent.log_probability(state, action).exp()
    np.testing.assert_allclose(shares[:, :2], [[0.7311, 0.2689]] * 2, atol=0.01)
    drawn = agent.explore(torch.ones(2, 4000, 1), rng(2)).float().mean(dim=1)
    np.testing.assert_allclose(drawn, [0.2689] * 2, atol=0.03)
    assert agent.best(state).unique().tolist() == [0]


def test_densities_of_squashed_actions_add_up_to_one():
    agent = SoftActorCritic(1, 3, 1, AgentSettings(hidden=8), rng(3))
    grid = torch.linspace(-0.9985, 0.9985, 20001)[None, :, None]
    state = torch.tensor([0.3, -1.0, 2.0]).expand(1, grid.shape[1], 3)
    density = agent.log_probability(state, grid).exp()
    assert float(torch.trapezoid(density[0], grid[0, :, 0])) == pytest.approx(1.0, abs=0.02)


def test_actor_critic_finds_the_best_action():
    # reward -(a - 0.4)^2, whatever the state; the temperature falls, for the entropy is above its target at first
    agent = SoftActorCritic(
        2, 1, 1, AgentSettings(hidden=16, discount=0.5, rate=0.003, temperature=0.02), rng(4)
    )
    state, draws = torch.zeros(2, 32, 1), rng(5)
    for _ in range(500):
        action = torch.rand(2, 32, 1, generator=draws) * 2 - 1
        agent.update(batch(state, action, state), -(action[..., 0] - 0.4).square(), draws)
    np.testing.assert_allclose(agent.best(state)[:, 0, 0], [0.4, 0.4], atol=0.12)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"discount": 1.0}, "discount is 1; it must be above 0 and below 1"),
        ({"rate": 0.0}, "rate is 0; it must be above 0"),
        ({"target_share": 2.0}, "target_share is 2; it must be above 0, and at most 1"),
        ({"hidden": 0}, "hidden"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        AgentSettings(**wrong)
