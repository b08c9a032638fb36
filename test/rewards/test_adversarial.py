"""Discriminators as reward models: signs, shaping, absorbing states, several seeds, files."""

import dataclasses
import json

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.core import contract as contracts
from il_ros.policies import checkpoint as policies
from il_ros.policies.checkpoint import CheckpointError, NotHereError
from il_ros.policies.networks.seeded_mlp import one_seed
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.protocol import Window
from il_ros.rewards import checkpoint
from il_ros.rewards.adversarial import AirlSettings, Comparison, GailSettings
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.protocol import Transition
from il_ros.rewards.registry import inputs_of, make_reward
from il_ros.rl.optimiser import Optimiser
from il_ros.rl.steps.buffer import joined

ROWS = 32
FEATURES = len(inputs_of(made.CONTRACT, GailSettings()).groups)
SCALES = Normaliser(Affine(np.zeros(FEATURES), np.ones(FEATURES)), Affine(np.zeros(2), np.ones(2)))


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def steps(value, *, terminated=False, absorbing=False, rows=ROWS, action=0.0):
    state = Window(torch.full((rows, 1, FEATURES), float(value)))
    flags = [torch.full((rows,), flag) for flag in (terminated, absorbing)]
    return Transition(state, torch.full((rows, 2), action), state, *flags)


def model(name="gail", settings=None, seeds=2):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        chosen = settings or (GailSettings() if name == "gail" else AirlSettings())
        return make_reward(name, chosen, made.CONTRACT, SCALES, seeds)


def trained(reward, own, shown, updates=300):
    optimiser, draws = Optimiser(reward, 1e-3), rng()
    compared = Comparison(own, shown, lambda steps: torch.full((len(steps),), -1.0))
    for _ in range(updates):
        loss = reward.compare(compared, draws)
        optimiser.step(loss.total)
    return loss


@pytest.mark.parametrize("shape", ["logit", "softplus", "log_sigmoid"])
@pytest.mark.parametrize("from_states", [False, True])
def test_a_discriminators_reward_is_larger_for_demonstrations_and_has_the_sign_of_its_shape(
    shape, from_states
):
    reward = model(settings=GailSettings(shape=shape, from_states=from_states))
    loss = trained(reward, steps(0), steps(1))
    low, high = reward.reward(steps(0)), reward.reward(steps(1))
    assert (high > low).all()
    assert loss.parts["discriminator_accuracy"] == loss.parts["discriminator_auc"] == 1.0
    if shape == "logit":
        assert low.max() < 0 < high.min()
    else:
        assert (low > 0).all() == (shape == "softplus")
        assert (high < 0).all() == (shape == "log_sigmoid")


@pytest.mark.parametrize("name", ["gail", "airl"])
def test_an_end_that_was_never_shown_is_worth_less_than_own_steps_far_away_at_a_distance_only(name):
    far, ended = steps(1), steps(0, absorbing=True)
    own, shown = joined(far, ended, 2), joined(steps(0), steps(0), 2)

    def gain_of_ending(distance):
        kind = GailSettings if name == "gail" else AirlSettings
        reward = model(name, kind(absorbing_distance=distance))
        trained(reward, own, shown)
        return float((reward.reward(ended) - reward.reward(far)).mean())

    assert gain_of_ending(1.0) > 0.5  # the slope is about 1, and it is nearer to the demonstrations
    assert gain_of_ending(10.0) < -0.5


def test_airl_rates_demonstrated_states_higher():
    reward = model("airl")
    trained(reward, steps(0), steps(1))
    assert reward.state_reward(steps(1)).min() > reward.state_reward(steps(0)).max()


def test_where_own_steps_are_the_demonstrated_ones_the_area_is_a_half():
    loss = trained(model(), steps(0), steps(0), updates=5)
    assert loss.parts["discriminator_auc"] == 0.5


@pytest.mark.parametrize("name", ["gail", "airl"])
def test_what_stands_in_an_absorbing_row_does_not_count(name):
    reward = model(name)
    one = reward.reward(steps(0, absorbing=True))
    torch.testing.assert_close(one, reward.reward(steps(7, absorbing=True, action=0.9)))


@pytest.mark.parametrize("settings", [GailSettings(from_states=True), AirlSettings()])
def test_a_terminating_step_is_rated_by_the_absorbing_state_and_not_by_what_was_seen_then(settings):
    name = "gail" if isinstance(settings, GailSettings) else "airl"
    reward = model(name, settings)
    ends = steps(0.5, terminated=True)
    other = dataclasses.replace(ends, following=steps(3).observation)
    torch.testing.assert_close(reward.reward(ends), reward.reward(other))
    goes_on = dataclasses.replace(other, terminated=torch.zeros(ROWS, dtype=torch.bool))
    assert not torch.allclose(reward.reward(other), reward.reward(goes_on))


def test_the_shaping_of_airl_cancels_along_a_cycle():
    reward = model("airl", AirlSettings(discount=1.0))
    here, there = steps(0).observation, steps(1).observation
    flags = torch.zeros(ROWS, dtype=torch.bool)
    around = sum(
        reward.reward(Transition(one, torch.zeros(ROWS, 2), other, flags, flags))
        for one, other in ((here, there), (there, here))
    )
    torch.testing.assert_close(around, reward.state_reward(steps(0)) + reward.state_reward(steps(1)))


@pytest.mark.parametrize("name", ["gail", "airl"])
def test_the_model_of_one_seed_answers_as_that_seed_among_several(name):
    both = model(name)
    trained(both, steps(0), steps(1), updates=20)
    rated = both.reward(steps(0.3))
    for seed in range(2):
        alone = model(name, seeds=1)
        alone.load_state_dict(one_seed(both.state_dict(), seed))
        half = slice(seed * ROWS // 2, (seed + 1) * ROWS // 2)
        torch.testing.assert_close(alone.reward(steps(0.3, rows=ROWS // 2)), rated[half])


def saved(folder, name="gail", **changes):
    settings = GailSettings(hidden=8) if name == "gail" else AirlSettings(hidden=8)
    reward = LoadedReward(made.CONTRACT, name, settings, model(name, settings, 1), SCALES, "v1", {"a": 1})
    checkpoint.save(folder, dataclasses.replace(reward, **changes))
    return reward


@pytest.mark.parametrize("name", ["gail", "airl"])
def test_a_saved_reward_rates_as_before_to_the_bit(tmp_path, name):
    before = saved(tmp_path / "reward", name)
    for place in (tmp_path / "reward", tmp_path):
        after = checkpoint.load(place, made.CONTRACT)
        assert torch.equal(after.network.reward(steps(0.2)), before.network.reward(steps(0.2)))
    assert (after.family, after.version, after.settings, after.metrics) == (
        name,
        "v1",
        before.settings,
        {"a": 1},
    )


def test_a_reward_is_no_policy_and_a_policy_no_reward(tmp_path):
    saved(tmp_path / "reward")
    with pytest.raises(CheckpointError, match=r"is a reward model .*, not a policy"):
        policies.load(tmp_path / "reward")
    config = json.loads((tmp_path / "reward" / "config.json").read_text())
    del config["kind"]
    (tmp_path / "reward" / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="is a policy, not a reward model"):
        checkpoint.load(tmp_path)


def test_a_damaged_or_foreign_reward_is_refused_with_the_file_and_the_fault(tmp_path):
    with pytest.raises(CheckpointError, match="no such folder"):
        checkpoint.load(tmp_path / "nowhere")
    saved(tmp_path / "reward")
    other = contracts.parse(made.CONTRACT.text.replace("rate_hz: 20", "rate_hz: 10"), "other")
    assert other.hash != made.CONTRACT.hash
    with pytest.raises(NotHereError, match="trained under another contract"):
        checkpoint.load(tmp_path, other)
    file = tmp_path / "reward" / "config.json"
    whole = file.read_text()
    for before, after, says in (
        ('"gail"', '"gial"', "reward model 'gial' is not known; did you mean 'gail'"),
        ('"hidden": 8', '"hidden": 0', "hidden"),
        ('"hidden": 8', '"hidden": 9', "model.safetensors"),
        ('"format": 1', '"format": 7', "format 7 is unknown"),
    ):
        file.write_text(whole.replace(before, after, 1))
        with pytest.raises(CheckpointError, match=says):
            checkpoint.load(tmp_path)
    file.write_text(whole)
    model_file = tmp_path / "reward" / "model.safetensors"
    model_file.write_bytes(model_file.read_bytes()[:-1] + b"\1")
    with pytest.raises(CheckpointError, match="checksum differs"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("kind", "wrong", "says"),
    [
        (GailSettings, {"shape": "line"}, "shape: 'line' is not known"),
        (GailSettings, {"gradient_penalty": -1.0}, "gradient_penalty"),
        (AirlSettings, {"absorbing_distance": 0.0}, "absorbing_distance"),
        (AirlSettings, {"discount": 1.5}, "discount is 1.5; it must be above 0, and at most 1"),
    ],
)
def test_settings_out_of_range_are_refused(kind, wrong, says):
    with pytest.raises(ValueError, match=says):
        kind(**wrong)
