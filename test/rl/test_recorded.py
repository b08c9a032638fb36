"""Reinforcement learning from recorded episodes: what becomes a step, what is learnt, and how trainings follow."""

from dataclasses import replace

import line_env
import numpy as np
import pytest
import torch

from il_ros.cli.main import main as il_ros
from il_ros.core.specs import ActionGroup
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies import checkpoint, lineage
from il_ros.policies.families.actor import Actor
from il_ros.policies.features import Inputs
from il_ros.rl import recipe as recipes
from il_ros.rl.agents.agent import CHOICE, RESIDUAL, START, AgentSettings, CloneUse
from il_ros.rl.learner import Imitation
from il_ros.rl.recipe import ImitationRecipe
from il_ros.rl.recorded import RecordedLearner, earlier_state, train_recorded, unusable
from il_ros.rl.steps.demonstrations import fit_scales, recorded_steps
from il_ros.rl.steps.world import Scales
from il_ros.training import recipe as cloning
from il_ros.training.run import train

ACTOR = Actor(hidden=(32, 32))
GOAL = 0.15
RECIPE = ImitationRecipe(
    "task",
    ACTOR,
    None,
    AgentSettings(32, 0.9, 3e-3, target_share=0.05, temperature=0.01, entropy_bonus=False),
    CloneUse(START, weight=0.5, fade_steps=400),
    Imitation(1000, random_steps=0, frozen_steps=100, batch=32, ahead=3, keep_successes=True),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("slow")


@pytest.fixture(scope="module")
def shown(root):
    """Demonstrations of moving to the middle with a speed of about 0.3, which is too slow from far away."""
    draws = np.random.default_rng(0)
    found = line_env.dataset(
        root,
        count=16,
        numbers=True,
        goal=GOAL,
        verdict=lambda places: bool(abs(places[-1]) < GOAL),
        expert=lambda place: 0.5 + 0.15 * (1 if place < 0 else -1) + 0.1 * float(draws.standard_normal()),
    )
    return replace(found, train=tuple(each for each in found.train if each.outcome == "success"))


@pytest.fixture(scope="module")
def clone_run(shown, tmp_path_factory):
    changes = ["epochs=100", "hidden=[32, 32]", "activation=relu", "validation=0"]
    out = tmp_path_factory.mktemp("clone")
    train(shown, cloning.load("actor", changes), out, version="v1")
    return out


@pytest.fixture(scope="module")
def clone(clone_run):
    return checkpoint.load(clone_run)


def driven(contract, number, places, commands, drivers, outcome):
    """Return the arrays of an episode of the line."""
    count = len(places)
    return EpisodeArrays(
        name=f"episode_{number:06d}",
        observations={"observation": np.array(places, float)[:, None]},
        commands=np.array(commands, float)[:, None],
        offsets=np.zeros((count, 1)),
        ticks_ns=np.arange(1, count + 1) * contract.period_ns,
        period_ns=contract.period_ns,
        outcome=outcome,
        task="Line-v0",
        authority=tuple(drivers),
    )


def on_the_robot(policy, contract, numbers):
    """Let a policy drive; a person takes over after three steps of every other episode, and judges."""
    env, found = line_env.Line(numbers=True, goal=GOAL), []
    for number in numbers:
        place, over = env.reset(seed=number)[0][0], False
        places, commands, drivers = [], [], []
        while not over:
            helped = number % 2 == 0 and len(places) >= 3
            action = -0.7 * np.sign(place) if helped else policy.act({"observation": np.array([place])})[0, 0]
            places, commands = [*places, place], [*commands, action]
            drivers.append("expert" if helped else "policy")
            (place,), _, success, cut, _ = env.step(np.array([action]))
            over = success or cut
        outcome = "success" if success else "failure"
        found.append(driven(contract, number, places, commands, drivers, outcome))
    return found


def speed(policy):
    """Return the mean speed of a policy towards the middle from far away."""
    places = np.concatenate([np.linspace(-0.9, -0.4, 6), np.linspace(0.4, 0.9, 6)])
    moves = np.array([policy.act({"observation": np.array([place])})[0, 0] for place in places])
    return float(np.mean(moves * -np.sign(places)))


def plain_scales(shown):
    scales = fit_scales(shown.train, shown.contract, Inputs.for_policy(shown.contract, ACTOR), "limits")
    identity = replace(
        scales.normaliser,
        state=replace(scales.normaliser.state, centre=np.zeros(1), scale=np.ones(1)),
    )
    return Scales(scales.contract, scales.inputs, identity, scales.form)


@pytest.mark.parametrize(
    ("outcome", "count", "earned", "terminated"),
    [("success", 3, 1.0, True), ("failure", 3, 0.0, True), ("unmarked", 2, 0.0, False)],
)
def test_steps_have_who_drove_and_the_verdict_as_reward(shown, outcome, count, earned, terminated):
    drivers = ["policy", "expert", "policy"]
    episode = driven(shown.contract, 1, [0.4, 0.3, 0.2], [-1.0, -0.5, -0.25], drivers, outcome)
    steps = recorded_steps(episode, plain_scales(shown))
    assert len(steps) == count
    assert [step.shown for step in steps] == [False, True, False][:count]
    assert [float(step.action[0]) for step in steps] == [-1.0, -0.5, -0.25][:count]
    np.testing.assert_allclose([step.observation[0] for step in steps], [0.4, 0.3, 0.2][:count], atol=1e-6)
    np.testing.assert_allclose(steps[0].following, [0.3], atol=1e-6)
    assert [step.earned for step in steps] == [0.0] * (count - 1) + [earned]
    assert [step.terminated for step in steps] == [False] * (count - 1) + [terminated]


def test_several_action_groups_are_refused(shown):
    episode = driven(shown.contract, 1, [0.4, 0.3], [-1.0, -0.5], ["policy"] * 2, "success")
    grouped = replace(
        episode, groups=(ActionGroup("left", ("action",), (0,)),), authorities={"left": ("policy",) * 2}
    )
    with pytest.raises(ValueError, match="episode_000001: its contract has several action groups"):
        recorded_steps(grouped, plain_scales(shown))


def test_recorded_episodes_make_the_policy_better_than_the_clone(shown, clone, tmp_path):
    """With a residual the critics alone do that: nothing draws it to what the person did."""
    recipe = replace(RECIPE, clone=CloneUse(RESIDUAL, reach=4.0))
    policy, run, known = clone, None, list(shown.train)
    for version in (2, 3):
        known += on_the_robot(policy, shown.contract, range(100 * version, 100 * version + 24))
        out = tmp_path / f"v{version}"
        data = replace(shown, train=tuple(known))
        earlier = None if run is None else earlier_state(run)
        done = train_recorded(data, recipe, out, policy, earlier, version=f"v{version}")
        new = sum(len(each) for each in known if each.name not in policy.metrics["data"]["train"])
        if run is not None:
            assert done.updates == done.policy.metrics["new_steps"] == new
        policy, run = done.policy, out
    assert (policy.version, policy.metrics["parent"], policy.family) == ("v3", "v2", "guided")
    assert lineage.read(run).episodes == {each.name for each in known}
    assert 0.05 < speed(clone) < 0.45
    assert speed(policy) > speed(clone) + 0.3


@pytest.mark.parametrize("use", [START, RESIDUAL, CHOICE])
def test_a_training_without_new_steps_changes_nothing_and_one_after_another_equals_one(
    shown, clone, tmp_path, use
):
    recipe = replace(RECIPE, clone=CloneUse(use), imitation=replace(RECIPE.imitation, frozen_steps=20))
    steps = sum(map(len, shown.train))
    whole = train_recorded(shown, recipe, tmp_path / "whole", clone, version="v2")
    assert whole.updates == 20 + steps
    state = earlier_state(tmp_path / "whole")
    again = train_recorded(shown, recipe, tmp_path / "again", whole.policy, state, version="v2")
    assert (again.updates, again.policy.metrics["new_steps"]) == (0, 0)
    for name, values in whole.policy.network.state_dict().items():
        assert torch.equal(values, again.policy.network.state_dict()[name]), name
    halves = train_recorded(
        shown, recipe, tmp_path / "half", clone, version="v2", on_update=lambda done, *_: done < 30
    )
    assert (halves.updates, halves.finished) == (30, False)
    later = replace(halves.policy, metrics={})  # so that all steps count as new
    rest = train_recorded(
        *(shown, recipe, tmp_path / "rest", later, earlier_state(tmp_path / "half")),
        version="v3",
        on_update=lambda done, *_: done < whole.updates - 30,
    )
    for name, values in whole.policy.network.state_dict().items():
        assert torch.equal(values, rest.policy.network.state_dict()[name]), name


def test_while_only_the_critics_learn_the_policy_stays_the_clone_and_the_time_limit_ends_it(
    shown, clone, tmp_path
):
    recipe = replace(RECIPE, imitation=replace(RECIPE.imitation, frozen_steps=900))
    ticks = iter(range(1000))
    done = train_recorded(
        shown, recipe, tmp_path / "v2", clone, seconds=25.0, clock=lambda: float(next(ticks))
    )
    assert (done.updates, done.finished) == (25, True)
    for place in (-0.7, 0.2):
        seen = {"observation": np.array([place])}
        np.testing.assert_allclose(done.policy.act(seen), clone.act(seen), atol=1e-6)


def test_recorded_steps_are_learnt_with_a_cloning_loss_where_the_recipe_has_none(shown, clone):
    residual = replace(RECIPE, clone=CloneUse(RESIDUAL, recorded_weight=0.7))
    scales = Scales(shown.contract, Inputs.for_policy(shown.contract, ACTOR), clone.normaliser, clone.form)
    steps = [recorded_steps(episode, scales) for episode in shown.train]
    weights = [
        RecordedLearner(recipe, scales, steps, clone)._agent._clone_use.weight_after(200)
        for recipe in (residual, RECIPE)
    ]
    assert weights == [0.7, 0.25]  # that of RECIPE is 0.5, and falls to 0 over 400 updates


def test_what_cannot_be_learnt_from_is_refused(shown, clone, tmp_path):
    alone = driven(shown.contract, 1, [0.4, 0.3], [-0.5, -0.5], ["policy"] * 2, "failure")
    for recipe, data, message in (
        (
            replace(RECIPE, family="sqil"),
            shown,
            "reward: 'sqil'; of recorded steps the reward is the verdict",
        ),
        (
            replace(RECIPE, imitation=replace(RECIPE.imitation, seeds=2)),
            shown,
            "seeds is 2; one policy learns",
        ),
        (RECIPE, replace(shown, train=(alone,)), "no recorded step was demonstrated or led to a success"),
        (replace(RECIPE, policy=Actor(hidden=(8,))), shown, r"--from v1: policy.hidden is \(32, 32\)"),
    ):
        with pytest.raises(ValueError, match=message):
            train_recorded(data, recipe, tmp_path / "refused", clone)
    assert not (tmp_path / "refused").exists()


def test_a_policy_of_another_use_is_none_to_go_on_from(shown, clone, tmp_path):
    residual = replace(RECIPE, clone=CloneUse(RESIDUAL))
    found = train_recorded(shown, residual, tmp_path / "v2", clone, on_update=lambda *_: False).policy
    assert unusable(found, shown.contract, residual) == ""
    assert unusable(found, shown.contract, replace(RECIPE, clone=CloneUse(CHOICE))) == (
        "it uses its clone as residual, the recipe as choice"
    )
    smaller = replace(residual, agent=replace(RECIPE.agent, hidden=8))
    with pytest.raises(ValueError, match=r"--from .*: its critics have other settings than the recipe's"):
        train_recorded(shown, smaller, tmp_path / "v3", found, earlier_state(tmp_path / "v2"))


def test_the_command_goes_on_from_a_clone_and_says_what_it_learnt_from(root, clone_run, tmp_path, capsys):
    words = ["train", str(root), "--recipe", "residual", "--recorded", "--out", str(tmp_path / "v2")]
    changes = ["agent.hidden=8", "frozen_steps=5", "batch=8", "ahead=2"]
    words += [word for change in changes for word in ("--set", change)]
    assert il_ros([*words, "--from", str(clone_run)]) == 0
    printed = capsys.readouterr().out
    found = checkpoint.load(tmp_path / "v2")
    assert (found.version, found.family, found.metrics["parent"]) == ("v2", "guided", "v1")
    own = found.settings  # the clone's, not the recipe's
    assert (own.hidden, own.activation) == ((32, 32), "relu")
    outcomes, updates = found.metrics["outcomes"], found.metrics["updates"]
    assert f"{outcomes['success']} success, {outcomes['failure']} failure" in printed
    assert f"{updates}, for {updates - 5} new steps" in printed


def test_the_command_trains_the_clone_that_its_recipe_goes_on_from(root, shown, tmp_path):
    changes = ["policy.hidden=[8]", "policy.activation=tanh", "seed=3"]
    words = ["train", str(root), "--recipe", "bc_rl", "--recorded", "--out", str(tmp_path / "v1")]
    assert il_ros([*words, *(word for change in changes for word in ("--set", change))]) == 0
    found = checkpoint.load(tmp_path / "v1")
    assert (found.family, found.settings.hidden, found.settings.activation) == ("actor", (8,), "tanh")
    assert unusable(found, shown.contract, recipes.load("bc_rl", changes)) == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--recipe bc_mlp --recorded", "--recorded has no meaning for a recipe without own steps"),
        (
            "--recipe residual --recorded --expert scripted",
            "--expert has no meaning for a recipe whose own steps",
        ),
        (
            "--recipe residual --recorded --resume",
            "--resume has no meaning for a recipe whose own steps are the",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, message, root, tmp_path, capsys):
    assert il_ros(["train", str(root), "--out", str(tmp_path / "v2"), *words.split()]) == 2
    assert message in capsys.readouterr().err
