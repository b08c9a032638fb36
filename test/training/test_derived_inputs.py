"""Derived observations as inputs of policies: of recorded bags, the same live, and in checkpoints."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from il_ros.cli.main import main
from il_ros.core import contract
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.arrays.replay import Frame, open_replay
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.catalogue import scan
from il_ros.episodes.exchange.bags import ImportedEpisode, write_bag
from il_ros.policies import checkpoint
from il_ros.policies.features import Inputs
from il_ros.policies.protocol import PolicyError
from il_ros.training.recipe import load
from il_ros.training.trainer.warm_start import incompatibility

TEXT = """
name: made_up
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 0.1}
  object: {topic: object_pose, type: geometry_msgs/msg/PoseStamped, max_age_s: 0.1}
  hand: {topic: hand_pose, type: geometry_msgs/msg/PoseStamped, max_age_s: 0.1}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad,
        reference: joints, limits: {lower: -9, upper: 9, speed: 1000}}
"""
DERIVED = """derived:
  object_seen: {in_frame: [object, hand]}
  apart: {difference: [object/position, hand/position]}
  distance: {norm: apart}
  bend: {cos_sin: joints/position/b}
"""
PLAIN = contract.parse(TEXT, "plain.yaml")
DERIVING = contract.parse(TEXT + DERIVED, "deriving.yaml")


@pytest.fixture
def root(tmp_path):
    """A folder of three episodes, recorded under the contract without derived observations."""
    for number in range(3):
        rng = np.random.default_rng(number)
        seen = {
            "joints": np.cumsum(rng.uniform(0.01, 0.05, (30, 2)), axis=0),
            "object": rng.normal(0, 1, (30, 7)),
            "hand": rng.normal(0, 1, (30, 7)),
        }
        folder = tmp_path / "episodes" / f"episode_{number:06d}"
        folder.mkdir(parents=True)
        half = {"arm": seen["joints"] / 2}
        write_bag(
            folder, PLAIN, ImportedEpisode(number, 30 * number, 30, seen, {}, {}, half, outcome="success")
        )
    return tmp_path / "episodes"


@pytest.fixture
def deriving(tmp_path):
    (tmp_path / "deriving.yaml").write_text(TEXT + DERIVED)
    return tmp_path / "deriving.yaml"


def test_they_are_inputs_after_the_observations_with_their_units():
    inputs = Inputs.of(DERIVING)
    assert [spec.key for spec in inputs.state][3:] == ["object_seen", "apart", "distance", "bend"]
    # 2 joints, 3 positions of 3, one distance, cosine and sine; then six numbers for each of three orientations
    assert inputs.units == (
        *("rad",) * 2, *("m",) * 6, *("m",) * 6, "m", "1", "1", *("1",) * 18
    )  # fmt: skip
    named = dict(zip(inputs.features_of, inputs.groups, strict=True))
    assert named["apart/position.y"] == "apart [m]"
    assert named["distance/norm"] == "distance [m]"
    assert named["bend/sin.position/b"] == "bend [1]"
    assert named["object_seen/orientation.5"] == "object_seen [1]"
    chosen = Inputs.of(DERIVING, ("distance", "bend"))
    assert chosen.features_of == ("distance/norm", "bend/cos.position/b", "bend/sin.position/b")
    assert [source.key for source in chosen.sources] == ["object", "hand", "joints"]


def test_an_episode_gives_the_features_of_the_live_observations_bit_for_bit(root):
    inputs = Inputs.of(DERIVING)
    dataset = Dataset.open(root, DERIVING, validation=0.0)
    for entry, episode in zip(scan(root).usable, dataset.train, strict=True):
        replay = open_replay(open_bag(entry.folder), DERIVING, entry.info)
        live = [frame.observation.values for frame in replay if isinstance(frame, Frame)]
        offline = inputs.state_features(episode.observations)
        assert len(live) == len(offline) == 30
        for seen, features in zip(live, offline, strict=True):
            assert "distance" not in seen  # it is made here, by the same code
            np.testing.assert_array_equal(inputs.state_features(seen), features)


def test_a_policy_of_recorded_bags_uses_them_without_a_new_recording(root, deriving, tmp_path, capsys):
    out = tmp_path / "policy"
    words = ["train", str(root), "--out", str(out), "--contract", str(deriving), "--set", "epochs=2"]
    assert main(words) == 0, capsys.readouterr().err
    policy = checkpoint.load(out)
    assert list(policy.inputs.formulas) == ["object_seen", "apart", "distance", "bend"]
    assert yaml.safe_load((out / "checkpoint" / "contract.yaml").read_text())["derived"]
    seen = {"joints": np.zeros(2), "object": np.array([1.0, 2, 2, 0, 0, 0, 1]), "hand": np.zeros(7)}
    features = dict(zip(policy.inputs.features_of, policy.inputs.state_features(seen), strict=True))
    assert features["distance/norm"] == 3
    assert policy.act(seen).shape == (1, 2)
    assert checkpoint.load(out, PLAIN).inputs.formulas  # it serves a robot whose contract derives nothing


def test_weights_for_other_derived_inputs_are_no_start_and_no_run_to_resume(root, deriving, tmp_path, capsys):
    out = tmp_path / "policy"
    words = ["train", str(root), "--out", str(out), "--contract", str(deriving), "--recipe", "ensemble"]
    words += ["--set", "inputs=[distance]"]
    assert main([*words, "--set", "epochs=2"]) == 0
    start = checkpoint.load(out)
    recipe = replace(load("ensemble"), policy=start.settings)
    other = contract.parse((TEXT + DERIVED).replace("norm: apart", "norm: object/position"), "other.yaml")
    assert "distance = norm(object/position.x object/position.y object/position.z)" in incompatibility(
        start, other, recipe
    )
    assert incompatibility(start, DERIVING, recipe) == ""
    deriving.write_text((TEXT + DERIVED).replace("norm: apart", "norm: object/position"))
    capsys.readouterr()
    assert main([*words, "--set", "epochs=4", "--resume"]) == 1
    assert "derived.distance: was norm(difference(" in capsys.readouterr().err


def test_what_is_derived_from_a_missing_optional_observation_is_missing_too():
    keys = ("joints", "hand", "distance")
    with pytest.raises(ValueError, match="'distance' is derived from 'hand', which may be missing; name it"):
        Inputs.of(DERIVING, keys, ("hand",))
    inputs = Inputs.of(DERIVING, keys, ("hand", "distance"))
    seen = {"joints": np.ones(2), "object": np.ones(7)}
    assert inputs.absent(seen) == ("hand", "distance")
    features = dict(zip(inputs.features_of, inputs.state_features(seen), strict=True))
    assert features["distance/norm"] == 0


def test_errors_name_the_observation_that_is_missing_or_invalid():
    inputs = Inputs.of(DERIVING, ("distance",))
    with pytest.raises(PolicyError, match="observation 'hand' is missing"):
        inputs.state_features({"object": np.ones(7)})
    with pytest.raises(PolicyError, match=r"observation 'hand' is \(3,\); \(7,\) is required"):
        inputs.state_features({"object": np.ones(7), "hand": np.ones(3)})
    bad = np.ones((4, 7))
    bad[1, 1] = np.nan
    with pytest.raises(PolicyError, match=r"observation 'hand': position.y is nan in frame 1"):
        inputs.state_features({"object": np.ones((4, 7)), "hand": bad})
    with pytest.raises(PolicyError, match="what is derived from the observations is not finite: distance"):
        inputs.state_features({"object": np.full(7, 1e300), "hand": np.zeros(7)})


def test_an_unknown_key_of_a_recipe_names_the_derived_ones_too():
    with pytest.raises(
        ValueError, match="has no 'distanz'; it has: joints, object, hand, object_seen, apart"
    ):
        Inputs.of(DERIVING, ("distanz",))
