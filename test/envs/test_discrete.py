"""A Gymnasium environment with a discrete action: a choice in the contract, learnt as classes by commands alone."""

import csv
import math

import numpy as np
import pytest

from il_ros.cli import main as cli
from il_ros.core.specs import CHOICE
from il_ros.policies import checkpoint
from il_ros.training.run import CHECKPOINT

EXPERT = """
def act(observation):
    _, _, angle, turning = observation
    return int(angle + 0.2 * turning > 0)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "balance.py").write_text(EXPERT)
    return tmp_path


def test_a_discrete_action_goes_from_record_to_evaluate_as_classes(folder, capsys):
    recorded = ["env", "record", "CartPole-v1", "--expert", "balance.py:act", "--episodes", "3"]
    assert cli.main(recorded) == 0
    small = ["--set", "epochs=20", "--set", "hidden=[32]", "--set", "horizon=1"]
    words = ["train", "episodes", "--out", "checkpoint/v1", "--recipe", "bc_categorical", *small]
    assert cli.main(words) == 0
    assert cli.main(["evaluate", "checkpoint/v1", "--episodes", "2"]) == 0
    assert "mean return" in capsys.readouterr().out
    policy = checkpoint.load(folder / "checkpoint" / "v1" / CHECKPOINT)
    (action,) = policy.contract.actions
    assert (action.quantity, action.size) == (CHOICE, 2)
    key = policy.contract.observations[0].key
    for turning in (-2.0, 2.0):
        (answer,) = policy.act({key: np.array([0.0, 0.0, 0.0, turning])})
        np.testing.assert_allclose(answer, [0, 1] if turning > 0 else [1, 0], atol=1e-6)  # a class, no mean
    with (folder / "checkpoint" / "v1" / "curves.csv").open() as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert (
        losses[-1] < losses[0] < math.log(2)
    )  # the cross-entropy of two classes, in nats, from an even guess on
