"""The part of a joint policy answers as the whole one, told which contract is meant."""

import dataclasses

import numpy as np
import pytest
import torch
import two_robots as robots
from two_robots import BASE, PUSH, REACH

from il_ros.policies import checkpoint
from il_ros.policies.families.registry import make_network
from il_ros.policies.joint.contracts import PART, joined
from il_ros.policies.joint.part import TASKS, joint_settings, one_hot, part_policy
from il_ros.policies.loading import load_driving
from il_ros.policies.normaliser import Affine, Normaliser, ShownRange
from il_ros.policies.runner import LoadedPolicy
from il_ros.training import recipe as recipes

OWN = joined([REACH, PUSH, BASE])
RECIPES = {
    "ensemble": ("hidden=[8]", "members=3"),
    "bc_mlp": ("hidden=[8]", "horizon=3", "history=2"),
    "two_step": ("hidden=[8]", "horizon=4"),
    "transformer": ("width=16", "blocks=1", "history=3"),
}


def whole(name="ensemble"):
    """A joint policy with random weights and normalisation."""
    recipe = recipes.load(name, RECIPES[name])
    settings = joint_settings(recipe.policy, OWN)
    rng = np.random.default_rng(1)
    features, actions = 12, 3  # joints 2, goal 2, block 2, scan 3, part 3; arm 2, wheels 1
    state = Affine(rng.uniform(-1, 1, features), rng.uniform(0.5, 2, features))
    wide = np.full(features, 100.0)
    shown = ShownRange(-wide, wide, np.zeros(features), np.zeros(features, dtype=bool))
    normaliser = Normaliser(
        state, Affine(rng.uniform(-1, 1, actions), rng.uniform(0.5, 2, actions)), {}, shown
    )
    torch.manual_seed(0)
    network = make_network(recipe.family, settings, OWN, normaliser, {})
    tasks = {TASKS: {"reach": ["reach"], "push": ["push", "sweep"], "base": []}}
    return LoadedPolicy(OWN, recipe.family, settings, network, normaliser, "v1", tasks)


def seen(part, number=5):
    episode = robots.episode(part, number)
    return [episode.observation(row) for row in range(4)]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("part", "columns"), [(REACH, [0, 1]), (PUSH, [0, 1]), (BASE, [2])])
def test_a_part_answers_as_the_whole_policy_does_on_what_it_observes(name, part, columns):
    joint = whole(name)
    own = part_policy(joint, part)
    told = [{**each, PART: one_hot(OWN, part)} for each in seen(part)]
    wanted = joint.act(told, seed=3)
    np.testing.assert_allclose(own.act(seen(part), seed=3), wanted[:, columns], rtol=1e-4, atol=1e-5)
    assert own.contract is part


def test_parts_are_told_apart():
    joint = whole()
    both = {**seen(PUSH)[0]}
    reach, push = (part_policy(joint, part).act(both) for part in (REACH, PUSH))
    assert np.abs(reach - push).max() > 1e-3


def test_the_uncertainty_is_that_of_the_own_actions():
    joint = whole()
    told = {**seen(BASE)[0], PART: one_hot(OWN, BASE)}
    by_group = joint.act_in_parts(told).own_by_group
    assert part_policy(joint, BASE).act_in_parts(seen(BASE)[0]).own == pytest.approx(
        by_group["wheels"], rel=1e-4
    )


def test_committed_steps_are_continued():
    own = part_policy(whole("bc_mlp"), BASE)
    before = np.array([[0.3], [-0.2]])
    chunk = own.act(seen(BASE), before)
    np.testing.assert_allclose(chunk[:2], before, atol=1e-6)
    assert chunk.shape == (3, 1)


def test_a_missing_observation_is_an_error_where_the_part_has_it():
    own = part_policy(whole(), PUSH)
    observation = {key: value for key, value in seen(PUSH)[0].items() if key != "block"}
    with pytest.raises(ValueError, match="observation 'block' is missing"):
        own.act(observation)
    assert own.may_lack == ()


def test_a_checkpoint_serves_each_of_its_contracts(tmp_path):
    joint = whole()
    checkpoint.save(tmp_path / "v1", joint)
    for part in (REACH, PUSH, BASE):
        loaded = checkpoint.load(tmp_path / "v1", part)
        assert loaded.contract.hash == part.hash
        np.testing.assert_array_equal(loaded.act(seen(part)), part_policy(joint, part).act(seen(part)))
    assert checkpoint.load(tmp_path / "v1").contract.parts == OWN.parts
    other = dataclasses.replace(BASE, rate_hz=10)
    with pytest.raises(checkpoint.NotHereError, match="part 'base': rate_hz: 10 here, 20"):
        checkpoint.load(tmp_path / "v1", other)


def test_without_a_contract_the_task_chooses_the_part(tmp_path):
    checkpoint.save(tmp_path / "v1", whole())
    assert load_driving(tmp_path / "v1", task="sweep").contract.name == "push"
    assert load_driving(tmp_path / "v1", task="sweep").metrics["tasks"] == ["push", "sweep"]
    with pytest.raises(
        checkpoint.CheckpointError,
        match=r"is a joint policy; choose one part .*reach: reach; push: push, sweep",
    ):
        load_driving(tmp_path / "v1")
    with pytest.raises(checkpoint.CheckpointError, match="has 0 parts for task 'fold'"):
        load_driving(tmp_path / "v1", task="fold")


def test_a_part_is_not_saved_as_a_policy_of_its_own(tmp_path):
    with pytest.raises(checkpoint.CheckpointError, match="v1 is a part of a joint policy"):
        checkpoint.save(tmp_path / "v2", part_policy(whole(), BASE))


def test_named_inputs_keep_the_one_that_says_which_part_is_meant():
    settings = recipes.load("bc_mlp", ("inputs=[joints, goal, scan]",)).policy
    made = joint_settings(settings, OWN)
    assert made.inputs == ("joints", "goal", "scan", PART)
    assert made.optional == ("joints", "goal", "scan")
