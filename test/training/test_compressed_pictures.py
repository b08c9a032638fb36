"""Training from compressed pictures: the same bits as from the decoded ones, and when it is resumed."""

import dataclasses

import made_arrays as made
import numpy as np
import pytest

from il_ros.episodes.arrays.dataset import Dataset, DatasetSummary
from il_ros.episodes.arrays.pictures import CompressedPictures, PictureFile, compressed
from il_ros.training import saved
from il_ros.training.recipe import Recipe, changed
from il_ros.training.run import train

RECIPE = changed(
    Recipe("bc"), ["epochs=4", "batch_size=16", "hidden=[16]", "channels=[4, 4]", "history=2", "shift_px=2"]
)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The same episodes with compressed and with decoded pictures."""
    folder, packed, plain = tmp_path_factory.mktemp("pictures"), [], []
    for number in range(3):
        episode = made.episode(number, 25, own=made.WITH_CAMERA)
        with PictureFile(folder / str(number)) as file:
            for picture in episode.observations["camera"]:
                file.append(compressed(picture))
        found = CompressedPictures(folder / str(number), (24, 32, 3), np.dtype(np.uint8))
        for episodes, pictures in ((packed, found), (plain, np.asarray(found))):
            seen = {**episode.observations, "camera": pictures}
            episodes.append(dataclasses.replace(episode, observations=seen))
    summary = DatasetSummary(("0", "1"), ("2",), 75, {}, ())
    return [Dataset(made.WITH_CAMERA, tuple(each[:2]), tuple(each[2:]), summary) for each in (packed, plain)]


def weights(outcome):
    return {name: each.numpy() for name, each in outcome.policy.network.state_dict().items()}


def test_decoding_beside_training_gives_the_same_policy_whole_and_resumed(datasets, tmp_path):
    packed, plain = datasets
    expected = weights(train(plain, RECIPE, tmp_path / "plain"))
    whole = train(packed, RECIPE, tmp_path / "whole")
    train(packed, RECIPE, tmp_path / "cut", on_epoch=lambda metrics: metrics.epoch < 2)
    resumed = train(packed, RECIPE, tmp_path / "cut", resume=True)
    assert resumed.finished
    for found in (weights(whole), weights(resumed)):
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)


def test_a_run_from_before_pictures_could_be_compressed_goes_on_with_raw_ones(datasets, tmp_path):
    train(datasets[1], RECIPE, tmp_path, on_epoch=lambda metrics: False)
    file = tmp_path / saved.FOLDER / "state.json"
    file.write_text(file.read_text().replace(', "pictures": "auto"', ""))
    assert saved.recipe(tmp_path).training.pictures == "raw"
    assert train(datasets[1], RECIPE, tmp_path, resume=True).finished
