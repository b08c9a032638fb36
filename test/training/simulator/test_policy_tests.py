"""Tests of a policy in its simulator during training: where there are some, what is kept, and resumption."""

import csv

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.envs.tasks import make_any_task
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.sim import HELD_OUT_SEED, TEST_SEED
from il_ros.training.evaluate import evaluate
from il_ros.training.recipe import Recipe, changed
from il_ros.training.run import train
from il_ros.training.simulator.policy_tests import NoSimulatorError, simulated_task, starts_of

TASK = "Pendulum-v1"
RECIPE = changed(
    Recipe(),
    [
        "hidden=[8]",
        "epochs=5",
        "batch_size=8",
        "learning_rate=0.01",
        "test_every=2",
        "tests=2",
        "keep=success",
    ],
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Three short episodes of Pendulum-v1."""
    gymnasium = pytest.importorskip("gymnasium")
    from il_ros.envs.record_episodes import RecordEpisodes

    folder = tmp_path_factory.mktemp("episodes")
    with RecordEpisodes(gymnasium.make(TASK, max_episode_steps=20), folder) as env:
        for seed in range(3):
            observation, _ = env.reset(seed=seed)
            done = False
            while not done:
                observation, _, terminated, truncated, _ = env.step(-observation[2:])
                done = terminated or truncated
    task, contract = make_any_task(TASK)
    task.close()
    return Dataset.open(folder, contract)


def test_the_policy_with_the_best_tests_is_kept_and_its_tests_are_those_of_its_weights(shown, tmp_path):
    outcome = train(shown, RECIPE, tmp_path)
    tested = {each.epoch: each.mean_return for each in outcome.curves if not np.isnan(each.mean_return)}
    assert list(tested) == [2, 4, 5]
    assert outcome.policy.metrics["best_epoch"] == max(tested, key=tested.get)
    kept = outcome.policy.metrics["tests"]
    assert kept.pop("duration_s") == outcome.curves[-1].tests_s > 0
    assert kept == {
        "starts": 2,
        "times": 3,
        "success": None,
        "mean_return": max(tested.values()),
        "chosen": True,
    }
    task, contract = make_any_task(TASK)
    again = evaluate(outcome.policy, contract, task, [TEST_SEED, TEST_SEED + 1])
    task.close()
    assert again.mean_return == pytest.approx(kept["mean_return"], rel=1e-9)
    rows = list(csv.DictReader((tmp_path / "curves.csv").open()))
    assert [row["return"] for row in rows] == [
        repr(tested[each]) if each in tested else "" for each in range(1, 6)
    ]
    assert {row["success"] for row in rows} == {""}
    card = (tmp_path / "checkpoint" / "card.md").read_text()
    assert f"return in the simulator: {kept['mean_return']:.4g}, mean of 2 episodes" in card
    assert "chosen as the best of 3 tests" in card


def test_a_resumed_training_with_tests_equals_an_uninterrupted_one(shown, tmp_path):
    whole = train(shown, RECIPE, tmp_path / "whole")
    for last in (1, 3):
        train(
            shown,
            RECIPE,
            tmp_path / "cut",
            resume=last > 1,
            on_epoch=lambda point, last=last: point.epoch < last,
        )
    resumed = train(shown, RECIPE, tmp_path / "cut", resume=True)
    one, other = (run.policy.network.state_dict() for run in (whole, resumed))
    assert all(torch.equal(values, other[name]) for name, values in one.items())
    assert [(each.best, repr(each.mean_return)) for each in resumed.curves] == [
        (each.best, repr(each.mean_return)) for each in whole.curves
    ]
    for key in ("starts", "times", "success", "mean_return", "chosen"):
        assert resumed.policy.metrics["tests"][key] == whole.policy.metrics["tests"][key]


def test_where_the_task_has_no_simulator_that_is_said(tmp_path):
    said = []
    outcome = train(made.dataset(), changed(RECIPE, ["keep=last"]), tmp_path / "last", on_warning=said.append)
    assert said[1:] == ["not tested in a simulator: the episodes' task 'made_up' has no simulator"]
    assert outcome.finished
    assert "tests" not in outcome.policy.metrics
    assert "return" not in (tmp_path / "last" / "curves.csv").read_text()
    with pytest.raises(
        NoSimulatorError, match="keep: there is no success to choose by: the episodes' task 'made_up'"
    ):
        train(made.dataset(), RECIPE, tmp_path / "success")
    inverse = changed(Recipe("inverse"), ["test_every=1", "keep=success"])
    with pytest.raises(
        NoSimulatorError, match="a model of the family 'inverse' does not drive; set keep to last"
    ):
        train(made.dataset(), inverse, tmp_path / "inverse")


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([""], "the episodes name no task"),
        (["push", "reach"], r"the episodes are of several tasks \(push, reach\)"),
        (["fold"], "the episodes' task 'fold' has no simulator"),
        (["Nowhere-v3"], "environment 'Nowhere-v3' is not known"),
        (["push"], "contract made_up commands arm/commands; push takes: arm_position_controller/commands"),
    ],
)
def test_a_task_without_a_simulator_is_named(tasks, message):
    with pytest.raises(NoSimulatorError, match=message):
        simulated_task(tasks, made.CONTRACT)


def test_the_starts_of_tests_are_no_others():
    assert list(starts_of(2)) == [3_000_000, 3_000_001]
    assert HELD_OUT_SEED + 100_000 < TEST_SEED
