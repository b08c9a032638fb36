"""The shipped recipes with uncertainty: from the file to the loaded checkpoint."""

import types

import numpy as np
import pytest

from il_ros.core import contract
from il_ros.episodes.arrays.dataset import Dataset, DatasetSummary
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies import checkpoint
from il_ros.policies.uncertainty import PolicyAnswer
from il_ros.training import recipe as recipes
from il_ros.training.run import train
from il_ros.training.uncertainty import fit_uncertainty

CONTRACT = contract.parse(
    """
name: one_joint
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 0.1}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a], unit: rad,
        reference: joints, safe: hold, limits: {speed: 1.0}}
""",
    "test",
)


def episode(name):
    """Episodes of a joint between -1 and 1, commanded to half its position."""
    joints = np.linspace(-1, 1, 64)[:, None]
    ticks_ns = np.arange(1, 65) * CONTRACT.period_ns
    return EpisodeArrays(name, {"joints": joints}, joints / 2, joints * 0, ticks_ns, CONTRACT.period_ns)


@pytest.mark.parametrize("name", ["bc_gaussian", "ensemble"])
def test_an_uncertainty_recipe_trains_a_policy_with_uncertainty(name, tmp_path):
    recipe = recipes.load(name, ["epochs=40", "batch_size=16", "hidden=[16]", "validation=0"])
    shown = (episode("episode_000001"), episode("episode_000002"))
    dataset = Dataset(CONTRACT, shown, (), DatasetSummary(("1", "2"), (), 128, {}, ()))
    train(dataset, recipe, tmp_path)
    policy = checkpoint.load(tmp_path, CONTRACT)
    chunk, uncertainty = policy.act_with_uncertainty({"joints": np.array([0.5])})
    assert chunk.shape == (1, 1)
    assert chunk[0, 0] == pytest.approx(0.25, abs=0.1)
    assert 0 < uncertainty < 0.5


@pytest.mark.parametrize("kind", ["own", "distance"])
def test_calibrated_uncertainty_is_one_at_the_edge_of_the_data_and_more_beyond(kind, tmp_path):
    recipe = recipes.load("ensemble", ["epochs=20", "batch_size=16", "hidden=[16]", f"uncertainty={kind}"])
    shown, held_out = (episode("episode_000001"),), (episode("episode_000002"),)
    dataset = Dataset(CONTRACT, shown, held_out, DatasetSummary(("1",), ("2",), 128, {}, ()))
    train(dataset, recipe, tmp_path)
    policy = checkpoint.load(tmp_path, CONTRACT)
    uncertainties = [
        policy.act_with_uncertainty({"joints": joints})[1] for joints in held_out[0].observations["joints"]
    ]
    if kind == "own":
        assert np.mean(np.array(uncertainties) > 1) == pytest.approx(0.05, abs=0.03)
    else:
        assert max(uncertainties) <= 1  # all of them are demonstrated states
    assert policy.act_with_uncertainty({"joints": np.array([30.0])})[1] > 2


def test_chunk_disagreement_is_calibrated_and_left_to_the_caller(tmp_path):
    recipe = recipes.load("bc_mlp", ["epochs=20", "hidden=[16]", "horizon=4", "uncertainty=chunk"])
    dataset = Dataset(CONTRACT, (episode("episode_000001"),), (), DatasetSummary(("1",), (), 64, {}, ()))
    train(dataset, recipe, tmp_path)
    policy = checkpoint.load(tmp_path, CONTRACT)
    assert policy.act_with_uncertainty({"joints": np.array([0.5])})[1] is None
    assert (policy.uncertainty_model.kind, policy.uncertainty_model.scale > 0) == ("chunk", True)


class Continuing:
    """Answers with the joint's position, or with 0.1 beyond the last committed step."""

    horizon, history = 4, 1
    form = types.SimpleNamespace(columns_by_group={})

    def act_in_parts(self, seen, previous=None):
        steps = np.empty((0, 1)) if previous is None else previous
        level = steps[-1, 0] + 0.1 if len(steps) else seen[-1]["joints"][0]
        return PolicyAnswer(np.concatenate([steps, np.full((4 - len(steps), 1), level)]), None, 0.0)

    def normalised_state(self, observations):
        return observations["joints"]

    def difference(self, commands, others):
        return commands - others


def test_chunks_that_continue_the_one_before_are_calibrated_so():
    """The joint moves by 2 / 63 a tick; a chunk that continues goes 0.1 beyond the one before."""
    dataset = Dataset(CONTRACT, (episode("episode_000001"),), (), DatasetSummary(("1",), (), 64, {}, ()))
    model = fit_uncertainty(Continuing(), dataset, "chunk")
    found = {(each.use.ticks, each.use.committed): each.value for each in model.scales}
    assert found == {
        (1, 0): pytest.approx(2 / 63),
        (1, 1): pytest.approx(0.1),
        (2, 0): pytest.approx(4 / 63),
    }
    assert model.scale == found[1, 0]


def test_an_unavailable_uncertainty_is_rejected_before_training(tmp_path):
    recipe = recipes.load("bc_mlp", ["epochs=20", "hidden=[16]", "horizon=1", "uncertainty=own"])
    dataset = Dataset(CONTRACT, (episode("episode_000001"),), (), DatasetSummary(("1",), (), 64, {}, ()))
    with pytest.raises(ValueError, match="its network predicts none"):
        train(dataset, recipe, tmp_path, on_epoch=lambda _: pytest.fail("trained all the same"))
