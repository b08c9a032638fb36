"""What to show next: uncertainty times coverage, as a list with reasons, and as starts that can be recorded."""

import dataclasses
import json
from contextlib import closing

import made_arrays as arrays
import numpy as np
import pytest

from il_ros.cli.main import main
from il_ros.core import contract as contracts
from il_ros.episodes.catalogue import scan
from il_ros.interactive.dagger.in_process import TaskEpisodes, demonstrate
from il_ros.interactive.querying.ranking import ranked
from il_ros.interactive.querying.suggest import Querying
from il_ros.sim.experts import make_expert
from il_ros.sim.tasks.task import make_task
from il_ros.training import recipe as recipes
from il_ros.training.run import train


def test_the_score_is_uncertainty_times_distance_to_what_was_shown():
    shown = np.array([[0.0, 0.0], [0.0, 2.0]])  # RMS distance of the neighbours: sqrt(4 / 2)
    states = np.array([[0.0, 0.2], [3.0, 0.0], [1.0, 0.0]])
    best = ranked(states, np.array([5.0, 1.0, 2.0]), shown, 1)
    assert [each.place for each in best] == [1]  # 5 x 0.14, 1 x 2.12, 2 x 0.71
    assert best[0].distance == pytest.approx(3 / 2)
    assert best[0].features == (0,)
    certain = ranked(states, np.array([50.0, 1.0, 2.0]), shown, 1)
    assert [each.place for each in certain] == [0]


def test_a_second_suggestion_is_not_like_the_first():
    shown = np.array([[0.0], [0.1]])
    states = np.array([[5.0], [5.01], [-2.0]])
    assert [each.place for each in ranked(states, np.ones(3), shown, 3)] == [1, 2, 0]


def test_what_was_shown_is_not_suggested_again():
    shown = np.array([[0.0], [1.0]])
    assert ranked(shown.copy(), np.ones(2), shown, 5) == []
    with pytest.raises(ValueError, match="nothing was shown"):
        ranked(shown, np.ones(2), np.empty((0, 1)), 1)


def policy_of(tmp_path, data):
    settings = ("members=2", "hidden=[8]", "epochs=3", "validation=0")
    return train(data, recipes.load("ensemble", settings), tmp_path / "v1", version="v1").policy


def test_moments_of_one_episode_are_apart_and_far_from_the_demonstrations(tmp_path):
    data = arrays.dataset(train=2, validation=0)
    querying = Querying(policy_of(tmp_path, data), data.train)
    strange = arrays.episode(9, 60)
    joints = strange.observations["joints"].copy()
    joints[40:] += 5.0
    strange = dataclasses.replace(
        strange, observations={**strange.observations, "joints": joints}, outcome="failure"
    )
    found = querying.suggested_moments([arrays.episode(8, 60), strange], 2)
    assert found[0].episode == strange.name
    assert found[0].time_s >= 2.0  # 20 Hz: row 40
    times = [each.time_s for each in found if each.episode == strange.name]
    assert all(abs(one - other) >= 1.0 for one in times for other in times if one != other)
    assert "mostly in joints/" in found[0].reason
    (whole,) = querying.suggested_episodes([strange], 3)
    assert "it failed; uncertainty" in whole.reason


@pytest.fixture(scope="module")
def reached(tmp_path_factory):
    """Three demonstrations of `reach`, and a policy of a few steps."""
    place = tmp_path_factory.mktemp("reached")
    own = contracts.find("arm_reach")
    with closing(make_task("reach")) as task:
        list(demonstrate(TaskEpisodes(task, own, place / "episodes"), make_expert("reach"), range(3)))
    words = ["--recipe", "ensemble", "--set", "epochs=3", "--set", "members=2", "--set", "hidden=[8]"]
    assert main(["train", str(place / "episodes"), "--out", str(place / "policy" / "v1"), *words]) == 0
    return place


def test_suggested_starts_are_recorded_from_a_file(reached, tmp_path, capsys):
    file = tmp_path / "starts.json"
    words = [str(reached / "episodes"), "--policy", str(reached / "policy"), "-o", str(file)]
    assert main(["suggest", *words, "--candidates", "6", "--count", "2", "--seed", "900"]) == 0
    out = capsys.readouterr().out
    seeds = [each["seed"] for each in json.loads(file.read_text())["starts"]]
    assert len(seeds) == 2
    assert set(seeds) <= set(range(900, 906))
    assert f"start {seeds[0]}" in out
    assert "the policy" in out
    assert f"il-ros env record reach --starts {file}" in out
    root = tmp_path / "more"
    assert main(["env", "record", "reach", "--root", str(root), "--starts", str(file)]) == 0
    assert [entry.info.seed for entry in scan(root).usable] == seeds


def test_bad_requests_name_what_is_wrong(reached, tmp_path, capsys):
    data, policy = str(reached / "episodes"), str(reached / "policy")
    file = tmp_path / "starts.json"
    for words, message in (
        (["suggest", data, "--policy", policy, "--count", "0"], "--count is 0"),
        (["suggest", data, "--policy", str(tmp_path)], "holds no checkpoint"),
        (["suggest", str(tmp_path), "--policy", policy, "--candidates", "0"], "no episodes; `il-ros record"),
        (["suggest", data, "--policy", policy, "--task", "pusch"], "unknown task 'pusch'"),
    ):
        assert main(words) == 2
        assert message in capsys.readouterr().err
    for text, message in (
        ('{"task": "push", "starts": [{"seed": 1}]}', "its starts are of task 'push', not of 'reach'"),
        ('{"task": "reach", "starts": []}', "starts"),
        ('{"task": "reach"}', "without 'starts'"),
    ):
        file.write_text(text)
        assert main(["env", "record", "reach", "--root", str(tmp_path / "r"), "--starts", str(file)]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert str(file) in err
