"""The corridor of the simulated task `drive` as a grid: where the robot fits, how far it is from the walls, its paths.

The map is that of the task, not one that the robot has measured. A state is a cell of the robot's centre; its heading
is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label  # type: ignore[import-untyped]

from il_ros.core.specs import Vector
from il_ros.irl.grid import EIGHT_MOVES, Cell, Grid
from il_ros.irl.mdp import TabularMdp
from il_ros.sim.tasks.corridor import END_ZONE_RADIUS_M, Corridor
from il_ros.sim.tasks.corridor_pieces import ROBOT_RADIUS_M, SIZES_M, places

CELL_M = 0.1
CLEARANCES_M = (0.1, 0.2, 0.3)
_MARGIN_M = 0.5
_HORIZON = 200  # moves; the longest corridor has about 100 cells


class CorridorMap:
    """A corridor as a grid of cells of `cell_m`; an episode begins at the start and ends in the end zone.

    `clearance_m` (H, W): distance of each cell's centre from the nearest piece, less the robot's radius.
    `features` (S, A, 1 + len(limits_m)): the length of a move in metres, and for each c of `limits_m` the length times
    how much the clearance at its end falls short of c, relative to c. A move that leaves the robot where it is has a
    full length; in the end zone all features are 0.
    """

    def __init__(
        self, corridor: Corridor, cell_m: float = CELL_M, limits_m: Sequence[float] = CLEARANCES_M
    ) -> None:
        self.cell_m, self._limits_m = cell_m, tuple(limits_m)
        self._low_m = corridor.line.min(axis=0) - _MARGIN_M - 1.0
        high_m = corridor.line.max(axis=0) + _MARGIN_M + 1.0
        width, height = (int(count) for count in np.ceil((high_m - self._low_m) / cell_m))
        rows, columns = np.mgrid[0:height, 0:width]
        x_m, y_m = self._low_m[0] + (columns + 0.5) * cell_m, self._low_m[1] + (rows + 0.5) * cell_m
        self.clearance_m = _clearance(corridor, x_m, y_m) - ROBOT_RADIUS_M
        self.start = self.cell(corridor.start.xy)
        reachable = _connected(self.clearance_m > 0, self.start)
        zone = np.hypot(x_m - corridor.goal.x_m, y_m - corridor.goal.y_m) < END_ZONE_RADIUS_M
        ends = np.argwhere(reachable & zone)
        if not len(ends):
            raise ValueError(
                f"no path of cells of {cell_m:g} m leads from the corridor's start to its end zone"
            )
        self.grid = Grid(reachable, EIGHT_MOVES, [(int(row), int(column)) for row, column in ends])
        self.features = self._features()

    def mdp(self) -> TabularMdp:
        """Return the process."""
        return self.grid.mdp([self.start], _HORIZON)

    def cell(self, place_m: Vector) -> Cell:
        """Return the cell that holds a place (2,), in metres."""
        column, row = np.floor((np.asarray(place_m) - self._low_m) / self.cell_m).astype(int)
        return int(row), int(column)

    def centre_m(self, state: int) -> Vector:
        """Return the centre (2,) of a state's cell, in metres."""
        row, column = self.grid.cells[state]
        centre_m: Vector = self._low_m + (np.array([column, row]) + 0.5) * self.cell_m
        return centre_m

    def episode(self, path_m: Vector) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the states (N + 1,) and moves (N,) of a driven path (M, 2), which ends in the end zone.

        Where the path touches cells in which the robot does not fit, the nearest cells in which it does are taken.
        Raises ValueError when it does not reach the end zone.
        """
        states = self.grid.walk(self.grid.state(self.start), map(self._nearest, path_m))
        if states[-1] not in self.grid.ends:
            raise ValueError(f"the path ends at {path_m[-1].round(2).tolist()} m, outside of the end zone")
        return np.array(states), np.array(self.grid.moves_of(states))

    def path_m(self, policy: Vector) -> Vector:
        """Return the centres (N, 2) of the cells of the most likely moves of a policy (T, S, A), from the start."""
        states = [self.grid.state(self.start)]
        for probabilities in policy:
            if states[-1] in self.grid.ends:
                break
            states.append(int(self.grid.targets[states[-1], probabilities[states[-1]].argmax()]))
        return np.array([self.centre_m(state) for state in states])

    def _nearest(self, place_m: Vector) -> int:
        row, column = self.cell(place_m)
        height, width = self.grid.free.shape
        if 0 <= row < height and 0 <= column < width and self.grid.free[row, column]:
            return int(self.grid.number[row, column])
        return int(np.hypot(*(self.grid.cells - (row, column)).T).argmin())

    def _features(self) -> Vector:
        lengths_m = np.hypot(*np.array(self.grid.moves).T) * self.cell_m  # (A,)
        clearance_m = self.clearance_m[self.grid.free][self.grid.targets]  # (S, A)
        short = [lengths_m * np.maximum(0.0, 1 - clearance_m / limit_m) for limit_m in self._limits_m]
        features = np.stack([np.broadcast_to(lengths_m, clearance_m.shape), *short], axis=2)
        features[list(self.grid.ends)] = 0.0
        return features


def _clearance(corridor: Corridor, x_m: Vector, y_m: Vector) -> Vector:
    """Return the distance (H, W) of places from the nearest piece of the corridor."""
    nearest = np.full(x_m.shape, np.inf)
    for name, place in places(corridor).items():
        length_m, width_m = SIZES_M[name]
        cos, sin = math.cos(place.yaw_rad), math.sin(place.yaw_rad)
        along, across = x_m - place.x_m, y_m - place.y_m
        along, across = cos * along + sin * across, cos * across - sin * along
        if width_m:
            distance = np.hypot(
                np.maximum(np.abs(along) - length_m / 2, 0.0), np.maximum(np.abs(across) - width_m / 2, 0.0)
            )
        else:
            distance = np.maximum(np.hypot(along, across) - length_m / 2, 0.0)
        nearest = np.minimum(nearest, distance)
    return nearest


def _connected(free: NDArray[np.bool_], start: Cell) -> NDArray[np.bool_]:
    """Return the free cells that the eight moves reach from the start."""
    if not free[start]:
        raise ValueError("the robot does not fit into the cell of its start; use smaller cells")
    parts, _ = label(free, np.ones((3, 3)))  # the eight neighbours are connected
    reached: NDArray[np.bool_] = parts == parts[start]
    return reached
