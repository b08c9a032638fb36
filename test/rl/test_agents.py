"""Networks of several seeds and the two agents, against values worked out by hand."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from il_ros.policies.families.actor import Actor, squashed_gaussian
from il_ros.policies.networks.seeded_mlp import SeededMlp, marked_state
from il_ros.policies.protocol import Window
from il_ros.rewards.protocol import Transition
from il_ros.rl.agents.actor_critic import SoftActorCritic
from il_ros.rl.agents.agent import AgentSettings, Shape
from il_ros.rl.agents.soft_q import SoftQ
from il_ros.rl.optimiser import Optimiser, follow

ACTOR = Actor(hidden=(16,))


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def window(rows):
    return Window(rows[:, None])


def batch(observation, action, following):
    flags = torch.zeros(len(action), dtype=torch.bool)
    return Transition(window(observation), action, window(following), flags, flags)


def test_seeds_share_nothing():
    network = SeededMlp(3, (2, 4, 1))
    values = torch.randn(3, 5, 2, generator=rng(1))
    before = network(values)
    with torch.no_grad():
        network.layers[0].weight[1] += 1.0
    after = network(values)
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])
    assert torch.equal(network.of_rows(values.flatten(0, 1)), after.flatten(0, 1))


def test_the_absorbing_state_is_marked_and_says_nothing_else():
    rows = marked_state(window(torch.tensor([[math.sinh(2.0)], [5.0]])), torch.tensor([False, True]))
    torch.testing.assert_close(rows, torch.tensor([[2.0, 0.0], [0.0, 1.0]]))


def test_the_first_step_of_adam_is_the_rate_along_the_sign_of_the_gradient():
    network = SeededMlp(1, (2, 1))
    with torch.no_grad():
        network.layers[0].weight[:] = torch.tensor([[[1.0], [-2.0]]])
        network.layers[0].bias[:] = 0.0
    optimiser = Optimiser(network, 0.1)
    optimiser.step(network(torch.tensor([[[3.0, 0.5]]])).sum())  # gradients 3, 0.5 and 1
    weight = network.layers[0].weight.detach()[0, :, 0]
    np.testing.assert_allclose(weight, [0.9, -2.1], rtol=1e-6)
    np.testing.assert_allclose(network.layers[0].bias.detach()[0, 0], [-0.1], rtol=1e-6)
    with pytest.raises(FloatingPointError, match="the loss is inf"):
        optimiser.step(network(torch.tensor([[[math.inf, 0.0]]])).sum())
    np.testing.assert_allclose(weight, [0.9, -2.1], rtol=1e-6)


def test_a_target_follows_by_a_share():
    target, network = SeededMlp(1, (1, 1)), SeededMlp(1, (1, 1))
    with torch.no_grad():
        target.layers[0].weight[:], network.layers[0].weight[:] = 1.0, 3.0
    follow(target, network, 0.25)
    assert float(target.layers[0].weight.detach()) == 1.5


def test_soft_q_learning_finds_the_soft_values_of_a_bandit():
    # One state, actions 0 and 1 with rewards 1 and 0, discount 1/2, temperature 1: V = ln(e^1 + e^0) + V / 2, so
    # V = 2 ln(e + 1) = 2.6265; Q = r + V / 2 = 2.3133 and 1.3133; P(0) = e / (e + 1) = 0.7311.
    settings = AgentSettings(hidden=8, discount=0.5, temperature=1.0, rate=0.01, target_share=0.1)
    agent = SoftQ(Shape(2, 1, 2, ACTOR), settings)
    state = torch.ones(32, 1)
    first = torch.arange(32).remainder(2) == 0
    action = torch.stack([2.0 * first - 1, 1 - 2.0 * first], dim=1)
    steps = batch(state, action, state)
    for _ in range(600):
        agent.update(steps, first.float(), rng())
    shares = agent.log_probability(steps).exp()
    np.testing.assert_allclose(shares[:2], [0.7311, 0.2689], atol=0.01)
    np.testing.assert_allclose(shares[16:18], [0.7311, 0.2689], atol=0.01)
    drawn = agent.explore(window(torch.ones(8000, 1)), rng(2))
    np.testing.assert_allclose((drawn[:, 1] > 0).float().view(2, -1).mean(dim=1), [0.2689] * 2, atol=0.03)
    assert drawn.unique().tolist() == [-1.0, 1.0]


def test_densities_of_squashed_actions_add_up_to_one():
    agent = SoftActorCritic(Shape(1, 3, 1, ACTOR), AgentSettings(hidden=8))
    grid = torch.linspace(-0.9985, 0.9985, 20001)[:, None]
    state = torch.tensor([0.3, -1.0, 2.0]).expand(len(grid), 3)
    density = agent.log_probability(batch(state, grid, state)).exp()
    assert float(torch.trapezoid(density, grid[:, 0])) == pytest.approx(1.0, abs=0.02)


def test_actor_critic_finds_the_best_action():
    # reward -(a - 0.4)^2, whatever the state; the temperature falls, for the entropy is above its target at first
    agent = SoftActorCritic(
        Shape(2, 1, 1, ACTOR), AgentSettings(hidden=16, discount=0.5, rate=0.003, temperature=0.02)
    )
    state, draws = torch.zeros(64, 1), rng(5)
    for _ in range(500):
        action = torch.rand(64, 1, generator=draws) * 2 - 1
        agent.update(batch(state, action, state), -(action[:, 0] - 0.4).square(), draws)
    drawn = agent.explore(window(torch.zeros(2000, 1)), draws).view(2, -1).median(dim=1).values
    np.testing.assert_allclose(drawn, [0.4, 0.4], atol=0.15)


def lives_or_dies(terminates):
    """64 rows: the first action goes on in the same state, the second one does or `terminates`; absorbing rows."""
    state, first = torch.ones(64, 1), torch.arange(64).remainder(4) < 2
    absorbing = torch.arange(64).remainder(4) == 3
    action = torch.stack([2.0 * first - 1, 1 - 2.0 * first], dim=1) * ~absorbing[:, None]
    ends = ~first & ~absorbing & terminates
    return Transition(window(state), action, window(state), ends, absorbing)


@pytest.mark.parametrize("reward", [1.0, -1.0])
def test_the_sign_of_a_reward_makes_no_episode_long_or_short(reward):
    # The same reward everywhere, the absorbing state included: dying is worth as much as living, r / (1 - discount).
    settings = AgentSettings(discount=0.8, temperature=0.1, rate=0.01, target_share=0.1)
    agent = SoftQ(Shape(1, 1, 2, ACTOR), settings)
    steps = lives_or_dies(terminates=True)
    for _ in range(800):
        agent.update(steps, torch.full((64,), reward), rng())
    shares = agent.log_probability(steps).exp()
    assert 0.3 < float(shares[0]) < 0.7  # living
    # A reward of that sign outside the absorbing state only is the fault: it decides between them by itself.
    biased = SoftQ(Shape(1, 1, 2, ACTOR), settings)
    for _ in range(800):
        biased.update(steps, torch.where(steps.absorbing, 0.0, reward), rng())
    lives = float(biased.log_probability(steps).exp()[0])
    assert lives > 0.95 if reward > 0 else lives < 0.05


def test_a_step_that_is_only_cut_off_keeps_the_value_of_what_could_have_come():
    # Reward 1 a step, discount 1/2, almost no entropy: the value is 2 if nothing terminates, and with an absorbing
    # state of reward 0 after the second action 1.
    settings = AgentSettings(discount=0.5, temperature=0.001, rate=0.01, target_share=0.1)
    for terminates, worth in ((False, 2.0), (True, 1.0)):
        agent = SoftQ(Shape(1, 1, 2, ACTOR), settings)
        steps = lives_or_dies(terminates)
        steps = dataclasses.replace(steps, absorbing=steps.absorbing & terminates)
        second = steps.action[:, 1] > 0
        for _ in range(800):
            measured = agent.update(steps, torch.where(steps.absorbing, 0.0, 1.0), rng())
        values = agent.tensors()
        assert values.keys() >= {"value.values", "target.layers.0.weight"}
        rows = marked_state(steps.observation, steps.absorbing)
        found = agent._value.of_rows(rows).detach()[second, 1]
        np.testing.assert_allclose(found, np.full(len(found), worth), atol=0.1)
        assert math.isfinite(measured["value_loss"])


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


def test_correlated_noise_of_own_actions_goes_on_from_that_of_the_step_before():
    # noise n of deviation 1 with correlation 0.8: n' = 0.8 n + 0.6 fresh; with 0 it is the fresh one
    shape, seen = Shape(2, 1, 3, ACTOR), window(torch.zeros(2, 1))

    def noises(correlation, begun=None):
        torch.manual_seed(0)
        agent = SoftActorCritic(shape, AgentSettings(hidden=8, correlation=correlation))
        if begun is not None:
            agent.restore(begun.tensors())
        mean, log_std = squashed_gaussian(agent._actor.of_rows(marked_state(seen)))
        draws = rng(3)
        found = [(torch.atanh(agent.explore(seen, draws)) - mean) / log_std.exp() for _ in range(3)]
        return agent, [each.detach() for each in found]

    _, fresh = noises(0.0)
    agent, correlated = noises(0.8)
    expected = [fresh[0]]
    for each in fresh[1:]:
        expected.append(0.8 * expected[-1] + 0.6 * each)
    for found, wanted in zip(correlated, expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=2e-3, rtol=0)
    _, resumed = noises(0.8, begun=agent)  # goes on from the last noise of `agent`
    torch.testing.assert_close(resumed[0], 0.8 * correlated[-1] + 0.6 * fresh[0], atol=2e-3, rtol=0)
    with pytest.raises(ValueError, match="correlation is 1; it must be at least 0, and below 1"):
        AgentSettings(correlation=1.0)
