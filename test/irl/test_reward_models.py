"""What maximum-entropy IRL has found, as reward models of a grid's cells and of a corridor's clearance."""

from itertools import pairwise

import gymnasium
import numpy as np
import pytest
import torch

from il_ros.cli.main import main as il_ros
from il_ros.core import contract, share
from il_ros.envs.from_env import contract_of
from il_ros.envs.write_episode import write_episode
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.irl.demonstrations import demonstrated
from il_ros.irl.grid import Grid
from il_ros.irl.maximum_entropy import Fit, Problem, fit
from il_ros.irl.reward_models import cell_reward, clearance_reward, heat_of
from il_ros.irl.rewards import LinearReward
from il_ros.policies.protocol import Window
from il_ros.rewards import checkpoint
from il_ros.rewards.protocol import Transition
from il_ros.rewards.settings import CellSettings, ClearanceSettings
from il_ros.training.rewards.rating import rate

AROUND = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2)]  # avoids the carpet at (0, 1) and (1, 1)
ACROSS = [(0, 0), (0, 1), (0, 2)]


class Walk(gymnasium.Env):
    """A place on a map of 3 x 3: (row, column), one of four moves."""

    observation_space = gymnasium.spaces.Box(-1.0, 3.0, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(4)
    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012 - Gymnasium's type
    spec = gymnasium.envs.registration.EnvSpec("Walk-v0", max_episode_steps=12)


@pytest.fixture(scope="module")
def grid():
    return Grid(np.ones((3, 3), bool), ends=[(0, 2)])


@pytest.fixture(scope="module")
def found(grid):
    """Returns the fit to two walks around the carpet, and the states' features (S, 2): a step, the carpet."""
    features = np.ones((9, 2))
    features[:, 1] = [tuple(cell) in ((0, 1), (1, 1)) for cell in grid.cells]
    features[list(grid.ends)] = 0.0
    mdp = grid.mdp([(0, 0)], 12)
    states = [grid.state(cell) for cell in AROUND]
    moves = [grid.move(before, after) for before, after in pairwise(states)]
    return fit([Problem(mdp, features, demonstrated(mdp, [(states, moves)] * 2))]), features


@pytest.fixture(scope="module")
def walks(grid, tmp_path_factory):
    """Records the walk around the carpet and the one across it."""
    root, terms = tmp_path_factory.mktemp("walks"), contract_of(Walk())
    for cells in (AROUND, ACROSS):
        states = [grid.state(cell) for cell in cells]
        moves = [grid.move(before, after) for before, after in pairwise(states)]
        write_episode(root, terms, {"observation": np.array(cells, float)}, np.eye(4)[moves], task="walk")
    return root, Dataset.open(root, terms, validation=0.0)


@pytest.fixture(scope="module")
def saved(grid, found, walks, tmp_path_factory):
    """Saves the reward of the cells and returns it as it is on disk."""
    learnt, features = found
    values = learnt.form.reward(learnt.parameters, features[:, None])[:, 0]
    _, data = walks
    names = [episode.name for episode in data.train[:1]]
    settings = CellSettings(rows=3, columns=3)
    made = cell_reward(data.contract, grid, values, settings, version="v1", episodes=names, found=learnt)
    folder = tmp_path_factory.mktemp("reward") / "v1"
    checkpoint.save(folder, made)
    return folder, values, names


def test_a_reward_of_cells_is_saved_with_contract_and_origin_and_rates_what_was_recorded(saved, walks, grid):
    folder, values, names = saved
    _, data = walks
    reward = checkpoint.load(folder, data.contract)
    assert (reward.family, reward.version) == ("cells", "v1")
    assert reward.metrics["data"]["train"] == names
    for episode in data.train:
        rated = rate(reward, episode)
        states = [grid.state((int(row), int(column))) for row, column in episode.observations["observation"]]
        np.testing.assert_allclose(rated.reward, values[states[:-1]][: len(rated.reward)], rtol=1e-6)
    around, across = (rate(reward, episode).total for episode in data.train)
    assert around > across - 6 * abs(values[0])  # the carpet costs, and so does each step


def test_the_command_ranks_and_draws_the_map_with_the_way(saved, walks, tmp_path, capsys, monkeypatch):
    folder, values, _ = saved
    root, data = walks
    monkeypatch.chdir(tmp_path)
    assert il_ros(["reward", "rank", str(root), "--reward", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "reward v1 (cells), 2 episodes" in told
    assert all(episode.name in told for episode in data.train)
    picture = tmp_path / "way.png"
    words = ["reward", "plot", str(root / data.train[0].name), "--reward", str(folder), "-o", str(picture)]
    assert il_ros(words) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    heat = heat_of(checkpoint.load(folder))
    np.testing.assert_allclose(heat.ravel(), values, rtol=1e-6)


def steps(places, following=None, absorbing=False):
    before = torch.tensor(places, dtype=torch.float32)[:, None]
    after = before if following is None else torch.tensor(following, dtype=torch.float32)[:, None]
    no = torch.zeros(len(before), dtype=torch.bool)
    return Transition(Window(before), torch.zeros(len(before), 4), Window(after), no, no | absorbing)


def test_places_beside_the_map_count_as_its_border_and_walls_as_the_nearest_free_cell():
    free = np.array([[True, True, False], [True, True, False]])
    grid = Grid(free)
    values = np.array([1.0, 2.0, 3.0, 4.0])
    settings = CellSettings(low=(10.0, 20.0), cell=0.5, rows=2, columns=3)
    reward = cell_reward(contract_of(Walk()), grid, values, settings)
    # rows begin at 10.0, columns at 20.0: (10.2, 20.6) is row 0, column 1; (10.7, 21.2) is the wall beside column 1
    found = reward.network.reward(steps([(10.2, 20.6), (10.7, 21.2), (-5.0, -5.0), (99.0, 99.0)]))
    assert found.tolist() == [2.0, 4.0, 1.0, 4.0]
    assert np.isnan(heat_of(reward)[:, 2]).all()
    assert reward.network.reward(steps([(10.2, 20.6)], absorbing=True)).tolist() == [0.0]
    per_metre = CellSettings((), (0, 1), (10.0, 20.0), 0.5, 2, 3, per_distance=True)
    reward = cell_reward(contract_of(Walk()), grid, values, per_metre)
    moved = reward.network.reward(steps([(10.2, 20.6)], [(10.5, 21.0)]))  # 0.5 = 5 tenths of 3-4-5
    assert moved.tolist() == pytest.approx([2.0 * 0.5])


def drive():
    return contract.load(share.path("config", "contracts", "drive.yaml"))


def a_fit(*weights):
    return Fit(LinearReward(), np.array(weights), 0.0, 0.0, 1, 0.0, True, "")


def test_the_clearance_of_a_scan_and_the_length_of_a_step_by_hand():
    reward = clearance_reward(drive(), a_fit(-2.0, -10.0, 0.0, -4.0))
    ranges = torch.full((3, 1, 60), 4.0)
    ranges[1, 0, 7] = 0.16 + 0.05  # clearance 0.05 m: short of 0.1 by a half, of 0.3 by 5/6
    scale = torch.tensor([0.6, 2.0])
    commands = torch.tensor([[0.6, 0.0], [0.6, 1.0], [0.0, 2.0]]) / scale
    no = torch.zeros(3, dtype=torch.bool)
    window = Window(ranges)
    found = reward.network.reward(Transition(window, commands, window, no, no))
    far = -2.0 * 0.6 * 0.05  # metres of a step: 0.6 m/s for 1/20 s; standing counts as 0.5 m/s
    near = 0.03 * (-2.0 - 10.0 * 0.5 - 4.0 * 5 / 6)
    np.testing.assert_allclose(found, [far, near, -2.0 * 0.5 * 0.05], rtol=1e-5)
    assert reward.network.reward(Transition(window, commands, window, no, ~no)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: CellSettings(axes=(0, 0)), r"axes are \[0, 0\]; they must be two different places"),
        (lambda: CellSettings(cell=0.0), "cell is 0; it must be above 0"),
        (lambda: CellSettings(low=(0.0, float("nan"))), "it must be two finite numbers"),
        (lambda: CellSettings(rows=2048, columns=2048), "at most 1048576 cells"),
        (lambda: ClearanceSettings(limits_m=(0.1, 0.0)), r"limits_m are \[0.1, 0.0\]; they must be above 0"),
        (lambda: ClearanceSettings(inputs=()), "the key of one laser scan is needed"),
        (
            lambda: clearance_reward(drive(), a_fit(1.0, 2.0)),
            "has 2 parameters; a linear one of a length and 3",
        ),
        (
            lambda: clearance_reward(drive(), a_fit(1, 2, 3, 4), ClearanceSettings(speed="base/linear.y")),
            "has no action 'base/linear.y'; it has: base/linear.x, base/angular.z",
        ),
        (
            lambda: cell_reward(
                contract_of(Walk()), Grid(np.ones((3, 3), bool)), np.zeros(8), CellSettings()
            ),
            r"the rewards have shape \(8,\); they must be \(9,\) finite numbers",
        ),
        (
            lambda: cell_reward(
                contract_of(Walk()), Grid(np.ones((3, 3), bool)), np.zeros(9), CellSettings()
            ),
            r"rows and columns are 1 and 1; the grid's map is \(3, 3\)",
        ),
        (
            lambda: cell_reward(
                contract_of(Walk()),
                Grid(np.ones((3, 3), bool)),
                np.zeros(9),
                CellSettings(axes=(0, 5), rows=3, columns=3),
            ),
            "the inputs have 2 features, from 0 on",
        ),
        (lambda: heat_of(clearance_reward(drive(), a_fit(1, 2, 3, 4))), "only 'cells' has a map"),
    ],
)
def test_what_does_not_fit_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
