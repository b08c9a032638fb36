"""The model card of a checkpoint."""

import dataclasses
import hashlib

import made_arrays as made
import numpy as np
import pytest

from il_ros.policies import checkpoint
from il_ros.training.recipe import Recipe, changed
from il_ros.training.run import train

RECIPE = changed(Recipe(), ["hidden=[8]", "epochs=2"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "v3"
    train(made.dataset(), RECIPE, out, version="v3")
    return out / "checkpoint"


def test_it_names_policy_data_figures_and_limits(trained):
    text = (trained / "card.md").read_text()
    assert text.startswith("# Policy v3\n\nA policy of the family `bc` for the contract `made_up` (")
    assert "- Commands: arm/a, arm/b, 20 times per second" in text
    metrics = checkpoint.load(trained).metrics
    assert f"- loss on held-out episodes: {metrics['validation_loss']:.6g}" in text
    assert f"| episode_000000 | train | {made.episode(0).digest} |" in text
    assert f"| episode_000004 | validation | {made.episode(4).digest} |" in text
    # the object's orientation is always the identity
    assert "never moved in the demonstrations: object/orientation" in text
    low = np.concatenate([made.episode(number).observations["joints"][:, 0] for number in range(4)])
    row = next(line for line in text.splitlines() if line.startswith("| joints/position/a |"))
    margin = low.std()
    assert row == f"| joints/position/a | {low.min() - margin:.4g} | {low.max() + margin:.4g} | rad |"


def test_it_says_why_the_recipe_was_chosen(tmp_path):
    from dataclasses import replace

    train(made.dataset(), replace(RECIPE, reason="auto chose bc: there is no other"), tmp_path)
    assert "- Why: auto chose bc: there is no other" in (tmp_path / "checkpoint" / "card.md").read_text()
    assert checkpoint.load(tmp_path).metrics["reason"] == "auto chose bc: there is no other"


def test_a_training_that_was_stopped_says_so(tmp_path):
    train(made.dataset(), RECIPE, tmp_path, on_epoch=lambda point: False)
    assert "**Its training was stopped early.**" in (tmp_path / "checkpoint" / "card.md").read_text()


def test_it_says_how_many_frames_are_corrections(trained, tmp_path):
    data = made.dataset()
    whole, *others = data.train
    assert "corrections" not in (trained / "card.md").read_text()
    who = ("policy",) * (len(whole) - 4) + ("expert",) * 4
    corrected = dataclasses.replace(whole, authority=who, takeovers_ns=(int(whole.ticks_ns[-3]),))
    train(dataclasses.replace(data, train=(corrected, *others)), RECIPE, tmp_path)
    card = (tmp_path / "checkpoint" / "card.md").read_text()
    assert "\n150 labelled frames, 3 of them corrections; task: made_up.\n" in card


def test_the_digest_is_that_of_the_numbers():
    episode = made.episode(1)
    expected = hashlib.sha256()
    for name, values in {
        "ticks_ns": episode.ticks_ns,
        "commands": episode.commands,
        "offsets": episode.offsets,
        "/joints": episode.observations["joints"],
        "/object": episode.observations["object"],
    }.items():
        expected.update(f"{name} {values.dtype.str} {values.shape}".encode() + values.tobytes())
    assert episode.digest == expected.hexdigest()
    assert made.episode(1, commands=episode.commands + 1).digest != episode.digest


def test_a_checkpoint_without_a_card_is_read_and_replaced(trained):
    (trained / "card.md").unlink()
    policy = checkpoint.load(trained)
    checkpoint.save(trained, policy)
    assert (trained / "card.md").read_text().startswith("# Policy v3")
