"""Rotations as two columns of a matrix, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.policies.rotations import columns_of, quaternions_of

HALF = np.sqrt(0.5)
BY_HAND = [
    ([0, 0, 0, 1], [1, 0, 0, 0, 1, 0]),
    ([1, 0, 0, 0], [1, 0, 0, 0, -1, 0]),  # half a turn about x
    ([0, 1, 0, 0], [-1, 0, 0, 0, 1, 0]),
    ([0, 0, 1, 0], [-1, 0, 0, 0, -1, 0]),
    ([HALF, 0, 0, HALF], [1, 0, 0, 0, 0, 1]),  # a quarter turn about x: y goes to z
    ([0, HALF, 0, HALF], [0, 0, -1, 0, 1, 0]),  # about y: x goes to -z
    ([0, 0, HALF, HALF], [0, 1, 0, -1, 0, 0]),  # about z: x goes to y, y to -x
]
NUMBERS = st.lists(st.floats(-1, 1), min_size=4, max_size=4).map(np.array)


@pytest.mark.parametrize(("quaternion", "columns"), BY_HAND)
def test_known_rotations(quaternion, columns):
    np.testing.assert_allclose(columns_of(np.array(quaternion, float)), columns, atol=1e-12)
    np.testing.assert_allclose(quaternions_of(np.array(columns, float)), quaternion, atol=1e-12)


@given(NUMBERS.filter(lambda numbers: np.linalg.norm(numbers) > 0.01))
def test_back_and_forth_gives_the_same_rotation(quaternion):
    back = quaternions_of(columns_of(quaternion))
    unit = quaternion / np.linalg.norm(quaternion)
    assert np.linalg.norm(back) == pytest.approx(1)
    assert abs(back @ unit) == pytest.approx(1, abs=1e-9)
    assert back[3] >= 0


@given(NUMBERS)
def test_a_quaternion_and_its_negative_are_bitwise_the_same(quaternion):
    np.testing.assert_array_equal(columns_of(quaternion), columns_of(-quaternion))


def test_columns_that_are_not_quite_a_rotation_become_the_nearest_one():
    rough = np.array([[2.0, 0, 0, 0.3, 0.5, 0], [0.9, 0, 0, 0, 0, 1.1]])
    np.testing.assert_allclose(quaternions_of(rough), [[0, 0, 0, 1], [HALF, 0, 0, HALF]], atol=1e-12)


@pytest.mark.parametrize("columns", [[0, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0], [1, 0, 0, 2, 0, 0]])
def test_columns_without_a_rotation_are_an_error(columns):
    with pytest.raises(ValueError, match="the columns of a rotation are 0 or parallel"):
        quaternions_of(np.array(columns, float))


def test_shapes_are_kept():
    assert quaternions_of(columns_of(np.ones((2, 3, 4)))).shape == (2, 3, 4)
