"""Training runs: files, policy, and resumption."""

import csv
import json
from dataclasses import replace

import made_arrays as made
import numpy as np
import pytest
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from il_ros.core.share import package_version
from il_ros.policies import checkpoint
from il_ros.policies.versions import RUN_FILES
from il_ros.training.loop import TrainingError
from il_ros.training.outputs import OutputError
from il_ros.training.recipe import Recipe, changed, load
from il_ros.training.run import train

RECIPE = changed(Recipe(), ["hidden=[16]", "epochs=4", "batch_size=32"])


def test_a_run_writes_a_policy_that_imitates_the_data(tmp_path):
    recipe = changed(RECIPE, ["epochs=40", "learning_rate=0.01", "batch_size=16"])
    outcome = train(made.dataset(own=made.DELTA), recipe, tmp_path, version="v3")
    policy = checkpoint.load(tmp_path, made.DELTA)
    observation = made.observation()
    wanted = 0.5 * observation["joints"] + observation["object"][:2]
    np.testing.assert_allclose(policy.act(observation)[0], wanted, atol=0.05)
    assert outcome.finished
    assert policy.version == "v3"


def test_a_run_holds_nothing_else_than_its_own_files(tmp_path):
    train(made.dataset(), RECIPE, tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == set(RUN_FILES) - {"reward"}  # of own steps


def test_a_run_does_not_train_into_a_folder_of_versions(tmp_path):
    (tmp_path / "checkpoint" / "v1").mkdir(parents=True)
    for out in (tmp_path, tmp_path / "checkpoint"):
        with pytest.raises(OutputError, match=r"holds the versions v1, .*; train into .*/checkpoint/v2"):
            train(made.dataset(), RECIPE, out)
    assert [file.name for file in (tmp_path / "checkpoint").iterdir()] == ["v1"]


def test_the_checkpoint_records_its_origin(tmp_path):
    train(made.dataset(), RECIPE, tmp_path)
    metrics = json.loads((tmp_path / "checkpoint" / "config.json").read_text())["metrics"]
    assert metrics["data"]["train"] == [f"episode_{number:06d}" for number in range(4)]
    assert metrics["data"]["validation"] == ["episode_000004"]
    assert (metrics["frames"], metrics["epochs"], metrics["tasks"]) == (150, 4, ["made_up"])
    assert metrics["training"]["seed"] == 0
    assert 0 < metrics["validation_loss"] < 10
    assert metrics["il_ros"] == package_version() == "0.1.0"


def test_the_curves_are_a_table_and_a_picture(tmp_path):
    outcome = train(made.dataset(), RECIPE, tmp_path)
    rows = list(csv.DictReader((tmp_path / "curves.csv").open()))
    assert [float(row["validation_loss"]) for row in rows] == [p.validation_loss for p in outcome.curves]
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_one_episode_is_trained_on_without_validation(tmp_path):
    outcome = train(made.dataset(train=1, validation=0), RECIPE, tmp_path)
    assert outcome.policy.metrics["validation_loss"] is None
    assert "validation_loss\n" not in (tmp_path / "curves.csv").read_text()


def test_a_resumed_run_gives_the_same_policy(tmp_path):
    whole = train(made.dataset(), RECIPE, tmp_path / "whole")
    stopped = train(made.dataset(), RECIPE, tmp_path / "cut", on_epoch=lambda point: point.epoch < 2)
    assert not stopped.finished
    resumed = train(made.dataset(), RECIPE, tmp_path / "cut", resume=True)
    assert resumed.finished
    for seed in range(3):
        observation = made.observation(seed=seed)
        np.testing.assert_array_equal(resumed.policy.act(observation), whole.policy.act(observation))
    assert [p.train_loss for p in resumed.curves] == [p.train_loss for p in whole.curves]


def test_a_run_with_other_settings_or_data_is_not_resumed(tmp_path):
    train(made.dataset(), RECIPE, tmp_path, on_epoch=lambda _: False)
    with pytest.raises(TrainingError, match=r"recipe\.training\.epochs: was 4, is now 9"):
        train(made.dataset(), changed(RECIPE, ["epochs=9"]), tmp_path, resume=True)
    data = made.dataset()
    first, *others = data.train
    fewer, more = (
        replace(data, train=(*others,)),
        replace(data, train=(*data.train, replace(first, name="one"))),
    )
    other = replace(data, train=(replace(first, name="one"), *others))
    for given, told in (
        (fewer, f"now without {first.name}$"),
        (more, "now with also one$"),
        (other, f"now without {first.name} and now with also one$"),
        (replace(data, train=(*others, first)), "in another order$"),
    ):
        with pytest.raises(TrainingError, match=rf"data\.train: {told}"):
            train(given, RECIPE, tmp_path, resume=True)


def test_a_run_is_not_resumed_on_other_episodes_of_the_same_names(tmp_path):
    """Names are alike in every folder; a label changed after the stop would silently change the rest."""
    train(made.dataset(), RECIPE, tmp_path, on_epoch=lambda _: False)
    data = made.dataset()
    first, *others = data.train
    moved = replace(first, commands=first.commands + 0.01)
    changed_data = replace(data, train=(moved, *others))
    problem = rf"resume: was trained on other numbers or labels of {first.name}; give the folder"
    with pytest.raises(TrainingError, match=problem):
        train(changed_data, RECIPE, tmp_path, resume=True)
    file = tmp_path / "resume" / "state.json"
    state = json.loads(file.read_text())
    del state["run"]["episodes"]  # of a run from before they were kept
    file.write_text(json.dumps(state))
    assert train(changed_data, RECIPE, tmp_path, resume=True).finished


def test_a_run_under_another_contract_is_not_resumed_and_says_so(tmp_path):
    """Not by an error about the sizes of its normaliser, which is read before its weights."""
    train(made.dataset(), RECIPE, tmp_path, on_epoch=lambda _: False)
    data = made.dataset()
    narrower = changed(RECIPE, [f"inputs=[{data.contract.observations[0].key}]"])
    with pytest.raises(
        TrainingError, match=r"belongs to another run(.|\n)*recipe\.policy\.inputs: was \[\], is now"
    ):
        train(data, narrower, tmp_path, resume=True)


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ("keep=best", "no episode is held out: keep: best keeps the last epoch"),
        ("patience=2", "no episode is held out: patience: 2 never stops the training"),
    ],
)
def test_what_needs_held_out_episodes_is_named_where_there_are_none(tmp_path, change, warning):
    said = []
    recipe = changed(RECIPE, [change])
    outcome = train(made.dataset(train=1, validation=0), recipe, tmp_path / "none", on_warning=said.append)
    assert warning in said
    assert outcome.policy.metrics["best_epoch"] == 4
    said.clear()
    train(made.dataset(), recipe, tmp_path / "some", on_warning=said.append)
    assert not [each for each in said if "held out" in each]


def test_a_warm_up_that_the_training_does_not_reach_is_named(tmp_path):
    """4 epochs of 30 frames, of which 5 are a batch: 24 steps, so the rate reaches 24 / 64 of 0.02."""
    said = []

    def learn(steps):
        said.clear()
        recipe = changed(
            RECIPE,
            ["epochs=4", "batch_size=5", "learning_rate=0.02", "still_every=1", f"warmup_steps={steps}"],
        )
        return train(
            made.dataset(train=1, validation=0), recipe, tmp_path / f"w{steps}", on_warning=said.append
        )

    assert learn(64).policy.metrics["steps"] == 24
    assert [each for each in said if "warmup" in each] == [
        "warmup_steps is 64, the training has 24 steps: the learning rate rises to the end and reaches 0.0075 of 0.02; "
        "set warmup_steps lower"
    ]
    learn(23)
    assert not [each for each in said if "warmup" in each]


def test_resuming_without_a_run_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match=r"state\.json.*No such file|No such file.*state\.json"):
        train(made.dataset(), RECIPE, tmp_path, resume=True)


def test_a_damaged_state_is_not_resumed(tmp_path):
    train(made.dataset(), RECIPE, tmp_path, on_epoch=lambda _: False)
    (tmp_path / "resume" / "state.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(TrainingError, match="cannot resume"):
        train(made.dataset(), RECIPE, tmp_path, resume=True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: {**state, "curves": [5.0]},
        lambda state: {**state, "curves": [{**state["curves"][0], "epoch": "one"}]},
        lambda state: {**state, "run": 5},
        lambda state: {**state, "run": {**state["run"], "recipe": {"training": 5}}},
        lambda state: [state],
    ],
)
def test_a_state_of_other_types_is_not_resumed(tmp_path, damage):
    train(made.dataset(), RECIPE, tmp_path, on_epoch=lambda _: False)
    file = tmp_path / "resume" / "state.json"
    file.write_text(json.dumps(damage(json.loads(file.read_text()))))
    with pytest.raises(TrainingError, match="cannot resume"):
        train(made.dataset(), RECIPE, tmp_path, resume=True)


def test_weights_of_another_size_are_not_resumed(tmp_path):
    train(made.dataset(), RECIPE, tmp_path, on_epoch=lambda _: False)
    file = tmp_path / "resume" / "state.safetensors"
    tensors = load_tensors(file.read_bytes())
    file.write_bytes(save_tensors({**tensors, "best": tensors["best"][:1]}))  # would fill all weights
    with pytest.raises(TrainingError, match=r"'best' has shape \(1,\), not"):
        train(made.dataset(), RECIPE, tmp_path, resume=True)


def test_a_short_warm_start_replays_some_old_frames(tmp_path):
    recipe = changed(RECIPE, ["epochs=4", "batch_size=10"])
    first = train(made.dataset(train=7), recipe, tmp_path / "v1", version="v1")
    assert first.policy.metrics["steps"] == 4 * 21
    slow = replace(first.policy, metrics={**first.policy.metrics, "duration_s": 84.0})  # 10 frames a second
    short = changed(recipe, ["seconds=60"])
    outcome = train(made.dataset(train=8, validation=0), short, tmp_path / "v2", start=slow)
    assert [point.step for point in outcome.curves] == [15, 30, 45, 60]  # 30 new frames and 120 of 210


def test_an_image_policy_is_trained_end_to_end(tmp_path):
    recipe = changed(RECIPE, ["epochs=2", "channels=[4, 4]", "shift_px=1", "inputs=[joints, camera]"])
    outcome = train(made.dataset(train=2, own=made.WITH_CAMERA), recipe, tmp_path)
    assert outcome.policy.act(made.observation(made.WITH_CAMERA)).shape == (1, 2)


SHIPPED = {
    "transformer": ["width=16", "heads=2", "blocks=1", "history=3", "horizon=4", "channels=[4]"],
    "flow": ["hidden=[16]", "horizon=4", "channels=[4]"],
    "bc_cnn": ["hidden=[16]", "channels=[4]", "history=2"],
}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_trains_resumes_and_is_loaded(tmp_path, name):
    """From a camera that one episode lacks, with a moving average of the weights."""
    recipe = load(name, [*SHIPPED[name], "epochs=4", "optional=[camera]", "ema=0.9", "uncertainty=raw"])
    data = made.dataset(train=3, own=made.WITH_CAMERA)
    first, *others = data.train
    blind = {key: values for key, values in first.observations.items() if key != "camera"}
    data = replace(data, train=(replace(first, observations=blind), *others))
    whole = train(data, recipe, tmp_path / "whole", version="v1")
    stopped = train(data, recipe, tmp_path / "cut", version="v1", on_epoch=lambda point: point.epoch < 2)
    assert not stopped.finished
    resumed = train(data, recipe, tmp_path / "cut", version="v1", resume=True)
    seen = [made.observation(made.WITH_CAMERA, seed) for seed in range(3)]
    wanted = whole.policy.act(seen, seed=5)
    assert wanted.shape == (recipe.policy.horizon, 2)
    np.testing.assert_array_equal(resumed.policy.act(seen, seed=5), wanted)
    np.testing.assert_array_equal(checkpoint.load(tmp_path / "whole").act(seen, seed=5), wanted)
    assert [point.validation_loss for point in resumed.curves] == [p.validation_loss for p in whole.curves]


def test_an_episode_without_a_camera_that_is_not_optional_is_named(tmp_path):
    data = made.dataset(train=2, own=made.WITH_CAMERA)
    first, second = data.train
    blind = {key: values for key, values in second.observations.items() if key != "camera"}
    data = replace(data, train=(first, replace(second, observations=blind)), validation=())
    with pytest.raises(
        ValueError, match="episode_000001: observation 'camera' is missing; name it in `optional`"
    ):
        train(data, RECIPE, tmp_path)
    bare = replace(data, train=(replace(second, observations=blind),))
    with pytest.raises(ValueError, match="optional: no episode has 'camera'"):
        train(bare, changed(RECIPE, ["optional=[camera]"]), tmp_path)


def test_a_run_from_before_the_newest_keys_is_resumed(tmp_path):
    whole = train(made.dataset(), RECIPE, tmp_path / "whole")
    train(made.dataset(), RECIPE, tmp_path / "cut", on_epoch=lambda point: point.epoch < 2)
    file = tmp_path / "cut" / "resume" / "state.json"
    state = json.loads(file.read_text())
    for part, keys in (("policy", ("optional", "history")), ("training", ("ema", "input_dropout"))):
        for key in keys:
            del state["run"]["recipe"][part][key]
    file.write_text(json.dumps(state))
    resumed = train(made.dataset(), RECIPE, tmp_path / "cut", resume=True)
    np.testing.assert_array_equal(
        resumed.policy.act(made.observation()), whole.policy.act(made.observation())
    )


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        train(made.dataset(), RECIPE, tmp_path / "file" / "out")


def still(number, object_m=(0.4, 0.1, 0.2), noise_m=1e-5):
    """An episode in which the object stands, apart from noise, and the command is half the joints."""
    plain = made.episode(number)
    noise = np.random.default_rng(number).normal(0.0, noise_m, (len(plain), 3))
    pose = np.concatenate([object_m + noise, plain.observations["object"][:, 3:]], axis=1)
    joints = plain.observations["joints"]
    return replace(plain, observations={"joints": joints, "object": pose}, commands=0.5 * joints)


def standing(*episodes):
    return replace(made.dataset(), train=tuple(episodes), validation=())


ELSEWHERE = {"joints": np.array([0.2, -0.4]), "object": np.array([0.41, 0.1, 0.2, 0, 0, 0, 1])}


def test_an_input_that_never_moved_is_named_and_does_not_move_the_command(tmp_path):
    warnings = []
    data = standing(*map(still, range(4)))
    recipe = changed(RECIPE, ["epochs=40", "learning_rate=0.01", "batch_size=16"])
    policy = train(data, recipe, tmp_path, on_warning=warnings.append).policy
    (warning,) = warnings
    assert warning.startswith("never moved in the demonstrations: object;")
    commands, uncertainty = policy.act_with_uncertainty(ELSEWHERE)
    np.testing.assert_allclose(commands[0], [0.1, -0.2], atol=0.05)  # the object is 10 mm aside
    # the range shown ends within 0.1 mm, and 1 mm is noise, in scales of 1 mm
    assert uncertainty == pytest.approx(9, abs=0.1)
    assert max(policy.beyond_shown(ELSEWHERE)) == "object/position.x"
    as_shown = {**ELSEWHERE, "object": np.array([0.4, 0.1, 0.2, 0, 0, 0, 1])}
    assert policy.act_with_uncertainty(as_shown)[1] is None
    assert policy.beyond_shown(as_shown) == {}


def test_nothing_is_warned_of_when_every_input_moved(tmp_path):
    warnings = []
    turned = np.random.default_rng(0).normal(size=(30, 4))
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    plain = made.episode(0)
    pose = np.concatenate([plain.observations["object"][:, :3], turned], axis=1)
    moved = replace(plain, observations={"joints": plain.observations["joints"], "object": pose})
    train(standing(moved), RECIPE, tmp_path, on_warning=warnings.append)
    assert warnings == []


def test_further_training_learns_from_an_input_that_begins_to_move(tmp_path):
    recipe = changed(RECIPE, ["epochs=60", "learning_rate=0.01", "batch_size=16"])
    before = train(standing(*map(still, range(4))), recipe, tmp_path / "v1").policy
    data = standing(*map(still, range(4)), *map(made.episode, range(4, 12)))
    warnings = []
    after = train(data, recipe, tmp_path / "v2", start=before, on_warning=warnings.append).policy
    assert "object/position" not in warnings[0]
    seen = made.observation(seed=20)
    wanted = 0.5 * seen["joints"] + seen["object"][:2]
    assert np.abs(after.act(seen)[0] - wanted).max() < 0.1
    assert np.abs(before.act(seen)[0] - 0.5 * seen["joints"]).max() < 0.1


def test_a_policy_without_a_range_gets_one_when_it_learns_from_all_its_episodes_again(tmp_path):
    trained = train(made.dataset(), RECIPE, tmp_path / "v1").policy
    old = replace(trained, normaliser=replace(trained.normaliser, shown=None))
    again = train(made.dataset(), RECIPE, tmp_path / "v2", start=old).policy
    assert again.normaliser.to_plain() == trained.normaliser.to_plain()
    fewer = train(standing(made.episode(0)), RECIPE, tmp_path / "v3", start=old).policy
    assert fewer.normaliser.shown is None  # other episodes may have shown more


def test_a_resumed_run_keeps_its_normaliser(tmp_path):
    train(made.dataset(), RECIPE, tmp_path, on_epoch=lambda point: point.epoch < 2)
    config = tmp_path / "checkpoint" / "config.json"
    written = json.loads(config.read_text())
    del written["normaliser"]["shown"]  # as an earlier version of the package wrote it
    written["normaliser"]["state"]["scale"][0] *= 2
    config.write_text(json.dumps(written))
    state = tmp_path / "resume" / "state.json"
    saved = json.loads(state.read_text())
    del saved["run"]["recipe"]["training"]["input_margin"]
    state.write_text(json.dumps(saved))
    resumed = train(made.dataset(), RECIPE, tmp_path, resume=True)
    assert resumed.policy.normaliser.to_plain() == written["normaliser"]
