"""A training with own steps from recorded episodes to a folder, and the command that does it."""

import json
import shutil
from dataclasses import replace

import gymnasium
import line_env
import numpy as np
import pytest

from il_ros.cli.main import main as il_ros
from il_ros.policies import checkpoint, lineage
from il_ros.policies.versions import claimed
from il_ros.rewards import checkpoint as rewards
from il_ros.rl.curves import SeedScore
from il_ros.rl.recipe import load
from il_ros.rl.run import train
from il_ros.rl.steps.environments import Environments
from il_ros.training.loop import TrainingError

QUICK = [
    *("steps=180", "random_steps=40", "every=60", "tests=1", "seeds=2", "batch=16"),
    *("policy.hidden=[16]", "agent.hidden=16"),
]


@pytest.fixture(scope="module")
def episodes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("episodes")
    return folder, line_env.dataset(folder)


@pytest.fixture(autouse=True)
def known_line():
    gymnasium.register("Line-v0", entry_point=line_env.Line, max_episode_steps=line_env.STEPS)
    yield
    del gymnasium.registry["Line-v0"]


def trained(data, out, *, until=None, resume=False, recipe="gail", changes=(), line=None, **options):
    chosen = load(recipe, [*QUICK, *changes])
    lines = iter(line or [{}] * 3)
    environments = Environments(
        "Line-v0", data.contract, lambda: line_env.task(**next(lines)), chosen.imitation.seeds
    )
    return train(
        data,
        chosen,
        out,
        environments,
        version="v1",
        resume=resume,
        on_step=lambda progress: progress.step != until,
        **options,
    )


def files(out):
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.suffix not in (".png",) and path.name != "version.json"
    }


@pytest.mark.parametrize(("recipe", "stop"), [("gail", 60), ("airl", 137), ("sqil", 30)])
def test_an_interrupted_training_leaves_the_files_of_an_uninterrupted_one(episodes, tmp_path, recipe, stop):
    _, data = episodes
    whole = trained(data, tmp_path / "whole", recipe=recipe)
    first = trained(data, tmp_path / "parts", recipe=recipe, until=stop)
    second = trained(data, tmp_path / "parts", recipe=recipe, resume=True)
    assert (whole.finished, first.finished, second.finished) == (True, False, True)
    assert files(tmp_path / "whole") == files(tmp_path / "parts")
    assert whole.scores == second.scores


def test_what_is_written_is_a_policy_and_its_reward_with_their_origin(episodes, tmp_path):
    _, data = episodes
    out = tmp_path / "v1"
    outcome = trained(data, out)
    policy, reward = checkpoint.load(out, data.contract), rewards.load(out, data.contract)
    assert (policy.family, policy.version, reward.family, reward.version) == ("actor", "v1", "gail", "v1")
    assert policy.metrics["finished"] is True
    assert policy.metrics["tasks"] == ["Line-v0"]
    kept = [score for score in outcome.scores if score.kept][-1]
    assert (policy.metrics["own_steps"], policy.metrics["seed"]) == (kept.step, kept.seed)
    assert kept.score == max(score.score for score in outcome.scores)
    assert lineage.read(out).labels == 80
    assert lineage.read(out).episodes == {episode.name for episode in data.train}
    assert [score.step for score in outcome.scores] == [60, 60, 120, 120, 180, 180]
    table = (out / "curves.csv").read_text().splitlines()
    assert table[0].startswith("step,seed,return,success,kept,discriminator_accuracy,")
    assert len(table) == 7
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    command = policy.act({"observation": np.array([0.3])})[0]
    assert sorted(command) == [0.0, 1.0]


def test_the_clone_stays_until_another_policy_is_shown_to_be_better(episodes, tmp_path):
    _, data = episodes
    first = trained(data, tmp_path / "clone", changes=["steps=600", "seeds=1", "every=200"])
    wild = ["agent.rate=0.9", "random_steps=0", "tests=6"]  # unlearns at once
    outcome = trained(data, tmp_path / "v1", changes=wild, start=first.policy)
    begun = [score for score in outcome.scores if score.step == 0]
    assert [(score.seed, score.verdict, score.kept) for score in begun] == [(0, "", True), (1, "", False)]
    later = [score for score in outcome.scores if score.step]
    assert {score.verdict for score in later} <= {"refused", "rolled back"}
    assert any(score.verdict == "rolled back" for score in later)
    kept = checkpoint.load(tmp_path / "v1")
    assert (kept.metrics["parent"], kept.metrics["own_steps"]) == ("v1", 0)
    for place in (-0.7, 0.4):
        seen = {"observation": np.array([place])}
        for policy in (kept, *outcome.served):
            np.testing.assert_array_equal(policy.act(seen), first.policy.act(seen))
    table = (tmp_path / "v1" / "curves.csv").read_text().splitlines()
    assert table[0].endswith(",episodes,verdict")
    assert table[3].endswith(later[0].verdict)


def test_a_clone_of_other_settings_is_refused_by_their_names(episodes, tmp_path):
    _, data = episodes
    clone = trained(data, tmp_path / "clone", changes=["steps=90", "seeds=1", "every=90"])
    changes = ["random_steps=0", "policy.activation=tanh"]
    with pytest.raises(
        ValueError, match=r"--from v1: policy\.activation is relu, the recipe's tanh; a training"
    ):
        trained(data, tmp_path / "v2", changes=changes, start=clone.policy)


def test_a_policy_that_is_better_than_the_clone_takes_its_place_and_resumes_to_the_bit(episodes, tmp_path):
    _, data = episodes
    clone = trained(data, tmp_path / "clone", changes=["steps=90", "seeds=1", "every=90", "agent.rate=1e-5"])
    options = {"changes": ["random_steps=0", "tests=6", "steps=500", "every=100", "agent.rate=0.003"]}
    whole = trained(data, tmp_path / "whole", start=clone.policy, **options)
    promoted = [score for score in whole.scores if score.verdict == "promoted"]
    assert promoted
    assert (
        checkpoint.load(tmp_path / "whole").metrics["own_steps"]
        == [score.step for score in whole.scores if score.kept][-1]
    )
    stop = promoted[0].step + 50
    if stop < 500:
        trained(data, tmp_path / "parts", start=clone.policy, until=stop, **options)
        again = trained(data, tmp_path / "parts", start=clone.policy, resume=True, **options)
        assert again.scores == whole.scores
        assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_resuming_with_other_settings_is_refused_with_each_difference(episodes, tmp_path):
    _, data = episodes
    trained(data, tmp_path / "v1", until=100)
    before = files(tmp_path / "v1")
    with pytest.raises(TrainingError) as caught:
        trained(data, tmp_path / "v1", resume=True, changes=["agent.rate=0.5", "shape=softplus"])
    assert "recipe.reward.shape: was logit, is now softplus" in str(caught.value)
    assert "recipe.agent.rate: was 0.001, is now 0.5" in str(caught.value)
    first, *others = data.train
    moved = replace(data, train=(replace(first, commands=first.commands + 0.01), *others))
    with pytest.raises(TrainingError, match=f"was trained on other numbers or labels of {first.name}; give"):
        trained(moved, tmp_path / "v1", resume=True)
    assert files(tmp_path / "v1") == before


@pytest.mark.parametrize("wrong", [{"fails_at": 130}, {"fails_at": 130, "raises": True}])
def test_an_environment_that_breaks_leaves_the_last_good_state_from_which_it_goes_on(
    episodes, tmp_path, wrong
):
    _, data = episodes
    whole = trained(data, tmp_path / "whole")
    with pytest.raises(TrainingError, match=r"step 130: environment 1 .*--resume goes on from the state"):
        trained(data, tmp_path / "parts", line=[{}, wrong, {}])
    assert checkpoint.load(tmp_path / "parts").metrics["finished"] is False
    again = trained(data, tmp_path / "parts", resume=True)
    assert again.scores == whole.scores
    assert files(tmp_path / "whole") == files(tmp_path / "parts")


def test_the_tasks_own_reward_needs_demonstrations_whose_reward_is_known(episodes, tmp_path):
    _, data = episodes
    file = tmp_path / "task.yaml"
    file.write_text("reward: {family: task}\nimitation: {steps: 200, random_steps: 50}\n")
    environments = Environments("Line-v0", data.contract, line_env.task, 1)
    with pytest.raises(ValueError, match="needs demonstrations whose rewards are known"):
        train(data, load(file), tmp_path / "v1", environments)


def test_success_counts_before_the_return():
    assert SeedScore(1, 0, 3.0, 0.5).score > SeedScore(1, 0, 9.0, 0.4).score


# ---- the command -------------------------------------------------------------------------------------------


def run(capsys, *words):
    status = il_ros([str(word) for word in words])
    told = capsys.readouterr()
    return status, told.out, told.err


def settings(changes=()):
    return [word for change in (*QUICK, *changes) for word in ("--set", change)]


def test_the_command_trains_evaluates_and_names_the_next_step(episodes, tmp_path, capsys):
    folder, _ = episodes
    status, out, _ = run(capsys, "train", folder, "--recipe", "gail", "--out", tmp_path / "v1", *settings())
    assert status == 0
    assert "gail in Line-v0: 2 seeds, 180 own steps each" in out
    assert f"next: il-ros evaluate {tmp_path / 'v1'}" in out
    status, out, _ = run(capsys, "evaluate", tmp_path / "v1", "--episodes", 2)
    assert status == 0
    assert "mean return" in out
    status, out, _ = run(
        capsys,
        "train",
        folder,
        "--recipe",
        "gail",
        "--out",
        tmp_path / "v2",
        "--progress",
        "json",
        *settings(),
    )
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events if event["event"] != "reading"] == [
        "start",
        "fitted",
        *["evaluation"] * 6,
        "done",
    ]
    status, out, err = run(capsys, "train", folder, "--recipe", "gail", "--out", tmp_path / "v1", *settings())
    assert (status, "already holds policy v1" in err) == (2, True)


def test_two_trainings_at_once_do_not_share_a_folder(episodes, tmp_path, capsys):
    folder, _ = episodes
    with claimed(tmp_path / "v1"):
        status, _, err = run(
            capsys, "train", folder, "--recipe", "gail", "--out", tmp_path / "v1", *settings()
        )
    assert status == 2
    assert str(tmp_path / "v1") in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--recipe", "bc_mlp", "--environment", "push"],
            "--environment has no meaning for a recipe without",
        ),
        (
            ["--recipe", "gail", "--warm-epochs", "3"],
            "--warm-epochs has no meaning for a recipe with own steps",
        ),
        (
            ["--recipe", "gail", "--environment", "push"],
            "contract Line-v0 observes observation; push publishes",
        ),
        (["--recipe", "gail", "--environment", "pusch"], "unknown task 'pusch'"),
        (["--recipe", "gail", "--environment", "graph"], "seeds is 2; a running graph has one robot: 1"),
        (
            ["--recipe", "gail", "--environment", "graph", "--set", "seeds=1"],
            "the demonstrations are of 'Line-v0'; a graph has one of: ",
        ),
        (
            ["--recipe", "gail", "--environment", "graph", "--set", "seeds=1", "--expert", "."],
            "--expert .: on a running graph the simulated person has the task's expert (scripted) or a function",
        ),
        (["--recipe", "gail", "--set", "steps=1"], "random_steps is 40; it must be below steps, 1"),
        (["--recipe", "gail", "--task", "fold"], "no episode can be used"),
        (
            ["--recipe", "airl", "--set", "agent.discount=0.5"],
            "discount is 0.98; it must be the agent's, 0.5",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(episodes, tmp_path, capsys, words, says):
    folder, _ = episodes
    own = [] if "bc_mlp" in words else settings()
    status, _, err = run(capsys, "train", folder, "--out", tmp_path / "v1", *own, *words)
    assert status == 2, err
    assert says in err
    assert not (tmp_path / "v1" / "checkpoint").exists()


def test_demonstrations_of_an_unknown_task_need_an_environment(tmp_path, capsys, episodes):
    folder, _ = episodes
    copied = tmp_path / "episodes"
    shutil.copytree(folder, copied)
    for file in copied.rglob("episode.json"):
        file.write_text(file.read_text().replace("Line-v0", "my_robot"))
    status, _, err = run(capsys, "train", copied, "--recipe", "gail", "--out", tmp_path / "v1")
    assert status == 2
    assert "of 1 task (my_robot); own steps need one environment: choose with --environment" in err
