"""A race of recipes: the policy that does best wins, and is said."""

import dataclasses
import json

import gaps
import made_arrays as made
import numpy as np
import pytest

from il_ros.cli.main import main
from il_ros.envs.write_episode import write_episode
from il_ros.training import recipe
from il_ros.training.auto import race
from il_ros.training.auto.race import Judge, on_held_out
from il_ros.training.evaluate import Episode, Evaluation

BRIEF = recipe.load("bc_mlp", ("hidden=[8]", "epochs=2", "batch_size=16"))
LONG = recipe.load("bc_mlp", ("hidden=[32]", "epochs=60", "batch_size=16"))


def by_epochs(beats=lambda other, first: other > first):
    return Judge("in a test", lambda policy: float(policy.metrics["epochs"]), str, beats)


def test_the_best_recipe_wins_and_the_reason_has_all_results():
    said = []
    entrants = {"brief": dataclasses.replace(BRIEF, reason="auto chose brief: why"), "long": LONG}
    won = race.race(entrants, made.dataset(2, 1), by_epochs(), 60, said.append)
    assert won == LONG
    assert won.reason == "auto chose long: a race of 60 s of training, in a test: brief 2.0; long 60.0"
    assert said == [
        "race: 2 recipes, 30 s of training each, then tried in a test, which takes its own time",
        "race: training brief for at most 30 s",
        "race: brief: 2.0",
        "race: training long for at most 30 s",
        "race: long: 60.0",
    ]
    kept = race.race(entrants, made.dataset(2, 1), by_epochs(lambda other, first: False), 60)
    assert kept == entrants["brief"]
    assert kept.reason.startswith("auto chose brief: why; a race of 60 s")


def test_each_recipe_has_its_share_of_the_time_and_one_that_fails_is_out():
    asked = []

    def score(policy):
        asked.append(policy.metrics["training"]["seconds"])
        return 1.0

    judge = Judge("in a test", score, str, lambda other, first: other > first)
    said = []
    strange = dataclasses.replace(BRIEF, training=dataclasses.replace(BRIEF.training, device="cuda:99"))
    won = race.race({"strange": strange, "brief": BRIEF}, made.dataset(2, 1), judge, 60, said.append)
    assert won == BRIEF
    assert asked == [30.0]
    assert said[2].startswith("race: strange is out: device: cuda:99 is not available")
    with pytest.raises(ValueError, match="no recipe can be trained: strange: device"):
        race.race({"strange": strange}, made.dataset(2, 1), judge, 60)


def test_held_out_episodes_judge_by_the_error_in_half_ranges_and_want_a_clear_difference():
    data = made.dataset(3, 1)
    judge = on_held_out(data.train, data.validation)

    class Constant:
        """Answers the label plus a hundredth of an action's half range."""

        history, contract = 1, made.CONTRACT

        def __init__(self):
            commands = np.concatenate([episode.commands for episode in data.train])
            self._half = np.ptp(commands, axis=0) / 2

        def act(self, seen, seed=0):
            newest = seen[-1]
            return (0.5 * newest["joints"] + newest["object"][:2] + 0.01 * self._half)[None]

    assert judge.score(Constant()) == pytest.approx(-0.01)
    assert judge.shown(-0.0123456) == "error 0.0123"
    assert judge.beats(-0.8, -1.0)
    assert not judge.beats(-0.95, -1.0)


def test_results_are_told_as_success_or_as_return_where_the_task_defines_none(monkeypatch):
    found = [
        Episode(1, True, False, 1.0, total_reward=-3.0),
        Episode(2, False, False, 1.0, total_reward=-5.0),
    ]
    asked = []

    def evaluate(policy, contract, task, seeds):
        asked.extend(seeds)
        return Evaluation("task", "v1", tuple(found))

    monkeypatch.setattr(race, "evaluate", evaluate)
    judge = race.in_simulator(None, made.CONTRACT, 2)
    assert judge.shown(judge.score(None)) == "success 50 %"
    assert asked == [500_000, 500_001]
    found[:] = [dataclasses.replace(each, judged=False) for each in found]
    assert judge.shown(judge.score(None)) == "mean return -4"


def test_a_race_is_refused_beside_what_fixes_the_recipe(tmp_path, capsys):
    for words, named in (
        (["--recipe", "flow"], "leave out --recipe flow"),
        (["--resume", "--out", str(tmp_path / "out")], "which --resume keeps"),
        (["--from", str(tmp_path)], "which --from keeps"),
    ):
        assert main(["train", str(tmp_path), "--race", "5", *words]) == 2
        assert named in capsys.readouterr().err


def test_no_race_is_held_on_held_out_episodes_where_there_are_several_ways(tmp_path, capsys):
    shown, _ = gaps.demonstrations(2, (0.5, 0.5), 14, seed=0)
    for episode in shown.train:
        write_episode(tmp_path / "episodes", gaps.CONTRACT, dict(episode.observations), episode.commands)
    words = ["train", str(tmp_path / "episodes"), "--out", str(tmp_path / "out"), "--race", "3"]
    assert main([*words, "--set", "epochs=1"]) == 0
    out = capsys.readouterr().out
    assert "no race: the episodes name no task, and an error on held-out" in out
    assert "auto chose moe" in out


def test_a_race_of_recorded_episodes_is_held_by_the_environment_and_kept_in_the_checkpoint(
    tmp_path, capsys, monkeypatch
):
    gymnasium = pytest.importorskip("gymnasium")
    from il_ros.envs.record_episodes import RecordEpisodes
    from il_ros.policies import checkpoint

    with RecordEpisodes(gymnasium.make("Pendulum-v1", max_episode_steps=20), tmp_path / "episodes") as env:
        for seed in range(3):
            env.reset(seed=seed)
            done = False
            while not done:
                _, _, terminated, truncated, _ = env.step(np.array([0.5], np.float32))
                done = terminated or truncated
    monkeypatch.setattr(race, "STARTS", 2)
    words = ["train", str(tmp_path / "episodes"), "--out", str(tmp_path / "out"), "--race", "3"]
    assert main([*words, "--set", "epochs=1", "--progress", "json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    raced = [event["notes"][0] for event in events if event["event"] == "race"]
    assert raced[0].endswith(
        "1 s of training each, then tried in the simulator, 2 starts each, which takes its own time"
    )
    assert all(line.startswith("race: training ") for line in raced[1::2])
    assert all(": mean return -" in line for line in raced[2::2])
    assert [line.split(":")[1].strip() for line in raced[2::2]] == [
        "ensemble",
        "ensemble, absolute error",
        "two_step",
    ]
    reason = checkpoint.load(tmp_path / "out").metrics["reason"]
    assert "a race of 3 s of training, in the simulator, 2 starts each: ensemble mean return -" in reason
