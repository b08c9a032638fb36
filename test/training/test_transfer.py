"""Transfer: a policy of other inputs or actions keeps what it shares with the one it came from."""

import dataclasses

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.cli.main import main
from il_ros.core import contract
from il_ros.envs.from_env import contract_of_spaces
from il_ros.envs.write_episode import write_episode
from il_ros.policies import checkpoint
from il_ros.policies.card import card
from il_ros.policies.protocol import Batch
from il_ros.policies.runner import sample
from il_ros.training import recipe as recipes
from il_ros.training import transfer
from il_ros.training.fitting import fit_normaliser, used_samples
from il_ros.training.run import train
from il_ros.training.transfer import TransferError, transferred

ANOTHER = contract.parse(
    """
name: another
rate_hz: 20
trigger: joint_states
observations:
  object: {topic: object_pose, type: geometry_msgs/msg/PoseStamped, fields: [position, orientation],
           max_age_s: 0.1}
  load: {topic: load, type: std_msgs/msg/Float64MultiArray, names: [x, y, z], max_age_s: 0.1}
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [b, c, a], max_age_s: 0.1}
actions:
  lift: {topic: lift, type: std_msgs/msg/Float64MultiArray, names: [z], quantity: bounded,
         limits: {lower: -1, upper: 1}}
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [b, a], unit: rad, reference: joints,
        limits: {lower: -1, upper: 1, speed: 1000}}
""",
    "another.yaml",
)
"""Inputs and actions in another order, with more of each."""
RECIPES = {
    "bc_mlp": ("hidden=[16, 16]", "horizon=3", "history=2"),
    "bc_gaussian": ("hidden=[16]", "horizon=2"),
    "ensemble": ("hidden=[8, 8]", "members=3"),
    "moe": ("hidden=[8]", "horizon=4", "experts=2"),
}


def another_episode(number):
    one = made.episode(number)
    rng = np.random.default_rng(number)
    joints = one.observations["joints"]
    load, third = rng.uniform(-1, 1, (len(one), 3)), rng.uniform(-1, 1, (len(one), 1))
    observations = {
        "object": one.observations["object"],
        "load": load,
        "joints": np.concatenate([joints[:, 1:], third, joints[:, :1]], axis=1),
    }
    commands = np.concatenate([load[:, :1], one.commands[:, ::-1]], axis=1)
    return dataclasses.replace(
        one, observations=observations, commands=commands, offsets=np.zeros_like(commands)
    )


def moved(name, changes, tmp_path, own=ANOTHER):
    recipe = recipes.load(name, (*changes, "epochs=3", "still_every=1"))
    policy = train(made.dataset(4, 1), recipe, tmp_path / "v1", version="v1").policy
    episodes = [another_episode(number) for number in range(4)]
    inputs = transfer.Inputs.for_policy(own, recipe.policy)
    shown, *_ = used_samples(episodes, inputs, recipe, transfer.ActionForm(own))
    return policy, transferred(policy, own, recipe, fit_normaliser(shown, inputs, own, recipe))


@pytest.mark.parametrize("name", RECIPES)
def test_a_policy_of_another_robot_acts_as_before_on_what_it_shares(name, tmp_path):
    policy, other = moved(name, RECIPES[name], tmp_path)
    said = other.metrics[transfer.TRANSFERRED]
    # 2 joints, 3 of a position; the orientation never moved, so it had no influence
    assert said == (
        "transferred from v1: 5 of 15 inputs and 2 of 3 actions kept\n"
        "new inputs: load, joints (position/c)\n"
        "inputs learnt anew, as their range or unit is another, or they never moved before: object (orientation.0, "
        "orientation.1, orientation.2, orientation.3, orientation.4, orientation.5)\n"
        "new actions: lift"
    )
    for number in range(3):
        one, another = made.episode(20 + number), another_episode(20 + number)
        windows = [
            model.window([episode.observation(row) for row in range(model.history)])
            for model, episode in ((policy, one), (other, another))
        ]
        chunks = [
            model.normaliser.actions.restore(sample(model.network, Batch(window), seed=3).chunk[0].numpy())
            for model, window in zip((policy, other), windows, strict=True)
        ]
        np.testing.assert_allclose(chunks[1][:, [2, 1]], chunks[0], rtol=1e-4, atol=1e-5)
        assert not np.allclose(chunks[1][:, 0], 0)  # the new action has initial weights


def test_new_inputs_learn(tmp_path):
    _, other = moved("bc_mlp", RECIPES["bc_mlp"], tmp_path)
    episodes = tuple(another_episode(number) for number in range(4))
    data = dataclasses.replace(made.dataset(4, 0), contract=ANOTHER, train=episodes)
    recipe = recipes.load("bc_mlp", (*RECIPES["bc_mlp"], "epochs=2", "still_every=1"))
    after = train(data, recipe, tmp_path / "v2", version="v2", start=other).policy
    columns = after.inputs.columns["load"]
    before = other.network.state_dict()["trunk.0.weight"][:, columns]
    assert before.abs().max() == 0
    assert after.network.state_dict()["trunk.0.weight"][:, columns].abs().max() > 0
    assert after.metrics["parent"] == "v1"
    assert "transferred from v1: 5 of 15 inputs and 2 of 3 actions kept; new inputs: load, " in card(
        after, "v2"
    )


@pytest.mark.parametrize("name", ["bc_mixture", "two_step"])
def test_a_family_with_another_layout_keeps_what_lies_between(name, tmp_path):
    policy, other = moved(name, ("hidden=[16, 16]", "horizon=2"), tmp_path)
    assert "kept only the weights between inputs and actions" in other.metrics[transfer.TRANSFERRED]
    before, after = policy.network.state_dict(), other.network.state_dict()
    same = [key for key in before if torch.equal(before[key], after.get(key, torch.zeros(0)))]
    assert "trunk.2.weight" in same
    assert "trunk.0.weight" not in same


def test_a_range_of_another_size_is_normalised_anew(tmp_path, monkeypatch):
    wide = another_episode

    def far(number):
        one = wide(number)
        return dataclasses.replace(one, commands=one.commands * [1, 1, 40])

    monkeypatch.setitem(globals(), "another_episode", far)
    policy, other = moved("bc_mlp", RECIPES["bc_mlp"], tmp_path)
    said = other.metrics[transfer.TRANSFERRED]
    assert said.endswith("new actions: lift\nactions learnt anew, as their range or meaning is another: arm")
    assert "0 of 3 actions kept" in said
    assert other.normaliser.actions.scale[2] > 10 * policy.normaliser.actions.scale[0]


def test_a_policy_from_which_nothing_can_be_kept_is_refused(tmp_path):
    strange = contract_of_spaces(
        "strange", *[pytest.importorskip("gymnasium").spaces.Box(-1, 1, (2,))] * 2, 20.0
    )
    recipe = recipes.load("bc_mlp", ("hidden=[8]", "epochs=1"))
    policy = train(made.dataset(2, 1), recipe, tmp_path / "v1", version="v1").policy
    episode = dataclasses.replace(
        made.episode(1), observations={"observation": made.episode(1).observations["joints"]}
    )
    inputs = transfer.Inputs.for_policy(strange, recipe.policy)
    shown, *_ = used_samples([episode], inputs, recipe, transfer.ActionForm(strange))
    fitted = fit_normaliser(shown, inputs, strange, recipe)
    with pytest.raises(TransferError, match="v1 shares no input and no action with contract 'strange'"):
        transferred(policy, strange, recipe, fitted)
    data = dataclasses.replace(made.dataset(1, 0), contract=strange, train=(episode,))
    start, _, refusal = transfer.begin(tmp_path / "v1", data, recipe, 0, 0.0)
    assert start is None
    assert refusal.splitlines() == [
        "trained from scratch, the weights of v1 do not fit: "
        "another contract (here: 'strange', there: 'made_up' of v1)",
        "only here: observations.observation, actions.action",
        "only there: observations.joints, observations.object, actions.arm",
        "trigger: observation here, joint_states there",
        "v1 shares no input and no action with contract 'strange'",
    ]
    with pytest.raises(TransferError, match=r"policy.hidden is \[8\], the recipe's \[9\]"):
        transferred(policy, strange, recipes.load("bc_mlp", ("hidden=[9]",)), fitted)
    with pytest.raises(TransferError, match="family is bc, the recipe's ensemble"):
        transferred(policy, strange, recipes.load("ensemble"), fitted)


def test_the_command_says_what_is_kept_and_trains_from_it(tmp_path, capsys):
    spaces = pytest.importorskip("gymnasium").spaces
    rng = np.random.default_rng(0)
    for name, seen_size in (("first", 2), ("second", 3)):
        own = contract_of_spaces(name, spaces.Box(-1, 1, (seen_size,)), spaces.Box(-1, 1, (1,)), 20.0)
        for _ in range(2):
            seen = rng.uniform(-1, 1, (30, seen_size))
            write_episode(tmp_path / name, own, {"observation": seen}, seen[:, :1] / 2)
    words = ["--recipe", "bc_mlp", "--set", "epochs=1"]
    assert main(["train", str(tmp_path / "first"), "--out", str(tmp_path / "v1"), *words]) == 0
    capsys.readouterr()
    second = ["train", str(tmp_path / "second"), "--out", str(tmp_path / "v2"), *words]
    assert main([*second, "--from", str(tmp_path / "v1")]) == 0
    out = capsys.readouterr().out
    assert "initial weights: v1" in out
    assert (
        "  transferred from v1: 2 of 3 inputs and 1 of 1 actions kept\n    new inputs: observation (" in out
    )
    assert checkpoint.load(tmp_path / "v2").metrics["parent"] == "v1"
    other = ["train", str(tmp_path / "second"), "--out", str(tmp_path / "v3"), *words]
    assert main([*other, "--set", "hidden=[9]", "--from", str(tmp_path / "v1")]) == 0
    assert capsys.readouterr().out.splitlines()[1:5] == [
        "  warning: trained from scratch, the weights of v1 do not fit: "
        "another contract (here: 'second', there: 'first' of v1)",
        "    observations.observation.elements: ('data/0', 'data/1', 'data/2') here, ('data/0', 'data/1') there",
        "    policy.hidden is [64, 64], the recipe's [9]",
        "result",
    ]
