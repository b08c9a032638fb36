"""Joint training: each contract's episodes teach their own actions, in the shares that are asked for."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import two_robots as robots
from two_robots import BASE, PUSH, REACH

from il_ros.cli.main import main
from il_ros.core import contract
from il_ros.envs.write_episode import write_episode
from il_ros.episodes.arrays.dataset import Dataset, DatasetSummary
from il_ros.policies import checkpoint
from il_ros.policies.action_form import ActionForm
from il_ros.policies.features import Inputs
from il_ros.policies.joint.contracts import PART, joined
from il_ros.policies.joint.part import TASKS, part_policy
from il_ros.training import recipe as recipes
from il_ros.training.fitting import used_samples
from il_ros.training.joint.opening import EpisodeSource, joint_dataset, joint_recipe, sources_in
from il_ros.training.run import train

OWN = joined([REACH, PUSH, BASE])


def dataset(weights=(), count=4, own=OWN):
    found, sources = [], []
    for place, part in enumerate(own.parts):
        episodes = tuple(robots.episode(part, 10 * place + number) for number in range(count))
        names = tuple(episode.name for episode in episodes)
        summary = DatasetSummary(names, (), sum(map(len, episodes)), {}, (), ("be careful",))
        found.append(Dataset(part, episodes, (), summary))
        sources.append(EpisodeSource(Path(), part, names, part.name))
    return joint_dataset(own, sources, found, dict(weights))


def recipe(name="bc_mlp", *changes):
    return joint_recipe(recipes.load(name, ("epochs=2", "still_every=1", *changes)), OWN)


def samples_of(made):
    chosen = recipe()
    return used_samples(made.train, Inputs.for_policy(OWN, chosen.policy), chosen, ActionForm(OWN))[0]


def test_an_episode_teaches_only_what_its_robot_commands():
    some = samples_of(dataset())
    arm, wheels = some.weights[:, 0, 0], some.weights[:, 0, 2]
    np.testing.assert_array_equal(arm[:160] > 0, True)
    np.testing.assert_array_equal(arm[160:], 0)
    np.testing.assert_array_equal(wheels[:160], 0)
    assert some.frames.absent["scan"][:160].all()
    assert not some.frames.absent["scan"][160:].any()
    assert some.frames.absent["block"][:80].all()
    assert not some.frames.absent["block"][80:160].any()


def test_each_frame_has_the_same_share_of_the_loss_however_many_numbers_it_commands():
    shares = samples_of(dataset()).weights.sum(axis=(1, 2))  # two numbers of 1, or one number of 2
    np.testing.assert_array_equal(shares, 2.0)


def test_weights_multiply_the_share_of_a_contract():
    shares = samples_of(dataset({"base": 3.0})).weights.sum(axis=(1, 2))
    np.testing.assert_array_equal(shares[:160], 2.0)
    np.testing.assert_array_equal(shares[160:], 6.0)


def test_the_summary_names_the_contract():
    summary = dataset().summary
    assert summary.train[0] == "reach.episode_000000"
    assert summary.warnings == ("reach: be careful", "push: be careful", "base: be careful")
    assert summary.notes[0] == "reach: 4 episodes, 80 frames"


def test_one_policy_learns_the_rules_of_all(tmp_path):
    chosen = recipe("bc_mlp", "epochs=150", "hidden=[32, 32]", "learning_rate=0.01", "batch_size=32")
    policy = train(dataset(count=10), chosen, tmp_path / "v1", version="v1").policy
    assert policy.metrics[TASKS] == {"reach": ["reach"], "push": ["push"], "base": ["base"]}
    for part in OWN.parts:
        unseen, own = robots.episode(part, 99), part_policy(policy, part)
        found = np.concatenate([own.act(unseen.observation(row)) for row in range(len(unseen))])
        assert np.abs(found - unseen.commands).mean() < 0.1, part.name  # commands are -1 to 1


def test_an_input_that_another_robot_lacks_is_not_left_out_at_random():
    chosen = recipe()
    assert chosen.policy.optional == ("joints", "goal", "block", "scan")
    assert chosen.training.input_dropout == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("mirror=[goal.x = -goal.x]", "training.mirror has no meaning for several contracts"),
        ("uncertainty=distance", "training.uncertainty is distance; for several contracts only raw"),
    ],
)
def test_a_setting_without_meaning_for_several_contracts_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        recipe("bc_mlp", change)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two folders of recorded episodes: reach and push in one, base in the other."""
    monkeypatch.chdir(tmp_path)
    for folder, parts in (("arm", (REACH, PUSH)), ("rover", (BASE,))):
        for part in parts:
            for number in range(3):
                one = robots.episode(part, number)
                write_episode(folder, part, one.observations, one.commands, success=True, task=part.name)
    return tmp_path


QUICK = ("--set", "epochs=2", "--progress", "json")


def test_the_command_trains_on_all_contracts_and_goes_on_where_it_was_stopped(folders, capsys):
    assert main(["train", "arm", "rover", "--joint", "--weight", "base=2", "--out", "v1", *QUICK]) == 0
    out = capsys.readouterr()
    assert "'base': auto chose ensemble" in out.out
    whole = checkpoint.load(folders / "v1")
    assert whole.contract.name == "reach+push+base"
    assert sorted(whole.metrics["hashes"])[:2] == ["base.episode_000001", "base.episode_000002"]
    for part in (REACH, PUSH, BASE):
        answer = checkpoint.load(folders / "v1", part).act(robots.episode(part, 7).observation(0))
        assert answer.shape == (1, part.action_size)
    words = ["train", "arm", "rover", "--joint", "--weight", "base=2", "--out", "v1", "--resume", *QUICK]
    assert main(words) == 0


def test_sources_are_told_apart_by_folder_and_contract(folders):
    write_episode("more", REACH, (one := robots.episode(REACH, 5)).observations, one.commands)
    found = sources_in([Path("arm"), Path("more")])
    assert [(source.label, len(source.names)) for source in found] == [
        ("reach", 3),
        ("push", 3),
        ("reach-2", 1),
    ]


WRONG = {
    "--joint rover": "there is one contract only (base)",
    "arm rover": "rover is a second folder: training on several needs --joint",
    "arm": "choose with --contract, or train one policy for all of them with --joint",
    "arm --weight reach=2": "--weight has a meaning with --joint only",
    "arm --joint --weight fold=2": "--weight fold=2: there is no contract 'fold'; there are: reach, push",
    "arm --joint --weight reach=-1": "--weight reach=-1: must be CONTRACT=NUMBER with a finite number above 0",
    "arm --joint --weight reach=nan": "finite number above 0, such as reach=2",
    "arm --joint --contract reach": "--contract has no meaning with --joint",
    "arm --joint --race 60": "--race has no meaning with --joint",
    "arm nowhere --joint": "nowhere: there is no such folder of episodes",
    "arm --joint --set inputs=[joint]": "contract 'reach+push' has no 'joint'; it has: joints, goal, block, part",
    "arm --joint --recipe gail": "--joint has no meaning for a recipe with own steps",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_be_trained_together_is_said(folders, capsys, words):
    assert main(["train", *words.split(), "--out", "v1", *QUICK]) == 2
    assert WRONG[words] in capsys.readouterr().err
    assert not (folders / "v1" / "checkpoint").exists()


@pytest.mark.parametrize("words", ["train arm --recipe gail", "reward train arm"])
def test_joint_is_offered_only_where_it_exists(folders, capsys, words):
    assert main([*words.split(), "--out", "v1"]) == 2
    said = capsys.readouterr().err
    assert "arm: episodes of several contracts (episode_00000" in said
    assert said.endswith("; choose with --contract\n")


def test_recipes_that_differ_are_named(folders, capsys):
    text = robots.BASE_TEXT.replace("name: base", "name: speaker").replace(
        "  scan:", "  words: {topic: words, type: std_msgs/msg/String, max_age_s: 1}\n  scan:"
    )
    own, one = contract.parse(text, "speaker.yaml"), robots.episode(BASE, 3)
    write_episode("rover", own, {**one.observations, "words": np.array(["go"] * 20)}, one.commands, task="go")
    assert main(["train", "arm", "rover", "--joint", "--out", "v1", *QUICK]) == 2
    said = capsys.readouterr().err
    assert "auto chooses different recipes for the contracts; name one with --recipe" in said
    assert "'speaker': auto chose film" in said


def test_the_weight_of_an_episode_counts_in_every_contract():
    episode = dataclasses.replace(robots.episode(REACH, 1), weight=2.5)
    own = recipes.load("bc_mlp", ("still_every=1",))
    some = used_samples([episode], Inputs.for_policy(REACH, own.policy), own, ActionForm(REACH))[0]
    np.testing.assert_array_equal(some.weights, 2.5)
    assert PART not in episode.observations
