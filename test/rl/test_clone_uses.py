"""From a clone that is too slow to one that is fast enough, in each way; resumption; and what is refused."""

from dataclasses import replace
from itertools import pairwise

import line_env
import numpy as np
import pytest
import torch

from il_ros.policies.families.actor import Actor, ActorNetwork
from il_ros.policies.families.guided import GuidedNetwork
from il_ros.policies.features import Inputs
from il_ros.policies.networks.seeded_mlp import marked_state
from il_ros.policies.protocol import ModelSpec, Window
from il_ros.rewards.protocol import Transition
from il_ros.rl.agents.agent import CHOICE, RESIDUAL, START, AgentSettings, CloneUse
from il_ros.rl.learner import Imitation, ImitationLearner
from il_ros.rl.reward_source import TASK
from il_ros.rl.steps.buffer import EnvironmentStep
from il_ros.rl.steps.demonstrations import deviation_of, fit_scales, steps_of
from il_ros.rl.steps.world import World
from il_ros.training import recipe as cloning
from il_ros.training.run import train

ACTOR = Actor(hidden=(32, 32))
GOAL = 0.15
PLACES = np.concatenate([np.linspace(-0.9, -0.3, 7), np.linspace(0.3, 0.9, 7)])
USES = {
    START: CloneUse(weight=0.5, fade_steps=400),
    RESIDUAL: CloneUse(RESIDUAL, reach=4.0),
    CHOICE: CloneUse(CHOICE),
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Demonstrations of moving to the middle, slowly and with some noise: from far away the time does not suffice."""
    draws = np.random.default_rng(0)
    found = line_env.dataset(
        tmp_path_factory.mktemp("slow"),
        count=16,
        numbers=True,
        goal=GOAL,
        verdict=lambda places: bool(abs(places[-1]) < GOAL),
        expert=lambda place: 0.5 + 0.15 * (1 if place < 0 else -1) + 0.1 * float(draws.standard_normal()),
    )
    reached = tuple(each for each in found.train if each.outcome == "success")
    assert 5 <= len(reached) < 16
    return replace(found, train=reached)


@pytest.fixture(scope="module")
def clone(shown, tmp_path_factory):
    changes = ["epochs=150", "hidden=[32, 32]", "activation=relu", "validation=0"]
    return train(shown, cloning.load("actor", changes), tmp_path_factory.mktemp("clone")).policy


def learner(shown, clone, use, seeds=2, **changes):
    inputs = Inputs.for_policy(shown.contract, ACTOR)
    scales = fit_scales(shown.train, shown.contract, inputs, "shown")
    if clone is not None:
        scales = scales._replace(normaliser=clone.normaliser)
    steps = [step for episode in shown.train for step in steps_of(episode, scales, line_env.STEPS)]
    worlds = [
        World(line_env.PlainLine(numbers=True, goal=GOAL), scales, f"environment {seed}")
        for seed in range(seeds)
    ]
    agent = AgentSettings(
        hidden=32, discount=0.9, rate=3e-3, target_share=0.05, temperature=0.01, entropy_bonus=False
    )
    settings = {"steps": 700, "random_steps": 0, "frozen_steps": 150, "batch": 32, "ahead": 3, **changes}
    made = Imitation(**{"seeds": seeds, **settings})
    return ImitationLearner(made, ACTOR, agent, (TASK, None), scales, worlds, steps, clone, use, judged=True)


def speed(policy):
    """Return the mean speed of a policy towards the middle, -1 to 1."""
    moves = np.array([policy.act({"observation": np.array([place])})[0, 0] for place in PLACES])
    return float(np.mean(moves * -np.sign(PLACES)))


def finished(found):
    for _ in found.steps():
        pass
    return found


@pytest.mark.parametrize("use", USES)
def test_each_way_exceeds_the_clone(shown, clone, use):
    assert 0.05 < speed(clone) < 0.4
    found = finished(learner(shown, clone, USES[use], seeds=1, keep_successes=True))
    assert speed(found.policy(0)) >= speed(clone) + 0.25


@pytest.mark.parametrize("use", USES)
def test_each_way_begins_as_the_clone_and_while_the_critics_learn_stays_it(shown, clone, use):
    found = learner(shown, clone, USES[use], steps=60, frozen_steps=50)
    for progress in found.steps():
        if progress.step == 50:
            break
    for seed in range(2):
        policy = found.policy(seed)
        for place in (-0.7, 0.2):
            seen = {"observation": np.array([place])}
            np.testing.assert_allclose(policy.act(seen), clone.act(seen), atol=1e-6)


@pytest.mark.parametrize("use", USES)
def test_an_interrupted_training_equals_an_uninterrupted_one(shown, clone, use):
    options = {"steps": 90, "frozen_steps": 20}
    whole = finished(learner(shown, clone, USES[use], **options)).tensors()
    first = learner(shown, clone, USES[use], **options)
    for progress in first.steps():
        if progress.step == 47:
            break
    second = learner(shown, clone, USES[use], **options)
    assert second.restore({name: tensor.clone() for name, tensor in first.tensors().items()}) == []
    again = finished(second).tensors()
    assert whole.keys() == again.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, again[name]), name


@pytest.mark.parametrize("use", USES)
def test_a_seed_that_is_taken_back_has_the_policy_of_before_and_the_other_one_has_not(shown, clone, use):
    found = learner(shown, clone, USES[use], steps=120, frozen_steps=10)
    before = found.policy(1)
    other = finished(found).policy(0)
    now = found.policy(1)
    found.take_back(1, before)
    kept, left = found.policy(1), found.policy(0)
    part = "perceptron." if use == START else "actor.perceptron."
    for name, values in before.network.state_dict().items():
        if name.startswith(part):
            assert torch.equal(kept.network.state_dict()[name], values)
            assert not torch.equal(now.network.state_dict()[name], values)
            assert torch.equal(left.network.state_dict()[name], other.network.state_dict()[name])
    found.take_back(1, clone)
    seen = {"observation": np.array([0.4])}
    np.testing.assert_allclose(found.policy(1).act(seen), clone.act(seen), atol=1e-6)


def test_the_noise_of_a_new_residual_has_the_entropy_that_is_kept(shown, clone):
    """A Gaussian of entropy e has the deviation exp(e) / sqrt(2 pi e): of -1 this is 0.0890, in units of the reach."""
    found = learner(shown, clone, CloneUse(RESIDUAL, reach=1.0))
    place = Window(torch.tensor([[[0.5]], [[0.5]]]))
    draws = torch.Generator().manual_seed(0)
    actions = torch.stack([found.agent.explore(place, draws) for _ in range(2000)])  # (2000, 2, 1)
    reach = found.policy(0).network.reach
    np.testing.assert_allclose((actions.std(dim=0) / reach).flatten(), [0.089, 0.089], rtol=0.1)


def test_a_residual_stays_within_its_reach_of_the_clone(shown, clone):
    found = finished(learner(shown, clone, CloneUse(RESIDUAL, reach=1.0), steps=600))
    policy = found.policy(0)
    assert isinstance(policy.network, GuidedNetwork)
    scale = policy.normaliser.actions.scale * policy.network.reach.numpy()
    moves = [
        [each.act({"observation": np.array([place])})[0] for place in PLACES] for each in (policy, clone)
    ]
    assert (np.abs(np.array(moves[0]) - moves[1]) <= scale + 1e-6).all()


def test_the_cloning_loss_fades():
    use = CloneUse(weight=2.0, fade_steps=100)
    assert [use.weight_after(updates) for updates in (0, 25, 100, 300)] == [2.0, 1.5, 0.0, 0.0]
    assert CloneUse(weight=0.5).weight_after(10_000) == 0.5


def test_the_cloning_loss_is_that_of_demonstrated_steps_more_of_those_that_are_worth_more(shown, clone):
    agent = learner(shown, clone, USES[START], seeds=1, steps=60, frozen_steps=50).agent
    for layer in (*agent._actor.layers, *agent._critics.layers):
        for parameter in layer.parameters():
            torch.nn.init.zeros_(parameter)  # the actor's mean is 0, and no action is worth more than another
    state, flags = Window(torch.zeros(4, 1, 1)), torch.zeros(4, dtype=torch.bool)
    batch = Transition(state, torch.tensor([[0.9], [0.9], [0.2], [0.4]]), state, flags, flags)
    seen = marked_state(state)
    assert float(agent._cloning_loss(batch, seen).detach()) == pytest.approx((0.2**2 + 0.4**2) / 2)
    agent._values = lambda critics, seen, action: action.view(1, 1, -1)  # worth what the action is
    advantages = np.array([0.2, 0.4])  # their deviation is 0.1 * sqrt(2)
    weights = np.exp(np.minimum(advantages / (0.1 * np.sqrt(2)), 2.0))
    wanted = (weights / weights.mean() * np.array([0.04, 0.16])).mean()
    assert float(agent._cloning_loss(batch, seen).detach()) == pytest.approx(wanted, rel=1e-4)


def test_the_demonstrated_rows_are_the_second_half_of_those_of_each_seed(shown, clone):
    agent = learner(shown, clone, USES[START], seeds=2, steps=60, frozen_steps=50).agent
    assert agent._of_shown(torch.arange(8)).tolist() == [2, 3, 6, 7]
    assert agent._of_shown(torch.arange(16).view(8, 2)).tolist() == [[4, 5], [6, 7], [12, 13], [14, 15]]


def test_the_cloning_loss_of_a_residual_is_that_of_what_it_adds(shown, clone):
    """The clone says 0.5, the actor adds nothing; the reach is 0.4. Shown: 0.7, half of it, and 0, beyond its end."""
    agent = learner(shown, clone, CloneUse(RESIDUAL), seeds=1, steps=60, frozen_steps=50).agent
    for network in (agent._actor, agent._critics, agent._clone):
        for layer in network.layers:
            for parameter in layer.parameters():
                torch.nn.init.zeros_(parameter)
    agent._clone.layers[-1].bias.data[..., 0] = np.arctanh(0.5)
    agent._reach.fill_(0.4)
    state, flags = Window(torch.zeros(4, 1, 1)), torch.zeros(4, dtype=torch.bool)
    batch = Transition(state, torch.tensor([[0.9], [0.9], [0.7], [0.0]]), state, flags, flags)
    seen = marked_state(state)
    assert float(agent._cloning_loss(batch, seen).detach()) == pytest.approx((0.5**2 + 1.0**2) / 2)
    agent._values = lambda critics, seen, action: action.view(1, 1, -1)  # worth what the action is
    advantages = np.array([0.7, 0.0]) - 0.5  # over the clone's action, which the actor leaves as it is
    weights = np.exp((advantages / advantages.std(ddof=1)).clip(-2, 2))
    wanted = (weights / weights.mean() * np.array([0.25, 1.0])).mean()
    assert float(agent._cloning_loss(batch, seen).detach()) == pytest.approx(wanted, rel=1e-4)


def test_an_own_episode_that_succeeds_becomes_a_demonstration(shown, clone):
    found = learner(shown, clone, USES[START], seeds=1, keep_successes=True)
    before = found._shown.counts[0]
    for _ in found.steps():
        if found._shown.counts[0] > before:
            break
    own, kept = found._own.counts[0], found._shown.counts[0] - before
    for name in ("observation", "action", "terminated", "absorbing", "earned"):
        newest = found._own.tensors()[name][0, own - kept : own]
        assert torch.equal(found._shown.tensors()[name][0, before : before + kept], newest), name
    assert found._own.tensors()["earned"][0, own - kept : own].sum() == 1  # one episode, from its beginning


def test_the_deviation_is_that_of_what_was_shown_from_the_clone(clone):
    network = ActorNetwork(ACTOR, _spec(clone))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()  # its answer is 0 everywhere
    state = np.zeros(1, np.float32)
    actions = (0.3, -0.3, 0.3)
    apart = [
        EnvironmentStep(np.full(1, 5.0 * place, np.float32), np.array([action], np.float32), state)
        for place, action in enumerate(actions)
    ]
    assert float(deviation_of(apart, network)) == pytest.approx(0.3)
    led = [step._replace(following=after.observation) for step, after in pairwise(apart)]
    assert float(deviation_of([*led, apart[-1]], network)) == pytest.approx(0.6)  # from one step to the next


def _spec(policy):
    return ModelSpec(policy.contract, policy.inputs, 1, policy.normaliser)


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (CloneUse(RESIDUAL), "clone: use is residual, and there is no clone: give one with --from"),
        (CloneUse(weight=1.0), "clone: weight is 1, and there is no clone"),
    ],
)
def test_a_clone_that_is_not_there_is_missed(shown, use, says):
    with pytest.raises(ValueError, match=says):
        learner(shown, None, use)


def test_a_reward_of_single_steps_looks_one_step_ahead(shown, clone):
    good = learner(shown, clone, USES[START])
    assert good.rewards.looks_ahead
