"""`recipe: auto`: what is chosen for which data, and that it is said and kept."""

import json

import gaps
import made_arrays as made
import pytest
from conformance import with_words

from il_ros.cli.main import main
from il_ros.core import contract, share
from il_ros.core.settings import SettingsError
from il_ros.envs.from_env import contract_of_spaces
from il_ros.envs.write_episode import write_episode
from il_ros.policies import checkpoint
from il_ros.policies.sentences import encoder
from il_ros.training import recipe
from il_ros.training.auto import rules

gymnasium = pytest.importorskip("gymnasium")
import numpy as np  # noqa: E402

SEEN = gymnasium.spaces.Box(-1, 1, (3,))
EFFORT = contract_of_spaces("effort", SEEN, gymnasium.spaces.Box(-1, 1, (2,)), 20.0)
CHOICE = contract_of_spaces("choice", SEEN, gymnasium.spaces.Discrete(3), 20.0)
TEXT = made.TEXT.replace(
    "actions:", "  words: {topic: words, type: std_msgs/msg/String, max_age_s: 9}\nactions:"
)
WORDS = contract.parse(TEXT, "words.yaml")
EPISODES = [made.episode(number, frames=200) for number in range(3)]


@pytest.mark.parametrize(
    ("own", "changes", "name", "reason"),
    [
        (made.CONTRACT, (), "ensemble", "the actions are motion"),
        (made.WITH_CAMERA, ("inputs=[joints, object]",), "ensemble", "the actions are motion"),
        (WORDS, (), "film", "it reads words (words)"),
        (WORDS, ("policy.inputs=[joints]",), "ensemble", "the actions are motion"),
    ],
)
def test_what_the_inputs_are_decides_the_family(own, changes, name, reason):
    chosen = rules.chosen(own, EPISODES, changes)
    assert chosen == recipe.load(name, changes)
    assert chosen.reason.startswith(f"auto chose {name} for 3 episodes of 10 s, 600 frames: ")
    assert reason in chosen.reason


def test_motion_of_many_frames_is_learnt_at_a_lower_rate():
    few, many = ([made.episode(number, frames=frames) for number in range(3)] for frames in (999, 1000))
    assert rules.chosen(made.CONTRACT, few).training.learning_rate == 0.005
    chosen = rules.chosen(made.CONTRACT, many)
    assert chosen == recipe.load("ensemble", ("learning_rate=0.003",))
    assert chosen.reason.endswith("small networks and small batches; many frames: a lower rate")
    assert rules.chosen(made.CONTRACT, many, ("learning_rate=0.01",)).training.learning_rate == 0.01


def test_pictures_get_chunks_absolute_errors_and_steps_by_the_amount_of_frames():
    chosen = rules.chosen(made.WITH_CAMERA, EPISODES)
    assert chosen.family == recipe.load("bc_cnn").family
    assert chosen.reason.startswith(
        "auto chose bc_cnn for 3 episodes of 10 s, 600 frames: there are pictures (camera)"
    )
    policy, training = chosen.policy, chosen.training
    assert (policy.loss, policy.horizon, training.learning_rate) == ("l1", 16, 0.003)
    assert (training.batch_size, training.epochs) == (64, 600)  # 6,000 steps, 10 an epoch
    assert rules.chosen(made.WITH_CAMERA, EPISODES, ["horizon=1"]).policy.horizon == 1


def test_with_the_sentence_encoder_paraphrases_are_understood(monkeypatch):
    spoken = with_words().train
    for installed in (True, False):
        monkeypatch.setattr(encoder, "is_installed", lambda installed=installed: installed)
        chosen = rules.chosen(WORDS, spoken)
        assert chosen.policy.paraphrases == installed
        assert ("compared in meaning by all-MiniLM-L6-v2" in chosen.reason) == installed
    monkeypatch.setattr(encoder, "is_installed", lambda: True)
    assert not rules.chosen(WORDS, spoken, ["paraphrases=false"]).policy.paraphrases
    monkeypatch.setattr(rules, "MOST_TEXTS", 1)
    assert not rules.chosen(WORDS, spoken).policy.paraphrases


@pytest.mark.parametrize(
    ("own", "family", "loss", "reason"),
    [(EFFORT, "ensemble", "mse", "are efforts"), (CHOICE, "bc", "categorical", "are choices")],
)
def test_efforts_get_the_squared_error_choices_probabilities_and_both_enough_steps(own, family, loss, reason):
    chosen = rules.chosen(own, EPISODES)
    assert (chosen.family, chosen.policy.loss, chosen.policy.hidden) == (family, loss, (128, 128))
    # 600 frames are 5 batches of 128; 4,000 steps are 800 passes
    assert (chosen.training.batch_size, chosen.training.epochs) == (128, 800)
    many = rules.chosen(own, [made.episode(1, frames=400_000)])
    assert many.training.epochs == rules.LEAST_EPOCHS
    assert reason in chosen.reason


def test_several_ways_get_as_many_experts_and_the_reason_counts_them():
    shown, _ = gaps.demonstrations(2, (0.5, 0.5), 40, seed=0)
    chosen = rules.chosen(gaps.CONTRACT, shown.train)
    # 880 frames are 4 batches of 256; 3,000 steps are 750 passes
    assert chosen == recipe.load("moe", ("experts=4", "batch_size=256", "epochs=750", "still_every=1"))
    assert (
        "moe for 40 episodes of 2.2 s, 880 frames: from like starts the episodes do it in 2 ways, 20 and 20"
        in (chosen.reason)
    )
    assert "execute: 4" in chosen.reason
    one, _ = gaps.demonstrations(2, (1.0, 0.0), 40, seed=0)
    assert rules.chosen(gaps.CONTRACT, one.train).family == "ensemble"


def test_the_entrants_of_a_race_begin_with_the_chosen_one_and_take_the_users_changes():
    found = rules.entrants(made.CONTRACT, EPISODES, ("epochs=3",))
    assert list(found) == ["ensemble", rules.WIDE, "two_step"]
    assert found["ensemble"] == rules.chosen(made.CONTRACT, EPISODES, ("epochs=3",))
    assert {one.training.epochs for one in found.values()} == {3}
    assert found[rules.WIDE].policy.loss == "mse"
    # two_step has no members: it does not run
    assert list(rules.entrants(made.CONTRACT, EPISODES, ("members=3",))) == ["ensemble", rules.WIDE]
    assert list(rules.entrants(made.WITH_CAMERA, EPISODES)) == ["bc_cnn"]


def test_the_users_changes_come_last():
    chosen = rules.chosen(EFFORT, EPISODES, ("epochs=7", "loss=l1"))
    assert (chosen.training.epochs, chosen.policy.loss, chosen.training.batch_size) == (7, "l1", 128)
    with pytest.raises(SettingsError, match="did you mean 'epochs'"):
        rules.chosen(EFFORT, EPISODES, ("epcohs=7",))


def test_a_rule_of_a_family_that_is_not_registered_is_passed_over(monkeypatch):
    monkeypatch.setattr(rules.plugins, "names", lambda group: ("bc", "ensemble"))
    assert rules.chosen(WORDS, EPISODES).family == "ensemble"


def test_every_rule_names_a_shipped_recipe():
    shipped = {file.stem for file in share.path("config", "training").glob("*.yaml")}
    assert {rule.recipe for rule in rules.RULES} <= shipped
    assert {recipe for rule in rules.RULES for recipe, _ in rule.rivals.values()} <= shipped


def test_a_training_says_why_keeps_it_and_resumes_with_the_same_recipe(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for _ in range(2):
        seen = rng.uniform(-1, 1, (30, 3))
        write_episode(tmp_path / "episodes", EFFORT, {"observation": seen}, seen[:, :2] / 2)
    words = ["train", str(tmp_path / "episodes"), "--out", str(tmp_path / "out"), "--set", "epochs=2"]
    assert main(words) == 0
    said = "auto chose ensemble for 1 episode of 1.5 s, 30 frames: the actions are efforts"
    assert said in capsys.readouterr().out
    assert checkpoint.load(tmp_path / "out").metrics["reason"].startswith(said)
    # more was recorded since: the interrupted run keeps its recipe
    write_episode(tmp_path / "episodes", EFFORT, {"observation": seen}, seen[:, :2] / 2)
    assert main([*words, "--resume", "--progress", "json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "done"
    assert main([*words[:4], "--recipe", "auto", "--overwrite", "--set", "epochs=1"]) == 0
    assert said.replace("1 episode of", "2 episodes of").replace("30 f", "60 f") in capsys.readouterr().out
