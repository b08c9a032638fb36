"""Processes on a grid of cells: gridworlds, and maps of a mobile robot's surroundings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from il_ros.core.specs import Vector
from il_ros.core.tables import counted
from il_ros.irl.mdp import TabularMdp

Cell = tuple[int, int]
"""Row and column."""

FOUR_MOVES: tuple[Cell, ...] = ((0, 1), (0, -1), (1, 0), (-1, 0))
EIGHT_MOVES: tuple[Cell, ...] = (*FOUR_MOVES, (1, 1), (1, -1), (-1, 1), (-1, -1))


class Grid:
    """The free cells of a map, numbered row by row, and the moves between them.

    `free` (H, W): where the agent may be. A move into another cell leaves the agent where it is. No move leaves a cell
    of `ends`. With the probability `slip`, the move is replaced by one drawn from all moves.
    Raises ValueError when there is no free cell, an end is not free, or slip is outside 0..1.
    """

    def __init__(
        self,
        free: NDArray[np.bool_],
        moves: Sequence[Cell] = FOUR_MOVES,
        ends: Iterable[Cell] = (),
        slip: float = 0.0,
    ) -> None:
        if free.ndim != 2 or not free.any():
            raise ValueError(
                f"free has shape {free.shape}, True in {counted(int(free.sum()), 'cell')}; it must be a map (H, W)"
            )
        if not 0 <= slip <= 1:
            raise ValueError(f"slip is {slip:g}; it must be within 0..1")
        self.free, self.moves, self.slip = free, tuple(moves), slip
        self.cells = np.argwhere(free)
        """(S, 2): row and column of each state."""
        self.number = np.full(free.shape, -1)
        self.number[free] = np.arange(len(self.cells))
        self.ends = frozenset(self.state(cell) for cell in ends)
        self.targets = self._targets()
        """(S, A): where each move leads."""

    def state(self, cell: Cell) -> int:
        """Return the number of a free cell; raises ValueError on any other."""
        row, column = cell
        height, width = self.free.shape
        if not (0 <= row < height and 0 <= column < width and self.free[row, column]):
            raise ValueError(f"cell ({row}, {column}) is not a free cell of this map of {height} x {width}")
        return int(self.number[row, column])

    def mdp(self, starts: Iterable[Cell], horizon: int, discount: float = 1.0) -> TabularMdp:
        """Return the process; an episode begins in each of the `starts` with the same probability."""
        chosen = [self.state(cell) for cell in starts]
        if not chosen:
            raise ValueError("starts has no cell; one or more are needed")
        start = np.zeros(len(self.cells))
        np.add.at(start, chosen, 1 / len(chosen))
        count, moves = self.targets.shape
        row = np.arange(count * moves)
        certain = csr_array(
            (np.full(len(row), 1 - self.slip), (row, self.targets.ravel())), (len(row), count)
        )
        slipped = np.repeat(self.targets, moves, axis=0).ravel()  # row by row: all moves of its state
        drawn = csr_array(
            (np.full(len(slipped), self.slip / moves), (np.repeat(row, moves), slipped)), (len(row), count)
        )
        transitions = csr_array(certain + drawn if self.slip else certain)
        transitions.sum_duplicates()
        return TabularMdp(transitions, start, horizon, discount)

    def on_map(self, values: Vector) -> Vector:
        """Return values of states (S,) as a map (H, W); NaN outside of the free cells."""
        found = np.full(self.free.shape, np.nan)
        found[self.free] = values
        return found

    def move(self, state: int, after: int) -> int:
        """Return the number of the move that leads from one state to another; raises ValueError without one."""
        found = np.flatnonzero(self.targets[state] == after)
        if not found.size:
            cells = (tuple(self.cells[number].tolist()) for number in (state, after))
            raise ValueError("no move leads from cell {} to {}".format(*cells))
        return int(found[0])

    def walk(self, start: int, places: Iterable[int]) -> list[int]:
        """Return the states (N + 1,) of a way from `start` through other states, move by move, until an end.

        A place that is where the way is already takes no move. Raises ValueError when no move leads nearer to a place.
        """
        states = [start]
        for target in places:
            while states[-1] != target and states[-1] not in self.ends:
                states.append(self._towards(states[-1], target))
        return states

    def moves_of(self, states: Sequence[int]) -> list[int]:
        """Return the moves (N,) between successive states (N + 1,); raises ValueError as `move`."""
        return [self.move(before, after) for before, after in pairwise(states)]

    def _towards(self, state: int, target: int) -> int:
        """Return the neighbour that is nearest to the target; raises ValueError when none is nearer."""
        wanted, after = self.cells[target], self.targets[state]
        distances = np.hypot(*(self.cells[after] - wanted).T)
        if distances.min() >= math.hypot(*(self.cells[state] - wanted)):
            cells = (tuple(self.cells[number].tolist()) for number in (state, target))
            raise ValueError(
                "the way leaves the free cells: no move from cell {} leads nearer to {}".format(*cells)
            )
        return int(after[distances.argmin()])

    def _targets(self) -> NDArray[np.int64]:
        height, width = self.free.shape
        targets = np.empty((len(self.cells), len(self.moves)), np.int64)
        own = np.arange(len(self.cells))
        for index, move in enumerate(self.moves):
            rows, columns = (self.cells + move).T
            inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
            numbers = np.where(inside, self.number[rows.clip(0, height - 1), columns.clip(0, width - 1)], -1)
            targets[:, index] = np.where(numbers >= 0, numbers, own)
        for end in self.ends:
            targets[end] = end
        return targets
