"""Grids of cells as processes, against a map of two rows worked out by hand."""

import numpy as np
import pytest

from il_ros.irl.grid import EIGHT_MOVES, Grid

FREE = np.array([[True, True, False], [True, True, True]])  # states 0 1 . / 2 3 4


def test_moves_lead_to_free_cells_or_nowhere():
    grid = Grid(FREE)  # right, left, down, up
    assert grid.targets.tolist() == [[1, 0, 2, 0], [1, 0, 3, 1], [3, 2, 2, 0], [4, 2, 3, 1], [4, 3, 4, 4]]
    assert grid.move(3, 1) == 3
    with pytest.raises(ValueError, match=r"no move leads from cell \(0, 0\) to \(1, 1\)"):
        grid.move(0, 3)
    assert Grid(FREE, EIGHT_MOVES).targets[0, 4] == 3


def test_no_move_leaves_an_end():
    grid = Grid(FREE, ends=[(1, 2)], slip=0.4)
    mdp = grid.mdp([(0, 0)], horizon=5)
    assert grid.targets[4].tolist() == [4, 4, 4, 4]
    assert mdp.absorbing.tolist() == [False, False, False, False, True]


def test_a_slip_is_any_move_with_the_same_probability():
    mdp = Grid(FREE, slip=0.4).mdp([(0, 0), (1, 2)], horizon=5)
    # from state 0, "right": 0.6 right; of 0.4, a quarter each right (1), left (stays), down (2), up (stays)
    assert [mdp.probability(0, 0, after) for after in range(5)] == pytest.approx([0.2, 0.7, 0.1, 0.0, 0.0])
    assert mdp.start.tolist() == [0.5, 0.0, 0.0, 0.0, 0.5]


def test_values_lie_on_the_map():
    values = Grid(FREE).on_map(np.arange(5.0))
    np.testing.assert_array_equal(values, [[0, 1, np.nan], [2, 3, 4]])


@pytest.mark.parametrize("cell", [(0, 2), (2, 0), (-1, 0)])
def test_a_cell_that_is_not_free_is_refused(cell):
    with pytest.raises(ValueError, match="is not a free cell of this map of 2 x 3"):
        Grid(FREE).state(cell)
