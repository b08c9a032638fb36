"""Imitation with own steps: a small task that each reward learns, exact resumption, and what is refused."""

import math
from dataclasses import replace

import line_env
import numpy as np
import pytest
import torch

from il_ros.policies.families.actor import Actor
from il_ros.policies.features import Inputs
from il_ros.rewards.adversarial import AirlSettings, GailSettings
from il_ros.rl.agents.agent import AgentSettings
from il_ros.rl.learner import Imitation, ImitationLearner, Progress
from il_ros.rl.reward_source import SQIL, TASK
from il_ros.rl.steps.demonstrations import CUT, LIMITS, SHOWN, fit_scales, steps_of, warnings_of
from il_ros.rl.steps.world import BrokenEnvironmentError, World

ACTOR = Actor(hidden=(32, 32))
REWARDS = {
    "gail": GailSettings(),
    "states": GailSettings(from_states=True),
    "airl": AirlSettings(discount=0.9),
    SQIL: None,
    TASK: None,
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    return line_env.dataset(tmp_path_factory.mktemp("line"))


@pytest.fixture(scope="module")
def shown_numbers(tmp_path_factory):
    return line_env.dataset(tmp_path_factory.mktemp("numbers"), numbers=True)


def scales_of(dataset, action_range=SHOWN):
    inputs = Inputs.for_policy(dataset.contract, ACTOR)
    return fit_scales(dataset.train, dataset.contract, inputs, action_range)


def learner(
    dataset, reward="gail", seeds=2, environments=None, actor=ACTOR, agent=None, start=None, **changes
):
    scales = scales_of(dataset)
    numbers = dataset.contract.actions[0].quantity == "bounded"
    made = environments or [line_env.PlainLine(numbers=numbers) for _ in range(seeds)]
    chosen = agent or AgentSettings(
        hidden=32, discount=0.9, rate=3e-3, target_share=0.05, temperature=1.0 if reward == "airl" else 0.1
    )
    settings = Imitation(
        **{"steps": 800, "random_steps": 100, "batch": 32, "seeds": seeds, "reward_rate": 3e-3, **changes}
    )
    steps = [step for episode in dataset.train for step in steps_of(episode, scales, line_env.STEPS)]
    name = "gail" if reward == "states" else reward
    worlds = [World(environment, scales, f"environment {seed}") for seed, environment in enumerate(made)]
    return ImitationLearner(settings, actor, chosen, (name, REWARDS[reward]), scales, worlds, steps, start)


def right_moves(policy):
    """Return the share of places at which a policy moves to the middle."""
    places = np.concatenate([np.linspace(-0.8, -0.2, 10), np.linspace(0.2, 0.8, 10)])
    moves = [policy.act({"observation": np.array([place])})[0] for place in places]
    right = [(move[-1] > (move[0] if len(move) > 1 else 0)) for move in moves]
    return float(np.mean(np.array(right) == (places < 0)))


@pytest.mark.parametrize("reward", list(REWARDS))
def test_each_reward_teaches_to_move_to_the_middle(shown, reward):
    found = learner(shown, reward, steps=1600 if reward == "airl" else 800)
    for _ in found.steps():
        pass
    for seed in range(2):
        assert right_moves(found.policy(seed)) >= 0.9


def test_numbers_are_learnt_by_soft_actor_critic(shown_numbers):
    found = learner(shown_numbers, "gail", steps=1000)
    for _ in found.steps():
        pass
    for seed in range(2):
        assert right_moves(found.policy(seed)) >= 0.9


def test_the_saved_policy_acts_as_the_learner(shown_numbers):
    found = learner(shown_numbers, "gail", steps=130)
    for _ in found.steps():
        pass
    place = {"observation": np.array([0.3])}
    scales = scales_of(shown_numbers)
    seen = torch.from_numpy(scales.state(place))[None]
    for seed in range(2):
        policy = found.policy(seed)
        inputs = torch.cat([torch.asinh(seen), torch.zeros(1, 1)], dim=1)
        outputs = found.agent._actor(inputs.expand(2, 1, 2))[seed, 0]
        wanted = scales.command(torch.tanh(outputs[:1]).detach().numpy(), place)
        np.testing.assert_allclose(policy.act(place)[0], wanted, rtol=1e-5)
        assert policy.normaliser.shown is None  # a learner must see where it is


def states_after(found, count):
    for progress in found.steps():
        if progress.step == count:
            break
    return {name: tensor.clone() for name, tensor in found.tensors().items()}


@pytest.mark.parametrize(
    ("reward", "numbers"), [("gail", False), ("airl", True), (SQIL, False), (TASK, True)]
)
@pytest.mark.parametrize("stop", [50, 151])
def test_an_interrupted_training_equals_an_uninterrupted_one(shown, shown_numbers, reward, numbers, stop):
    data, options = shown_numbers if numbers else shown, {"steps": 200, "edge": None}
    options.pop("edge")
    whole = states_after(learner(data, reward, **options), 200)
    state = states_after(learner(data, reward, **options), stop)
    second = learner(data, reward, **options)
    torch.manual_seed(7)  # what no training may depend on
    assert second.restore(state) == []
    again = states_after(second, 200)
    assert whole.keys() == again.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, again[name]), name


def test_an_environment_that_does_not_repeat_itself_begins_a_new_episode_and_says_so(shown):
    state = states_after(learner(shown, steps=200), 151)
    second = learner(shown, steps=200)
    state["state.1"] += 1e-6
    (note,) = second.restore(state)
    assert note.startswith("environment 1 does not repeat its episode: a new one begins")
    assert states_after(second, 200)["step"] == 200


def test_frozen_steps_teach_the_critics_and_leave_the_policy_as_it_was(shown_numbers):
    found = learner(shown_numbers, "gail", steps=200, random_steps=40, frozen_steps=60)
    before = states_after(found, 40)
    frozen = states_after(found, 100)
    after = states_after(found, 110)
    name = "agent.actor.values"
    assert torch.equal(before[name], frozen[name])
    assert not torch.equal(before["agent.critics.values"], frozen["agent.critics.values"])
    assert not torch.equal(frozen[name], after[name])


def test_one_seed_gives_equal_bits_and_another_one_does_not(shown):
    first, again, other = (states_after(learner(shown, steps=150, seed=seed), 150) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["agent.value.values"], other["agent.value.values"])


def test_a_clone_is_where_all_seeds_begin(shown):
    first = learner(shown, steps=600)
    for _ in first.steps():
        pass
    clone = first.policy(0)
    for seed in range(2):
        begun = learner(shown, steps=200, start=clone).policy(seed)
        for place in (-0.5, 0.1, 0.4):
            seen = {"observation": np.array([place])}
            np.testing.assert_array_equal(begun.act(seen), clone.act(seen))


# ---- demonstrations ----------------------------------------------------------------------------------------


def test_demonstrations_are_scaled_as_the_policy_scales_what_it_sees(shown_numbers):
    scales, (episode, *_) = scales_of(shown_numbers), shown_numbers.train
    found = steps_of(episode, scales, line_env.STEPS)
    policy = learner(shown_numbers, steps=200).policy(0)
    for place in (0, 7):
        seen = {"observation": episode.observations["observation"][place]}
        np.testing.assert_array_equal(
            found[place].observation, policy.normalised_state(seen).astype(np.float32)
        )
        command = scales.command(found[place].action, seen)
        np.testing.assert_allclose(command, episode.commands[place], atol=1e-6)


def test_a_demonstration_shorter_than_the_limit_terminated_and_a_full_one_was_cut_off(shown):
    scales, (episode, *_) = scales_of(shown), shown.train
    assert len(episode) == line_env.STEPS
    cut, ended = (steps_of(episode, scales, limit) for limit in (line_env.STEPS, line_env.STEPS + 1))
    assert [step.terminated for step in cut] == [False] * (line_env.STEPS - 1)
    assert [step.terminated for step in ended] == [False] * (line_env.STEPS - 1) + [True]


def test_a_short_demonstration_that_was_cut_did_not_terminate_unless_it_has_a_verdict(shown):
    scales, (episode, *_), limit = scales_of(shown), shown.train, line_env.STEPS + 1
    assert not any(step.terminated for step in steps_of(episode, scales, limit, CUT))
    judged = replace(episode, outcome="success")
    assert [step.terminated for step in steps_of(judged, scales, limit, CUT)][-2:] == [False, True]
    assert "short_demonstrations=cut" in warnings_of(shown.train, limit)[1]
    assert len(warnings_of(shown.train, limit, CUT)) == 1  # few steps, and nothing of their end
    with pytest.raises(ValueError, match="did you mean 'cut'"):
        Imitation(short_demonstrations="cutt")


def test_the_last_correction_of_an_episode_that_goes_on_is_not_its_end(shown):
    """The label stops at tick 19 of an episode of 23 ticks: what its last command led to is not known."""
    scales, (episode, *_) = scales_of(shown), shown.train
    first_ns, last_ns = int(episode.ticks_ns[0]), int(episode.ticks_ns[-1])
    longer = replace(episode, outcome="failure", span_ns=(first_ns, last_ns + 3 * episode.period_ns))
    assert longer.steps == line_env.STEPS + 3
    found = steps_of(longer, scales, 100)
    assert [step.terminated for step in found] == [False] * (line_env.STEPS - 1)
    assert any("without the verdict success" in line for line in warnings_of([episode], 100))
    assert not any("without the verdict success" in line for line in warnings_of([longer], 100))
    # the label begins late and lasts to the end: the whole episode counts for the limit, and the end is known
    late = replace(episode, span_ns=(first_ns - 5 * episode.period_ns, last_ns))
    terminated = {limit: steps_of(late, scales, limit)[-1].terminated for limit in (24, 25, 26)}
    assert terminated == {24: False, 25: False, 26: True}


def test_choices_are_scaled_by_what_they_are_whatever_was_shown(tmp_path):
    always_right = line_env.dataset(tmp_path, count=1, expert=lambda place: 1)
    scales = scales_of(always_right)
    assert scales.normaliser.actions.normalise(np.array([0.0, 1.0])).tolist() == [-1.0, 1.0]


def test_the_range_of_actions_is_what_was_shown_or_the_contracts_limits(tmp_path):
    gentle = line_env.dataset(tmp_path, count=1, numbers=True, expert=lambda place: 0.75 * (place < 0))
    found = {kind: scales_of(gentle, kind).normaliser.actions for kind in (SHOWN, LIMITS)}
    low, high = gentle.train[0].commands.min(), gentle.train[0].commands.max()
    assert found[SHOWN].restore(np.array([-1.0])) == pytest.approx(low)
    assert found[SHOWN].restore(np.array([1.0])) == pytest.approx(max(high, low + 0.004), abs=0.01)
    assert found[LIMITS].restore(np.array([-1.0])).tolist() == [-1.0]


def test_doubtful_demonstrations_are_told(shown):
    assert warnings_of(shown.train, line_env.STEPS) == [
        "80 steps in 4 demonstrations are few; from 100 on a reward can tell what they have in common"
    ]
    short = warnings_of(shown.train, line_env.STEPS + 5)[1]
    assert short.startswith(
        "4 demonstrations of 20 to 20 steps without the verdict success: shorter than the"
    )
    (few, longer) = warnings_of(shown.train[:1], 10)
    assert few.startswith("20 steps in 1 demonstration are few")
    assert longer.startswith("a demonstration has 20 steps, and the environment ends after 10")


# ---- what goes wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"fails_at": 150}, r"step 150: environment 1.*observation 'observation': .* is nan"),
        ({"fails_at": 120, "raises": True}, r"step 120: environment 1.*the motor is gone"),
    ],
)
def test_a_broken_environment_ends_the_training_and_names_the_step(shown, options, says):
    environments = [line_env.PlainLine(), line_env.PlainLine(**options)]
    found = learner(shown, environments=environments, steps=300)
    with pytest.raises(BrokenEnvironmentError, match=says):
        for _ in found.steps():
            pass


def test_an_exploding_reward_ends_the_training(shown):
    found = learner(shown, steps=200)
    with torch.no_grad():
        found.rewards.network.perceptron.layers[-1].bias.fill_(1e6)
    with pytest.raises(
        FloatingPointError, match=r"step 101: the reward has exploded: its mean size is 1e\+06"
    ):
        for _ in found.steps():
            pass


def test_a_loss_that_is_not_finite_leaves_the_networks_as_they_were(shown):
    found = learner(shown, SQIL, steps=200)
    for progress in found.steps():
        if progress.step == 150:
            break
    before = found.agent.tensors()["value.values"].clone()
    found._own.tensors()["observation"].fill_(math.nan)
    with pytest.raises(FloatingPointError, match="step 151: the loss is nan"):
        next(found.steps())
    assert torch.equal(found.agent.tensors()["value.values"], before)


def test_a_reward_that_says_little_is_told():
    assert (
        "separates all steps from the demonstrations"
        in Progress(1, {"discriminator_accuracy": 0.999}).warning
    )
    assert "AUC 0.50" in Progress(1, {"discriminator_auc": 0.507}).warning
    assert Progress(1, {"discriminator_auc": 0.7, "discriminator_accuracy": 0.8}).warning == ""
    assert Progress(1, {}).warning == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"actor": Actor(history=2)}, "history is 2; a training with own steps needs 1"),
        ({"actor": Actor(horizon=4)}, "horizon is 4; a training with own steps needs 1"),
        ({"actor": Actor(inputs=("observation",))}, "reward: inputs are .*; they must be the policy's"),
        (
            {"reward": "airl", "agent": AgentSettings(discount=0.5, temperature=1.0)},
            "reward: discount is 0.9; it must be the agent's, 0.5",
        ),
        (
            {"reward": "airl", "agent": AgentSettings(discount=0.9)},
            "agent: temperature is 0.1; airl needs 1",
        ),
        ({"frozen_steps": 10}, "frozen_steps is 10; the policy of a choice is its values"),
        ({"environments": [line_env.PlainLine()]}, "got 1 environment for 2 seeds"),
    ],
)
def test_parts_that_do_not_fit_are_refused(shown, change, says):
    with pytest.raises(ValueError, match=says):
        learner(shown, **change)


def test_without_a_step_there_is_nothing_to_learn_from(shown):
    parts = (Imitation(), ACTOR, AgentSettings(), ("gail", GailSettings()), scales_of(shown), [None], [])
    with pytest.raises(ValueError, match="the demonstrations have no step"):
        ImitationLearner(*parts)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"steps": 100, "random_steps": 100}, "random_steps is 100; it must be below steps, 100"),
        ({"batch": 0}, "batch"),
        (
            {"steps": 100, "random_steps": 50, "frozen_steps": 50},
            "frozen_steps is 50; with random_steps it must",
        ),
        ({"action_range": "all"}, "action_range: 'all' is not known"),
        ({"reward_rate": 0.0}, "reward_rate is 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Imitation(**wrong)
