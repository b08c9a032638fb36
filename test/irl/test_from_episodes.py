"""Rewards of maximum-entropy IRL from recorded episodes: `il-ros reward train --family cells` and `clearance`."""

from contextlib import closing
from itertools import pairwise

import gymnasium
import numpy as np
import pytest

from il_ros.cli.main import main as il_ros
from il_ros.core import contract as contracts
from il_ros.envs.from_env import contract_of
from il_ros.envs.tasks import make_any_task
from il_ros.envs.write_episode import write_episode
from il_ros.interactive.dagger.in_process import TaskEpisodes, demonstrate
from il_ros.irl.demonstrations import demonstrated
from il_ros.irl.grid import EIGHT_MOVES, Grid
from il_ros.irl.maximum_entropy import Problem, objective
from il_ros.irl.reward_models import heat_of
from il_ros.irl.rewards import LinearReward, TableReward
from il_ros.rewards import checkpoint
from il_ros.sim.experts import make_expert


class Glide(gymnasium.Env):
    """A place (x, y) in metres, and a velocity."""

    observation_space = gymnasium.spaces.Box(-9.0, 9.0, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float64)
    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012 - Gymnasium's type
    spec = gymnasium.envs.registration.EnvSpec("Glide-v0", max_episode_steps=99)


def glide(root, corners, success=True, task="glide"):
    """Write an episode that goes from corner to corner at 3 cm a tick."""
    legs = [
        np.linspace(before, after, round(np.hypot(*np.subtract(after, before)) / 0.03), endpoint=False)
        for before, after in pairwise(corners)
    ]
    places = np.concatenate([*legs, [corners[-1]]])
    moved = np.diff(places, axis=0, append=places[-1:])
    write_episode(root, contract_of(Glide()), {"observation": places}, moved, task=task, success=success)


@pytest.fixture(scope="module")
def around(tmp_path_factory):
    """Records two ways around the place (0.5, 0.5), and a failure through it."""
    root = tmp_path_factory.mktemp("glides")
    for _ in range(2):
        glide(root, [(0.05, 0.05), (0.95, 0.05), (0.95, 0.95)])
    glide(root, [(0.05, 0.05), (0.95, 0.95)], success=False)
    return root


def test_a_table_is_a_linear_reward_of_one_feature_a_state():
    grid = Grid(np.ones((2, 3), bool), ends=[(1, 2)])
    mdp = grid.mdp([(0, 0)], 5)
    shown = demonstrated(mdp, [([0, 1, 2, 5], grid.moves_of([0, 1, 2, 5]))])
    length = np.random.default_rng(0).uniform(0.5, 2.0, (6, 4, 1))
    length[5] = 0.0
    one_hot = length * np.eye(6)[:, None]
    parameters = np.random.default_rng(1).normal(size=6)
    found = objective([Problem(mdp, length, shown)], TableReward(6), parameters, 0.01)
    wanted = objective([Problem(mdp, one_hot, shown)], LinearReward(), parameters, 0.01)
    assert found[0] == pytest.approx(wanted[0], rel=1e-12)
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-12)
    with pytest.raises(ValueError, match="there are 2 features of a move; a reward of states takes one"):
        TableReward(6).initial(2)


def test_a_way_is_filled_with_moves_and_stops_at_an_end():
    grid = Grid(np.ones((4, 4), bool), EIGHT_MOVES, ends=[(3, 3)])
    states = grid.walk(grid.state((0, 0)), [grid.state(cell) for cell in ((0, 0), (2, 1), (3, 3), (0, 3))])
    assert [tuple(cell) for cell in grid.cells[states].tolist()] == [(0, 0), (1, 1), (2, 1), (3, 2), (3, 3)]
    assert [grid.moves[move] for move in grid.moves_of(states)] == [(1, 1), (1, 0), (1, 1), (0, 1)]
    walled = Grid(np.array([[True, False, True]]))
    with pytest.raises(ValueError, match=r"no move from cell \(0, 0\) leads nearer to \(0, 2\)"):
        walled.walk(0, [1])


def test_the_command_learns_a_map_on_which_what_was_shown_is_worth_more(
    around, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = ["reward", "train", str(around), "--family", "cells", "--out", "reward/v1"]
    changes = ["--set", "cell=0.1", "--set", "per_distance=true", "--set", "margin=1"]
    assert il_ros([*words, *changes]) == 0
    told = capsys.readouterr().out
    assert "left out episode_000003: a failure" in told
    assert "12 x 12 cells of 0.1" in told  # 0.05 to 0.95 are ten cells, and one on each side
    reward = checkpoint.load("reward/v1")
    assert (reward.settings.low, reward.version) == ((-0.1, -0.1), "v1")
    assert reward.metrics["data"]["train"] == ["episode_000001", "episode_000002"]
    heat = heat_of(reward)
    way, across = heat[1:10, 1].mean(), heat[np.arange(3, 9), np.arange(3, 9)].mean()
    assert way > across
    assert il_ros(["reward", "rank", str(around)]) == 2  # the folder of versions is not a version
    capsys.readouterr()
    assert il_ros(["reward", "rank", str(around), "--reward", "reward/v1"]) == 0
    told = capsys.readouterr().out
    rows = [line.split() for line in told.splitlines() if line.startswith("episode_")]
    mean = {name: float(of_step) for name, _, _, of_step, *_ in rows}
    assert mean["episode_000001"] > mean["episode_000003"]
    assert (
        il_ros(["reward", "plot", "1", "--root", str(around), "--reward", "reward/v1", "-o", "map.png"]) == 0
    )
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert il_ros([*words, *changes]) == 2
    assert "already holds a model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["cell=0.1"], "so a step is less than a move from cell to cell: set per_distance=true"),
        (
            ["cell=0.1", "axes=[0, 2]"],
            "axes are [0, 2]; the places of two features are needed: 0 observation/data/0, 1 ",
        ),
        (["cell=5", "per_distance=true"], "no episode leaves its first cell of 5; set a smaller cell"),
        (["cell=5"], "no episode leaves its first cell of 5; set a smaller cell"),
        (["cell=0.001", "per_distance=true"], "at most 20000 cells are possible: set a larger cell"),
        (["rows=4"], "rows is 4; it is found in the episodes, and cannot be set"),
        (["l2=0"], "l2 is 0; it must be finite and above 0"),
        (["epochs=3"], "--set epochs: unknown key"),
    ],
)
def test_settings_that_do_not_fit_what_was_shown_are_refused(around, tmp_path, capsys, changes, says):
    words = [word for change in changes for word in ("--set", change)]
    out = tmp_path / "reward"
    assert il_ros(["reward", "train", str(around), "--family", "cells", "--out", str(out), *words]) == 2
    assert says in capsys.readouterr().err
    assert not out.exists()


def test_failures_alone_demonstrate_nothing(tmp_path, capsys):
    glide(tmp_path / "bad", [(0.05, 0.05), (0.95, 0.95)], success=False)
    words = ["reward", "train", str(tmp_path / "bad"), "--family", "cells", "--out", str(tmp_path / "v1")]
    assert il_ros(words) == 2
    assert "1 episode, all failures; at least one demonstration is needed" in capsys.readouterr().err


def test_the_worth_of_clearance_is_learnt_from_episodes_of_drive(tmp_path, capsys):
    root, out = tmp_path / "episodes", tmp_path / "v1"
    contract = contracts.find("drive")
    task, _ = make_any_task("drive", contract)
    with closing(task):
        list(demonstrate(TaskEpisodes(task, contract, root), make_expert("drive"), [0]))
    assert il_ros(["reward", "train", str(root), "--family", "clearance", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "left out" not in told
    assert "short of 0.1 m" in told
    weights = checkpoint.load(out).network.get_buffer("weights")
    assert weights.shape == (4,)
    assert weights[0] < 0  # a way costs
    assert il_ros(["reward", "rank", str(root), "--reward", str(out)]) == 0
    told = capsys.readouterr().out
    assert "(clearance), 1 episode" in told
    assert "success seen" not in told  # only a success model sees one
    other = tmp_path / "v2"
    words = ["reward", "train", str(root), "--family", "clearance", "--out", str(other)]
    assert il_ros([*words, "--set", "limits_m=[0.5]"]) == 0
    assert "short of 0.5 m: " in capsys.readouterr().out
    assert checkpoint.load(other).network.get_buffer("weights").shape == (2,)  # of a metre, and of 0.5 m
    for change, says in (
        ("radius_m=0.2", "radius_m is 0.2; that of the robot of 'drive' is 0.16, and it cannot be set"),
        ("speed=base", "speed: contract 'drive' has no action 'base'; it has: base/linear.x, base/angular.z"),
        ("inputs=[scanner]", "inputs: contract 'drive' has no 'scanner'; it has: scan"),
        ("margin=5", "margin is 5; it has a meaning with the family cells only"),
    ):
        assert il_ros([*words[:-1], str(tmp_path / "v3"), "--set", change]) == 2
        out_text, err_text = capsys.readouterr()
        assert f"--set: {says}" in err_text
        assert out_text == ""  # before the episodes are read


def test_clearance_is_of_the_simulated_task_alone(around, tmp_path, capsys):
    words = ["reward", "train", str(around), "--family", "clearance", "--out", str(tmp_path / "v1")]
    assert il_ros(words) == 2
    assert f"{around}: no episode of the simulated task 'drive'" in capsys.readouterr().err
