"""Chunk-to-chunk disagreement, on chunks small enough to do by hand."""

import numpy as np
import pytest

from il_ros.policies.disagreement import chunk_differences, rms, scaled

BEFORE = np.array([[0.0, 0.0], [1.0, 10.0], [2.0, 20.0]])
SCALE = scaled(np.array([1.0, 10.0]))


def disagreement(before, after, ticks, scale):
    apart = chunk_differences(before, after, ticks, scale)
    return None if apart is None else rms(apart)


def test_a_chunk_equal_to_the_prediction_has_no_disagreement():
    after = np.array([[1.0, 10.0], [2.0, 20.0], [9.0, 90.0]])
    assert disagreement(BEFORE, after, 1, SCALE) == 0.0


def test_differences_count_in_units_of_the_scale():
    # two ticks on, one step overlaps: (5 - 2) / 1 = 3 and (60 - 20) / 10 = 4: sqrt((9 + 16) / 2) = 3.5355
    after = np.array([[5.0, 60.0], [0.0, 0.0], [0.0, 0.0]])
    assert disagreement(BEFORE, after, 2, SCALE) == pytest.approx(3.535534, abs=1e-6)


@pytest.mark.parametrize("ticks", [-1, 0, 3, 50])
def test_chunks_without_overlap_give_none(ticks):
    assert disagreement(BEFORE, BEFORE, ticks, SCALE) is None


def test_a_chunk_of_one_step_gives_none():
    assert disagreement(BEFORE[:1], BEFORE[:1], 1, SCALE) is None


def test_a_shorter_chunk_is_compared_as_far_as_it_goes():
    # (3 - 1) / 1 = 2 and 0: sqrt(4 / 2)
    assert disagreement(BEFORE, np.array([[3.0, 10.0]]), 1, SCALE) == pytest.approx(1.414214, abs=1e-6)
