"""`il-ros evaluate` with several policies: the same starts, a table, comparisons, a plot."""

import json

import numpy as np
import point_env
import pytest

from il_ros.cli.main import main

TRAIN = ["train", "episodes", "--recipe", "bc_mlp", "--set", "policy.hidden=[8]", "--set", "still_every=1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Recorded episodes, and two policies of them: `good` drives to 0, `bad` has not learnt."""
    folder, patch = tmp_path_factory.mktemp("several"), pytest.MonkeyPatch()
    patch.chdir(folder)
    record = ["env", "record", point_env.NAME, "--expert", "point_env:expert"]
    assert main([*record, "--episodes", "6"]) == 0
    assert main([*record, "--episodes", "2", "--seed", "50", "--root", "other"]) == 0
    assert main([*TRAIN, "--out", "good", "--version", "good", "--set", "epochs=400"]) == 0
    slow = ["--set", "epochs=1", "--set", "learning_rate=0.000001"]
    assert main([*TRAIN, "--out", "bad", "--version", "bad", *slow]) == 0
    yield folder
    patch.undo()


@pytest.fixture(autouse=True)
def here(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return trained


def test_two_policies_are_tried_from_the_same_starts_and_compared(here, capsys):
    words = ["evaluate", "bad", "good", "--episodes", "12", "--json", "score.json", "--plot", "score.png"]
    assert main([*words, "--held-out", "other"]) == 0
    out = capsys.readouterr().out
    assert "task Point-v0, 12 episodes each, from the same starts" in out
    assert "good is better than bad, p" in out
    assert (here / "score.png").read_bytes().startswith(b"\x89PNG")
    score = json.loads((here / "score.json").read_text())
    bad, good = score["policies"]
    seeds = [[episode["seed"] for episode in each["episodes"]] for each in (bad, good)]
    assert seeds[0] == seeds[1] == list(range(seeds[0][0], seeds[0][0] + 12))
    assert good["successes"] == 12
    assert good["time_to_success_s"] == pytest.approx(0.8)  # it is judged at the end, after 8 steps at 10 Hz
    assert 0 <= good["held_out_error"] < bad["held_out_error"]
    assert good["jerk"] > 0
    (compared,) = score["comparisons"]
    assert (compared["first"], compared["second"], compared["pairs"]) == ("bad", "good", 12)
    assert compared["second_better"] == 12 - bad["successes"]
    assert compared["first_better"] == 0


def test_the_trials_end_when_one_of_two_is_better(here, capsys):
    words = ["evaluate", "bad", "good", "--episodes", "60", "--until-sure", "--progress", "json"]
    assert main(words) == 0
    *starts, done = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (compared,) = done["comparisons"]
    assert len(starts) == compared["pairs"] == compared["decided_after"] < 60
    assert compared["sequential_p_value"] <= 0.05


def test_a_policy_is_no_better_than_itself(here, capsys):
    assert main(["evaluate", "good", "good", "--episodes", "3"]) == 0
    assert "no difference of good and good is shown by 3 pairs, p = 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["good", "--until-sure"], "--until-sure is for several policies; name two checkpoints or more"),
        (["good", "--plot", "x.png"], "--plot is for several policies"),
        (["good", "bad", "good", "--until-sure"], "--until-sure compares two policies; there are 3"),
        (["good", "nothing"], "nothing: no such folder"),
        (["good", "--held-out", "nowhere"], "nowhere"),
        (["good", "bad", "--episodes", "0"], "episodes"),
    ],
)
def test_what_cannot_be_is_one_clear_line(words, problem, here, capsys):
    assert main(["evaluate", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line


def test_episodes_that_a_policy_learnt_from_are_not_held_out(here, capsys):
    assert (
        main(["evaluate", "good", "--episodes", "1", "--held-out", "episodes"]) == 0
    )  # one was for validation
    learnt = json.loads((here / "good" / "checkpoint" / "config.json").read_text())["metrics"]["data"][
        "train"
    ]
    assert len(learnt) == 5
    alone = here / "alone"
    alone.mkdir()
    (alone / learnt[0]).symlink_to(here / "episodes" / learnt[0])
    capsys.readouterr()
    assert main(["evaluate", "good", "--episodes", "1", "--held-out", "alone"]) == 2
    assert "policy good was trained on all of its episodes" in capsys.readouterr().err


def test_jerk_by_hand():
    """x = t^3 at 10 Hz: the third differences are 6 dt^3, so the jerk is 6 everywhere."""
    from il_ros.envs.from_env import contract_of_spaces
    from il_ros.training.evaluate import jerk_of

    own = contract_of_spaces(
        "one", point_env.PointEnv.observation_space, point_env.PointEnv.action_space, 10.0
    )
    times = np.arange(9) / 10
    assert jerk_of(own, times[:, None] ** 3) == pytest.approx(6)
    assert jerk_of(own, times[:3, None]) is None
