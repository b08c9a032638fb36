"""Maximum-entropy IRL from recorded episodes: a reward of the cells of a map, or of the clearance in `drive`.

The tabular process is made of what was recorded: the ways of the episodes are cut into cells, and moves lead from cell
to cell. Failures are no demonstrations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.irl.corridor_map import CorridorMap
from il_ros.irl.demonstrations import demonstrated
from il_ros.irl.grid import EIGHT_MOVES, FOUR_MOVES, Grid
from il_ros.irl.maximum_entropy import Fit, Problem, fit
from il_ros.irl.reward_models import cell_reward, clearance_reward, require_fitting
from il_ros.irl.rewards import TableReward
from il_ros.irl.settings import TabularTraining
from il_ros.records.outcomes import FAILURE
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.registry import inputs_of
from il_ros.rewards.settings import CellSettings, ClearanceSettings
from il_ros.sim.fitting import task_for
from il_ros.sim.lockstep import command_messages
from il_ros.sim.tasks.corridor_pieces import ROBOT_RADIUS_M
from il_ros.sim.tasks.drive import DriveTask

MOST_CELLS = 20_000
"""Of a map: one second of learning for each ten iterations, about."""

Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class TabularOutcome:
    """The model, its fit, and why episodes were not used, by name."""

    reward: LoadedReward
    fit: Fit
    left_out: Mapping[str, str]


def learn_cells(
    episodes: Sequence[EpisodeArrays],
    contract: Contract,
    settings: CellSettings,
    training: TabularTraining,
    *,
    version: str = "",
    progress: Progress = lambda *_: None,
) -> TabularOutcome:
    """Learn what it is worth to be in each cell of a map, from ways whose places the contract observes.

    The map holds what was shown, with a margin; no place in it is taken for an obstacle. An episode ends in the cell
    where it was seen last. Raises ValueError when no episode remains, settings are those that are found (`low`, `rows`,
    `columns`), a way does not fit `per_distance`, or the map is too large; FloatingPointError as `fit`.
    """
    require_cells(contract, settings)
    shown, left_out = _demonstrations(episodes)
    inputs, axes = inputs_of(contract, settings), list(settings.axes)
    places = [inputs.features(inputs.raw(episode.observations))[:, axes] for episode in shown]
    cells = [np.floor(place / settings.cell).astype(np.int64) for place in places]
    low = np.min([each.min(axis=0) for each in cells], axis=0) - training.margin
    rows, columns = (
        np.max([each.max(axis=0) for each in cells], axis=0) + training.margin + 1 - low
    ).tolist()
    if rows * columns > MOST_CELLS:
        raise ValueError(
            f"cells of {settings.cell:g} make a map of {rows} x {columns}; at most {MOST_CELLS} cells are possible: "
            "set a larger cell"
        )
    cells = [each - low for each in cells]
    moves = EIGHT_MOVES if training.diagonal else FOUR_MOVES
    grid = Grid(
        np.ones((rows, columns), bool), moves, [(int(each[-1, 0]), int(each[-1, 1])) for each in cells]
    )
    ways = [_way(grid, each, episode.name, settings) for each, episode in zip(cells, shown, strict=True)]
    used = [place for place, states in enumerate(ways) if len(states) > 1]
    left_out |= {
        shown[place].name: "it stays in one cell, or begins where another one ends"
        for place in range(len(ways))
        if place not in used
    }
    if not used:
        raise ValueError(f"no episode leaves its first cell of {settings.cell:g}; set a smaller cell")
    horizon = max(2 * max(len(ways[place]) for place in used), rows + columns)
    starts = [(int(cells[place][0, 0]), int(cells[place][0, 1])) for place in used]
    mdp = grid.mdp(starts, horizon)
    lengths = np.hypot(*np.array(moves).T) * settings.cell if settings.per_distance else np.ones(len(moves))
    features = np.repeat(lengths[None, :, None], mdp.states, axis=0)
    features[list(grid.ends)] = 0.0
    visited = demonstrated(mdp, [(ways[place], grid.moves_of(ways[place])) for place in used])
    found = fit(
        [Problem(mdp, features, visited)],
        TableReward(mdp.states),
        l2=training.l2,
        iterations=training.iterations,
        progress=progress,
    )
    first, second = (low * settings.cell).tolist()
    placed = replace(settings, low=(first, second), rows=rows, columns=columns)
    names = [shown[place].name for place in used]
    made = cell_reward(contract, grid, found.parameters, placed, version=version, episodes=names, found=found)
    return TabularOutcome(made, found, left_out)


def require_cells(contract: Contract, settings: CellSettings) -> None:
    """Raise ValueError unless `learn_cells` can begin with these settings under the contract."""
    features, own = inputs_of(contract, settings).features_of, CellSettings()
    for name in ("low", "rows", "columns"):
        if getattr(settings, name) != getattr(own, name):
            raise ValueError(
                f"{name} is {getattr(settings, name)}; it is found in the episodes, and cannot be set"
            )
    if max(settings.axes) >= len(features):
        there = ", ".join(f"{place} {name}" for place, name in enumerate(features))
        raise ValueError(f"axes are {list(settings.axes)}; the places of two features are needed: {there}")


def learn_clearance(
    episodes: Sequence[EpisodeArrays],
    contract: Contract,
    settings: ClearanceSettings,
    training: TabularTraining,
    seeds: Mapping[str, int | None],
    *,
    version: str = "",
    progress: Progress = lambda *_: None,
) -> TabularOutcome:
    """Learn what a robot's clearance is worth from episodes of the simulated task `drive`.

    `seeds`: of the episodes' corridors, by name. The recorded commands are driven again in the simulator, which shows
    where the robot was. Raises ValueError when no episode remains, or settings do not fit the contract or the task;
    FloatingPointError as `fit`.
    """
    require_clearance(contract, settings, training)
    shown, failures = _demonstrations(episodes)
    left_out: dict[str, str] = {}
    problems: list[Problem] = []
    used: list[str] = []
    task = task_for(DriveTask.name, contract)
    assert isinstance(task, DriveTask)
    with closing(task):
        for episode in shown:
            seed = seeds.get(episode.name)
            if episode.task != DriveTask.name or seed is None:
                left_out[episode.name] = f"no episode of the simulated task '{DriveTask.name}' from a seed"
                continue
            path_m = _driven_again(task, contract, episode, seed)
            assert task.corridor is not None
            try:
                seen = CorridorMap(task.corridor, limits_m=settings.limits_m)
                mdp = seen.mdp()
                problems.append(Problem(mdp, seen.features, demonstrated(mdp, [seen.episode(path_m)])))
                used.append(episode.name)
            except ValueError as error:
                left_out[episode.name] = f"its commands, driven again: {error}"
    if not problems:
        name, why = next(iter(left_out.items()))
        raise ValueError(f"no episode can be used: {name}: {why}")
    found = fit(problems, l2=training.l2, iterations=training.iterations, progress=progress)
    made = clearance_reward(contract, found, settings, version=version, episodes=used)
    return TabularOutcome(made, found, failures | left_out)


def require_clearance(contract: Contract, settings: ClearanceSettings, training: TabularTraining) -> None:
    """Raise ValueError unless `learn_clearance` can begin with these settings under the contract."""
    require_fitting("clearance", settings, contract)
    if settings.radius_m != ROBOT_RADIUS_M:
        raise ValueError(
            f"radius_m is {settings.radius_m:g}; that of the robot of '{DriveTask.name}' is {ROBOT_RADIUS_M:g}, and it "
            "cannot be set"
        )
    own = TabularTraining()
    for name in ("margin", "diagonal"):
        if getattr(training, name) != getattr(own, name):
            raise ValueError(
                f"{name} is {getattr(training, name)}; it has a meaning with the family cells only: the map of "
                f"'{DriveTask.name}' is known"
            )


def _demonstrations(episodes: Sequence[EpisodeArrays]) -> tuple[list[EpisodeArrays], dict[str, str]]:
    """Return the episodes that did not fail, and why the others are left out; raises ValueError without one."""
    shown = [episode for episode in episodes if episode.outcome != FAILURE]
    if not shown:
        raise ValueError(
            f"{counted(len(episodes), 'episode')}, all failures; at least one demonstration is needed"
        )
    return shown, {episode.name: "a failure" for episode in episodes if episode.outcome == FAILURE}


def _way(grid: Grid, cells: NDArray[np.int64], name: str, settings: CellSettings) -> list[int]:
    """Return the states of an episode on the map; `cells` (T, 2): row and column of each tick."""
    states = grid.walk(grid.state((int(cells[0, 0]), int(cells[0, 1]))), grid.number[tuple(cells.T)].tolist())
    if 1 < len(states) < len(cells) and not settings.per_distance:
        raise ValueError(
            f"{name}: passes {counted(len(states), 'cell')} in {counted(len(cells), 'tick')}, so a step is less than a "
            "move from cell to cell: set per_distance=true"
        )
    return states


def _driven_again(task: DriveTask, contract: Contract, episode: EpisodeArrays, seed: int) -> Vector:
    """Return the places (N, 2) of the robot [m] when an episode's commands are repeated; of a success, to the goal."""
    task.reset(seed)
    path_m = [task.scene.position_m[:2].copy()]
    for command in episode.commands:
        task.step(command_messages(contract, command, task.time_ns))
        path_m.append(task.scene.position_m[:2].copy())
    if (
        task.success and task.corridor is not None
    ):  # at the edge of the end zone, whose cells may begin a little later
        path_m.append(np.asarray(task.corridor.goal.xy))
    return np.array(path_m)
