"""Demonstrations without actions get labels from an inverse model; policies learn these as they learn commands."""

import dataclasses
import hashlib
import shutil

import made_arrays as arrays
import made_episodes as made
import numpy as np
import pytest

from il_ros.cli.main import main
from il_ros.episodes import inferred_labels
from il_ros.episodes.arrays import cache
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.bag.topics import MismatchError
from il_ros.episodes.catalogue import look
from il_ros.episodes.inferred_labels import InferredLabels
from il_ros.episodes.layout import LayoutError
from il_ros.policies import checkpoint
from il_ros.policies.loading import load_policy
from il_ros.records.decision import NOBODY
from il_ros.training import recipe as recipes
from il_ros.training.inverse.labels import HasActionsError, infer, infer_arrays
from il_ros.training.run import train

QUICK = ("hidden=[32]", "batch_size=16", "learning_rate=0.01", "still_every=1", "validation=0")
SOURCE = "inverse model v1"


def walk(number, frames=60, most=0.6, middle=0.0):
    """An episode of a robot that is at its command one tick later."""
    rng = np.random.default_rng(number)
    commands = middle + np.clip(np.cumsum(rng.uniform(-0.1, 0.1, (frames, 2)), axis=0), -most, most)
    joints = np.concatenate([[[middle, middle]], commands[:-1]])
    base = arrays.episode(number, frames)
    return dataclasses.replace(
        base,
        observations={**base.observations, "joints": joints},
        commands=commands,
        offsets=np.zeros_like(commands),
    )


def of_arrays(tmp_path, *changes, most=0.6):
    shown = tuple(walk(number, most=most) for number in range(6))
    data = dataclasses.replace(arrays.dataset(), train=shown, validation=())
    recipe = recipes.load("inverse", (*QUICK, "inputs=[joints]", "epochs=20", *changes))
    return train(data, recipe, tmp_path / "v1", version="v1").policy


@pytest.mark.parametrize("changes", [(), ("horizon=3", "history=4")], ids=["one step", "three steps"])
def test_the_command_between_two_observations_is_inferred(tmp_path, changes):
    shown = walk(100)
    commands, known = infer_arrays(of_arrays(tmp_path, *changes), shown)
    assert known.tolist() == [True] * 59 + [False]  # nothing was observed after the last tick
    assert np.abs(commands - shown.commands)[known].max() < 0.03  # steps are up to 0.1


def test_a_state_beyond_what_was_shown_is_labelled_as_it_is_not_as_the_nearest_shown_one(tmp_path):
    model = of_arrays(tmp_path, most=0.2)
    shown = walk(100, most=0.2, middle=0.4)
    commands, known = infer_arrays(model, shown)
    upper = model.normaliser.shown.upper
    beyond = known & (shown.observations["joints"] > upper + 0.05).any(axis=1)
    assert beyond.sum() > 20
    error = np.abs(commands - shown.commands)[beyond]
    assert error.mean() < 0.03  # clipped at what was shown, it is above 0.1


def test_a_label_never_crosses_a_gap_and_stays_within_the_contracts_limits(tmp_path):
    model = of_arrays(tmp_path)
    ticks = np.array([*range(1, 31), *range(40, 70)])
    gap = dataclasses.replace(walk(100), ticks_ns=ticks * arrays.PERIOD_NS)
    _, known = infer_arrays(model, gap)
    assert np.flatnonzero(~known).tolist() == [29, 59]
    far = dataclasses.replace(gap, observations={**gap.observations, "joints": np.full((60, 2), 5.0)})
    assert np.abs(infer_arrays(model, far)[0]).max() <= 1.0  # limits of the contract: -1 to 1


# ---- through bags ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made_once(tmp_path_factory):
    """Two driven episodes in `experience`, one without actions in `shown`, and a model in `inverse/v1`."""
    folder = tmp_path_factory.mktemp("once")
    for number in (1, 2):
        made.write(folder / "experience", made.recorded(20), number)
    watched = [item for item in made.recorded(18, decisions=False) if "commands" not in item.topic]
    made.write(folder / "shown", watched, 1)
    data = Dataset.open(folder / "experience", made.CONTRACT, validation=0.0)
    recipe = recipes.load("inverse", (*QUICK, "inputs=[joints]", "epochs=150", "loss=mse"))
    train(data, recipe, folder / "inverse" / "v1", version="v1")
    return folder


@pytest.fixture
def place(made_once, tmp_path):
    return shutil.copytree(made_once, tmp_path / "place")


def digests(folder):
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.name != inferred_labels.INFERRED
    }


def shown_by(place):
    folder = place / "shown" / "episode_000001"
    return folder, look(folder)


def test_labels_are_used_like_commands_named_by_their_source_and_reverted(place, capsys):
    folder, entry = shown_by(place)
    before = digests(folder)
    cached = cache.cache_folder(place / "shown")
    with pytest.raises(MismatchError, match="which is not in the bag"):
        cache.Conversion(made.CONTRACT, cached).load(entry)
    assert main(["episodes", "label", str(folder), "--model", str(place / "inverse")]) == 0
    out = capsys.readouterr().out
    assert f"episode_000001: 17 labels by {SOURCE}; 1 tick without: 1 before a gap" in out
    (episode,) = Dataset.open(place / "shown", made.CONTRACT, validation=0.0).train
    ticks = np.arange(17)
    wanted = np.stack([ticks + 1, ticks + 2, np.full(17, 0.05)], axis=1)
    np.testing.assert_allclose(episode.commands, wanted, atol=0.3)  # of a range of 20
    assert set(episode.authority) == {SOURCE}
    assert any(f"17 labels by {SOURCE}" in note for note in episode.notes)
    assert digests(folder) == before
    assert main(["episodes", "label", str(folder), "--undo"]) == 0
    with pytest.raises(MismatchError):
        cache.Conversion(made.CONTRACT, cached).load(entry)


def test_new_labels_replace_cached_ones(place):
    folder, entry = shown_by(place)
    ticks = np.array([made.stamp(tick) for tick in range(3)], dtype=np.int64)
    cached = cache.cache_folder(place / "shown")
    for value in (1.0, 2.25):
        commands = np.full((3, 3), value)
        inferred_labels.write(folder, InferredLabels("m", made.CONTRACT.action_names, ticks, commands))
        np.testing.assert_array_equal(cache.Conversion(made.CONTRACT, cached).load(entry).commands, commands)


def test_a_driven_episode_is_left_as_it_is(place):
    model = checkpoint.load(place / "inverse")
    with pytest.raises(HasActionsError, match="has commands, from expert"):
        infer(model, look(place / "experience" / "episode_000001"))


def test_an_episode_in_which_nothing_had_authority_was_shown_by_hand(place):
    items = [each for each in made.recorded(18, decisions=False) if "commands" not in each.topic]
    items += [made.decision(tick, authority=NOBODY, sent=None, reason="at rest") for tick in range(18)]
    folder = made.write(place / "by_hand", items)
    found = infer(checkpoint.load(place / "inverse"), look(folder))
    assert len(found.labels) == 17
    inferred_labels.write(folder, found.labels)
    (episode,) = Dataset.open(place / "by_hand", made.CONTRACT, validation=0.0).train
    assert len(episode) == 17


def test_an_inverse_model_does_not_learn_from_what_one_inferred(place):
    folder, entry = shown_by(place)
    model = checkpoint.load(place / "inverse")
    inferred_labels.write(folder, infer(model, entry).labels)
    with pytest.raises(MismatchError, match="which is not in the bag"):
        cache.Conversion(made.CONTRACT, cache.cache_folder(place / "shown"), model.settings.rule).load(entry)


def test_ticks_beyond_what_the_model_learnt_from_get_no_label(place):
    late = [made.joints(tick) for tick in range(10, 60)] + [made.image(tick) for tick in range(10, 60)]
    folder = made.write(place / "late", late, started_ns=made.stamp(10), stopped_ns=made.stamp(61))
    found = infer(checkpoint.load(place / "inverse"), look(folder))
    assert found.left_out["beyond what the model learnt from"] > 15
    assert found.labels.ticks_ns.max() < made.stamp(35)


def test_an_inverse_model_cannot_drive_and_a_policy_cannot_label(place, tmp_path):
    with pytest.raises(ValueError, match="so it cannot drive; it labels demonstrations"):
        load_policy(place / "inverse")
    data = Dataset.open(place / "experience", made.CONTRACT, validation=0.0)
    recipe = recipes.load("bc_mlp", ("inputs=[joints]", "epochs=1", "hidden=[4]"))
    policy = train(data, recipe, tmp_path / "bc", version="v7").policy
    with pytest.raises(ValueError, match="v7 is a policy of family 'bc', not an inverse model"):
        infer(policy, shown_by(place)[1])


def test_a_damaged_file_of_labels_is_refused_and_named(place):
    folder, entry = shown_by(place)
    file = folder / inferred_labels.INFERRED
    plain = '{"source": "m", "actions": ["arm/a"], "ticks_ns": [1, 2], "commands": [[1.0], [%s]]}'
    for part, message in (("1.0, 2.0", "a command has 2 numbers; 1 are required"), ("NaN", "NaN")):
        file.write_text(plain % part)
        with pytest.raises(LayoutError, match=message) as refused:
            inferred_labels.read(folder)
        assert str(file) in str(refused.value)
    file.write_text(plain % "2.0")
    with pytest.raises(MismatchError, match="has no label of arm/b, which contract 'made_up' commands"):
        cache.Conversion(made.CONTRACT, cache.cache_folder(place / "shown")).load(entry)


def test_label_says_what_is_wrong_with_its_arguments(place, capsys):
    for words, message in (
        ([], "give --model CHECKPOINT, or --undo"),
        (["--model", str(place / "inverse"), "--undo"], "give --model CHECKPOINT, or --undo"),
        (["--model", str(place / "inverse"), "--beyond", "nan"], "--beyond is nan"),
        (["--model", str(place / "nowhere")], "no such folder"),
    ):
        assert main(["episodes", "label", str(place / "shown"), *words]) == 1
        assert message in capsys.readouterr().err
