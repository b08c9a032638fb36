"""Recipes: files, changes, and rejected values."""

import re

import pytest

from il_ros.core import share
from il_ros.core.settings import SettingsError
from il_ros.policies.families.behaviour_cloning import LOSSES
from il_ros.training.recipe import Recipe, Training, changed, load, require_known, require_valid
from il_ros.training.trainer.recipe_file import has_own_steps

OF_LOSSES = {
    "variance_power": ["gaussian"],
    "components": ["mixture"],
    "bins": ["categorical"],
    "answer": ["gaussian", "mixture", "categorical"],
}
"""Settings of behaviour cloning that count for some losses only."""
SHIPPED = sorted(path.stem for path in share.path("config", "training").glob("*.yaml"))
CLONING = [name for name in SHIPPED if not has_own_steps(name)]


@pytest.mark.parametrize("name", CLONING)
def test_a_shipped_recipe_has_a_comment_for_every_field(name):
    recipe = load(name)
    text = share.path("config", "training", f"{name}.yaml").read_text()
    for part in ("policy", "training"):
        for key in recipe.to_plain()[part]:
            of_losses = OF_LOSSES.get(key, LOSSES)
            if recipe.family in ("bc", "ensemble", "film") and recipe.policy.loss not in of_losses:
                continue
            line = next((line for line in text.splitlines() if line.strip().startswith(f"{key}:")), "")
            assert "#" in line, f"{part}.{key}"


def test_from_plain_inverts_to_plain():
    recipe = Recipe(training=Training(epochs=7))
    assert Recipe.from_plain(recipe.to_plain(), "x") == recipe


def test_changes_override_by_short_and_by_full_name():
    recipe = changed(Recipe(), ["epochs=5", "policy.hidden=[64, 32]", "learning_rate=3e-4"])
    assert (recipe.training.epochs, recipe.policy.hidden) == (5, (64, 32))
    assert recipe.training.learning_rate == 3e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epcohs=5", "--set epcohs: unknown key; did you mean 'epochs'"),
        ("epochs", "--set epochs: must be key=value"),
        ("epochs=many", "--set: training: epochs: must be a whole number, not 'many'"),
        ("epochs=0", "--set: training: epochs is 0; at least 1"),
        ("seed=1000000000000000000000000000000", "seed: 1000.*is too large; at most 2.63 - 1 is possible"),
        ("threads=1000000", "threads is 1000000; at most 1024 are possible"),
        ("horizon=1000000000", "horizon is 1000000000; at most 4096 steps are possible"),
        ("hidden=[", r"--set hidden=\[: '\[' is not a YAML value"),
        ("keep=first", "keep: 'first' is not known; known: last, best"),
        ("validation=1", "validation is 1.0; it must be"),
        ("learning_rate=0", "learning_rate is 0.0; it must be above 0"),
    ],
)
def test_an_invalid_change_names_the_alternatives(change, message):
    with pytest.raises(SettingsError, match=message):
        changed(Recipe(), [change])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("family: bcc", "family: policy family 'bcc' is not known; did you mean 'bc'?"),
        ("polcy: {}", "unknown key 'polcy'; did you mean 'policy'"),
        ("policy: {horizn: 2}", "policy: unknown key 'horizn'; did you mean 'horizon'"),
        ("training: {epochs: 2, epochs: 3}", "training.epochs: given twice"),
        ("training: 3", "training: must be a mapping"),
        ("- a", "must be a mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path, text, message):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"mine\.yaml") as caught:
        load(file)
    assert message in str(caught.value)


def test_an_unknown_recipe_lists_the_known_ones(tmp_path):
    with pytest.raises(SettingsError, match=r"recipe 'bc_mpl' is neither.*bc_mlp"):
        load("bc_mpl")
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("family: " + "[" * 3000, "deeper than 20 levels"),
        ("training: {epochs: " + "9" * 5000 + "}", "Exceeds the limit"),
        ("training: {seed: !!int abc}", "invalid literal"),
        ("training: {learning_rate: 1" + "0" * 400 + "}", "learning_rate: 1000000"),
        ("training: &a {seed: *a}", "an alias stands inside of what it names"),
        ("x" * 100_001, "at most 100000 are read"),
    ],
)
def test_a_large_or_deep_recipe_is_an_error(tmp_path, text, message):
    file = tmp_path / "r.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message) as error:
        load(file)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("value", ["[" * 3000, "9" * 5000, "!!int abc", "{[1]: 2}"])
def test_a_change_of_any_text_is_an_error(value):
    with pytest.raises(SettingsError, match=r"--set seed=.*is not a YAML value"):
        changed(Recipe(), [f"seed={value}"])


def test_a_key_that_no_recipe_has_is_found_without_its_family():
    require_known("", ["members=3", "policy.hidden=[8]", "epochs=2"])  # auto may choose an ensemble
    require_known("bc_mlp", ["loss=mixture", "components=3"])  # its file has no components
    require_known("mine.yaml", ["own=1"])  # it may leave keys out
    require_known("gail", ["reward.family=task", "own=1"])  # a reward of one's own has keys of its own
    for name, change, why in (
        ("", "nowhere=1", "--set nowhere: unknown key"),
        ("flow", "nowhere=1", "--set nowhere: unknown key"),
        ("gail", "epochs=3", "--set epochs: unknown key"),
        ("", "epochs", "--set epochs: must be key=value"),
        ("", "doubt=own", "this key is now called 'uncertainty'"),
    ):
        with pytest.raises(SettingsError, match=why):
            require_known(name, [change])


def test_a_value_of_training_that_no_recipe_may_have_is_found_without_its_family(tmp_path):
    require_valid(
        "", ["lapse=0.2", "training.recovery=3", "policy.hidden=nothing"]
    )  # hidden: what has a family
    require_valid("", ["keep=success", "test_every=5"])
    require_valid("", ["accumulate=256", "batch_size=256"])
    require_valid("gail", ["seed=-1"])  # own steps: they have other settings
    (mine := tmp_path / "mine.yaml").write_text("training: {test_every: 5, batch_size: 8}\n")
    require_valid(str(mine), ["keep=success", "accumulate=8"])
    for name, changes, why in (
        ("", ["lapse=-1"], "--set: training: lapse is -1.0; it must be finite and above 0"),
        ("flow", ["training.epochs=0"], "--set: training: epochs is 0; at least 1 is needed"),
        ("", ["epochs=many"], "--set: training: epochs: must be a whole number, not 'many'"),
        ("", ["keep=success"], "keep is 'success', but test_every is 0"),
        (str(mine), ["accumulate=9"], "accumulate is 9; a batch of batch_size 8 cannot be divided"),
    ):
        with pytest.raises(SettingsError, match=re.escape(why)):
            require_valid(name, changes)
