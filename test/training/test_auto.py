"""`recipe: auto`: what is chosen for which data, and that it is said and kept."""

import json

import made_arrays as made
import pytest

from il_ros.cli.main import main
from il_ros.core import contract, share
from il_ros.core.settings import SettingsError
from il_ros.envs.from_env import contract_of_spaces
from il_ros.envs.write_episode import write_episode
from il_ros.policies import checkpoint
from il_ros.training import auto, recipe

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
        (made.WITH_CAMERA, (), "bc_cnn", "there are pictures (camera)"),
        (made.WITH_CAMERA, ("inputs=[joints, object]",), "ensemble", "the actions are motion"),
        (WORDS, (), "transformer", "it reads words (words)"),
        (WORDS, ("policy.inputs=[joints]",), "ensemble", "the actions are motion"),
    ],
)
def test_what_the_inputs_are_decides_the_family(own, changes, name, reason):
    chosen = auto.chosen(own, EPISODES, changes)
    assert chosen == recipe.load(name, changes)
    assert chosen.reason.startswith(f"auto chose {name} for 3 episodes of 10 s, 600 frames: ")
    assert reason in chosen.reason


@pytest.mark.parametrize("own", [EFFORT, CHOICE])
def test_efforts_and_choices_get_the_squared_error_and_enough_steps(own):
    chosen = auto.chosen(own, EPISODES)
    assert (chosen.family, chosen.policy.loss, chosen.policy.hidden) == ("ensemble", "mse", (128, 128))
    # 600 frames are 5 batches of 128; 4,000 steps are 800 passes
    assert (chosen.training.batch_size, chosen.training.epochs) == (128, 800)
    many = auto.chosen(own, [made.episode(1, frames=400_000)])
    assert many.training.epochs == auto.LEAST_EPOCHS
    assert "efforts or choices" in chosen.reason


def test_the_users_changes_come_last():
    chosen = auto.chosen(EFFORT, EPISODES, ("epochs=7", "loss=l1"))
    assert (chosen.training.epochs, chosen.policy.loss, chosen.training.batch_size) == (7, "l1", 128)
    with pytest.raises(SettingsError, match="did you mean 'epochs'"):
        auto.chosen(EFFORT, EPISODES, ("epcohs=7",))


def test_a_rule_of_a_family_that_is_not_registered_is_passed_over(monkeypatch):
    monkeypatch.setattr(auto.plugins, "names", lambda group: ("bc", "ensemble"))
    assert auto.chosen(WORDS, EPISODES).family == "ensemble"


def test_every_rule_names_a_shipped_recipe():
    shipped = {file.stem for file in share.path("config", "training").glob("*.yaml")}
    assert {rule.recipe for rule in auto.RULES} <= shipped


def test_a_training_says_why_keeps_it_and_resumes_with_the_same_recipe(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for _ in range(2):
        seen = rng.uniform(-1, 1, (30, 3))
        write_episode(tmp_path / "episodes", EFFORT, {"observation": seen}, seen[:, :2] / 2)
    words = ["train", str(tmp_path / "episodes"), "--out", str(tmp_path / "out"), "--set", "epochs=2"]
    assert main(words) == 0
    said = "auto chose ensemble for 1 episode of 1.5 s, 30 frames: the actions are efforts or choices"
    assert said in capsys.readouterr().out
    assert checkpoint.load(tmp_path / "out").metrics["reason"].startswith(said)
    # more was recorded since: the interrupted run keeps its recipe
    write_episode(tmp_path / "episodes", EFFORT, {"observation": seen}, seen[:, :2] / 2)
    assert main([*words, "--resume", "--progress", "json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "done"
    assert main([*words[:4], "--recipe", "auto", "--overwrite", "--set", "epochs=1"]) == 0
    assert said.replace("1 episode of", "2 episodes of").replace("30 f", "60 f") in capsys.readouterr().out
