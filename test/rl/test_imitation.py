"""Imitation with own steps: rewards that tell demonstrations apart, and a small task that each method learns."""

from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch

from il_ros.rl.agents import AgentSettings
from il_ros.rl.imitation import ActionSpace, Imitation, ImitationLearner
from il_ros.rl.rewards import Airl, DiscriminatorSettings, Gail
from il_ros.rl.transitions import ShownEpisode, TransitionBatch

STEPS = 20


class Line:
    """A place on a line, moved by 0.1 to the left (0) or right (1); an episode begins within -1..1."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, fails_at=None):
        self.fails_at, self.taken = fails_at, 0

    def reset(self, seed=None):
        self.place, self.step_count = float(np.random.default_rng(seed).uniform(-1, 1)), 0
        return np.array([self.place]), {}

    def step(self, action):
        self.taken += 1
        self.step_count += 1
        self.place += 0.2 * int(action) - 0.1
        seen = np.nan if self.taken == self.fails_at else self.place
        return np.array([seen]), -abs(self.place), False, self.step_count == STEPS, {}


def shown(seed, count=6):
    """Return demonstrations of an expert that moves to the middle."""
    episodes = []
    for number in range(count):
        line = Line()
        observations, actions = [line.reset(seed=100 * seed + number)[0]], []
        for _ in range(STEPS):
            actions.append(int(observations[-1][0] < 0))
            observations.append(line.step(actions[-1])[0])
        episodes.append(ShownEpisode(np.array(observations), np.array(actions)))
    return episodes


def learner(method, seeds=2, **changes):
    agent = AgentSettings(
        hidden=32, discount=0.9, rate=3e-3, target_share=0.05, temperature=1.0 if method == "airl" else 0.1
    )
    settings = Imitation(
        method,
        **{
            "steps": 1600 if method == "airl" else 800,
            "random_steps": 100,
            "batch": 32,
            "agent": agent,
            **changes,
        },
    )
    return ImitationLearner(settings, [Line() for _ in range(seeds)], [shown(seed) for seed in range(seeds)])


@pytest.mark.parametrize("method", ["gail", "gail_states", "airl", "sqil", "task"])
def test_each_method_learns_to_move_to_the_middle(method):
    found = learner(method)
    found.run()
    places = np.concatenate([np.linspace(-0.8, -0.2, 10), np.linspace(0.2, 0.8, 10)])
    actions = found.act(np.repeat(places[None, :, None], 2, axis=0))
    right = (actions == (places < 0)).mean(axis=1)
    assert (right >= 0.9).all(), right


def test_one_seed_gives_equal_bits_and_another_one_does_not():
    measured = []
    for seed in (0, 0, 1):
        steps = []
        learner("gail", steps=140, seed=seed).run(
            lambda progress, steps=steps: steps.append(progress.measured) or True
        )
        measured.append(steps[-1])
    assert measured[0] == measured[1]
    assert measured[0] != measured[2]


def batches():
    """Return own steps at 0 and demonstrations at 1 of two seeds, with numbered actions."""
    zeros, ones = torch.zeros(2, 16, 2), torch.ones(2, 16, 2)
    action = torch.zeros(2, 16, dtype=torch.int64)
    flags = torch.zeros(2, 16)
    return TransitionBatch(zeros, action, zeros, flags, flags), TransitionBatch(
        ones, action, ones, flags, flags + 1
    )


@pytest.mark.parametrize("shape", ["logit", "softplus", "log_sigmoid"])
def test_a_discriminators_reward_is_larger_for_demonstrations_and_has_the_sign_of_its_shape(shape):
    rng = torch.Generator().manual_seed(0)
    own, demonstrated = batches()
    reward = Gail(2, 2, 2, DiscriminatorSettings(shape=shape), rng, numbered=True, from_states=False)
    for _ in range(300):
        measured = reward.update(own, demonstrated, lambda *_: torch.zeros(2, 16), rng)
    low, high = reward.reward(own), reward.reward(demonstrated)
    assert (high > low).all()
    assert measured["discriminator_accuracy"] == 1.0
    if shape == "logit":
        assert low.max() < 0 < high.min()
    else:
        assert (low > 0).all() == (shape == "softplus")
        assert (high < 0).all() == (shape == "log_sigmoid")


def test_the_shaping_of_airl_cancels_along_a_cycle():
    rng = torch.Generator().manual_seed(0)
    reward = Airl(2, 2, 1.0, DiscriminatorSettings(), rng)  # not discounted
    here, there = torch.zeros(2, 1, 2), torch.ones(2, 1, 2)
    action, flags = torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 1)
    around = reward.reward(TransitionBatch(here, action, there, flags, flags)) + reward.reward(
        TransitionBatch(there, action, here, flags, flags)
    )
    alone = reward.state_reward(here) + reward.state_reward(there)
    torch.testing.assert_close(around, alone)


def test_a_broken_environment_ends_the_run_and_names_the_step():
    settings = Imitation("gail", steps=300, random_steps=100, batch=16)
    found = ImitationLearner(settings, [Line(), Line(fails_at=150)], [shown(0), shown(1)])
    with pytest.raises(
        FloatingPointError, match="step 150 of gail: environment 1 returned a number that is not finite"
    ):
        found.run()


def test_a_box_of_actions_is_scaled_by_hand():
    space = ActionSpace(
        gymnasium.spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))
    )
    np.testing.assert_allclose(space.to_unit(np.array([[1.0, 0.0]])), [[0.5, -1.0]])
    np.testing.assert_allclose(space.to_environment(np.array([[0.5, -1.0]])), [[1.0, 0.0]])


@pytest.mark.parametrize(
    ("space", "says"),
    [
        (gymnasium.spaces.Box(-np.inf, np.inf, (2,)), "they must be Discrete, or a Box"),
        (gymnasium.spaces.Box(-1, 1, (2, 2)), "they must be Discrete, or a Box"),
        (SimpleNamespace(), "they must be Discrete, or a Box"),
    ],
)
def test_other_actions_are_refused(space, says):
    with pytest.raises(ValueError, match=says):
        ActionSpace(space)


@pytest.mark.parametrize(
    ("observations", "actions", "says"),
    [
        (
            np.zeros((3, 2)),
            np.array([0, 1]),
            r"seed 0 has observations of shape \(2,\); the environment has \(1,\)",
        ),
        (np.zeros((3, 1)), np.array([0, 2]), "seed 0 must have actions that are whole numbers from 0 to 1"),
        (
            np.zeros((3, 1)),
            np.array([0.0, 1.0]),
            "seed 0 must have actions that are whole numbers from 0 to 1",
        ),
    ],
)
def test_demonstrations_of_another_environment_are_refused(observations, actions, says):
    with pytest.raises(ValueError, match=says):
        ImitationLearner(Imitation(), [Line()], [[ShownEpisode(observations, actions)]])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"method": "gial"}, "method"),
        ({"steps": 100, "random_steps": 100}, "random_steps is 100; it must be below steps, 100"),
        ({"batch": 0}, "batch"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Imitation(**wrong)
