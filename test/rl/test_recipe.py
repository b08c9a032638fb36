"""Recipes with own steps: the shipped ones, changes, and what is refused."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from il_ros.core import share
from il_ros.core.settings import SettingsError
from il_ros.policies.families.actor import Actor
from il_ros.policies.families.ensemble import Ensemble
from il_ros.rl.recipe import SECTIONS, ImitationRecipe, load
from il_ros.training import recipe as cloning
from il_ros.training.trainer.recipe_file import has_own_steps

SHIPPED = sorted(
    path.stem for path in share.path("config", "training").glob("*.yaml") if has_own_steps(path.stem)
)
FIXED = ("optional", "history", "horizon", "action_scale")
"""Settings of every policy that a training with own steps leaves at their defaults."""


def test_the_shipped_ones_are_known():
    assert SHIPPED == ["airl", "bc_rl", "gail", "ibrl", "residual", "rlpd", "sqil"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_has_a_comment_for_every_field(name):
    recipe = load(name)
    assert recipe.family == (name if name in ("airl", "gail", "sqil") else "task")
    text = share.path("config", "training", f"{name}.yaml").read_text()
    for part in SECTIONS:
        section = text.partition(f"\n{part}:\n")[2].partition("\n\n")[0]
        for key in recipe.to_plain()[part]:
            if key in FIXED:
                continue
            line = next((line for line in section.splitlines() if line.strip().startswith(f"{key}:")), "")
            assert "#" in line, f"{part}.{key}"


@pytest.mark.parametrize("name", SHIPPED)
def test_from_plain_inverts_to_plain(name):
    recipe = load(name, ["steps=9000", "policy.hidden=[8]"])
    assert (recipe.imitation.steps, recipe.policy.hidden) == (9000, (8,))
    assert ImitationRecipe.from_plain(recipe.to_plain(), "x") == recipe


def test_what_came_later_is_no_difference_to_an_interrupted_training_of_before():
    plain = load("gail").identity()
    assert "clone" not in plain
    assert set(plain["agent"]) == {"hidden", "discount", "rate", "target_share", "temperature"}
    assert plain["reward"]["absorbing_distance"] == 10  # a training of before had 1, another reward
    assert "absorbing_distance" not in load("gail", ["absorbing_distance=1"]).identity()["reward"]
    assert load("sqil").identity()["reward"] == {"family": "sqil"}
    changed = load("gail", ["entropy=-2", "weight=0.5"]).identity()
    assert (changed["agent"]["entropy"], changed["clone"]) == (-2.0, {"weight": 0.5})


def test_a_training_from_a_clone_has_its_network_unless_a_change_names_another():
    start = SimpleNamespace(settings=Actor(inputs=("joints",), hidden=(8, 4), activation="tanh"))
    shipped = load("ibrl")
    found = shipped.going_on_from(start)
    assert found.policy == Actor(inputs=("joints",), hidden=(8, 4), activation="tanh")
    assert replace(found, policy=shipped.policy) == shipped
    changes = ["policy.hidden=[16]", "activation=gelu", "steps=90000"]
    assert load("ibrl", changes).going_on_from(start, changes).policy == Actor(
        inputs=("joints",), hidden=(16,), activation="gelu"
    )
    assert shipped.going_on_from(SimpleNamespace(settings=Ensemble())) is shipped  # `train` refuses it
    assert shipped.going_on_from(None) is shipped


def test_a_reward_model_in_a_file_is_named_by_its_path():
    values = load("rlpd").to_plain()
    values["reward"] = {"family": "model", "path": "reward/v1", "ends": False}
    recipe = ImitationRecipe.from_plain(values, "mine")
    assert (recipe.reward.path, recipe.reward.ends) == ("reward/v1", False)
    assert ImitationRecipe.from_plain(recipe.to_plain(), "x") == recipe
    values["reward"] = {"family": "model"}
    with pytest.raises(SettingsError, match="mine: reward: path is empty; it must be the folder of a reward"):
        ImitationRecipe.from_plain(values, "mine")


def test_a_retraining_without_an_environment_refuses_it():
    with pytest.raises(
        SettingsError, match=r"gail\.yaml: has the section 'imitation': it trains with own steps"
    ):
        cloning.load("gail")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("stepz=5", "--set stepz: unknown key; did you mean 'steps'"),
        (
            "hidden=[8]",
            "--set hidden: is in several sections; write agent.hidden or policy.hidden or reward.hidden",
        ),
        ("gradient_penalty=-1", "--set: reward: gradient_penalty"),
        ("temperature=0", "--set: agent: temperature is 0; it must be above 0"),
        (
            "reward.family=gial",
            "--set: reward: family: reward model 'gial' is not known; did you mean 'gail'",
        ),
        ("clone.use=residul", "--set: clone: use: 'residul' is not known; did you mean 'residual'"),
        ("level=1", "--set: imitation: level is 1; it must be above 0 and below 1"),
    ],
)
def test_an_invalid_change_names_the_alternatives(change, says):
    with pytest.raises(SettingsError, match=says):
        load("gail", [change])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("imitation: {}", "reward: needs the key 'family', such as gail, sqil, task or model"),
        ("imitation: {}\nreward: {family: gail}\nfamily: bc", "own steps train the family 'actor' only"),
        ("imitation: {}\nreward: {family: gail}\ntraining: {}", "unknown key 'training'"),
        ("imitation: {steps: 5, steps: 6}\nreward: {family: gail}", "imitation.steps: given twice"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, text, says):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"mine\.yaml") as caught:
        load(file)
    assert says in str(caught.value)


def test_another_reward_brings_keys_of_its_own():
    chosen = load("rlpd", ["reward.family=model", "reward.path=reward/v1"])
    assert (chosen.family, chosen.reward.path, chosen.reward.ends) == ("model", "reward/v1", True)
    assert load("gail", ["family=task"]).reward is None
    assert load("rlpd", ["reward.family=gail", "reward.hidden=8"]).reward.hidden == 8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("=", "--set =: must be key=value"),
        ("reward=task", "--set reward: is a section; its keys are reward.family"),
        ("agent.rate=.nan", "agent: rate: must be a finite number, not nan"),
        ("agent.hidden=100000000", "agent: hidden is 100000000; at most 65536 is possible"),
        ("policy.hidden=[100000]", "policy: hidden is 100000; at most 65536 is possible"),
        ("reward.family=model", "reward: path is empty; it must be the folder of a reward model"),
    ],
)
def test_a_change_that_cannot_be_is_refused_before_anything_is_read(change, words):
    with pytest.raises(SettingsError, match=re.escape(words)):
        load("rlpd", [change])
