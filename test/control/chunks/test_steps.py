import numpy as np
import pytest

from il_ros.control.chunks.steps import step_due, steps_left

PERIOD = 50_000_000


@pytest.mark.parametrize(
    ("periods", "step"), [(-1.0, 0), (0.0, 0), (0.5, 0), (0.89, 0), (0.91, 1), (1.0, 1), (1.5, 1), (7.0, 7)]
)
def test_a_step_is_due_until_the_next_and_early_ticks_are_tolerated(periods, step):
    assert step_due(1000, 1000 + round(periods * PERIOD), PERIOD) == step


@pytest.mark.parametrize(
    ("periods", "first"), [(-0.4, 0), (0.0, 0), (0.4, 0), (0.6, 1), (1.0, 1), (1.4, 1), (3.0, 3)]
)
def test_the_steps_that_have_passed_at_a_tick_are_left_out(periods, first):
    chunk = np.arange(10.0).reshape(5, 2)
    left = steps_left(chunk, 1000, 1000 + round(periods * PERIOD), PERIOD)
    assert left.tolist() == chunk[first:].tolist()


def test_of_a_chunk_in_the_past_nothing_is_left():
    assert steps_left(np.zeros((5, 2)), 1000, 1000 + 5 * PERIOD, PERIOD).shape == (0, 2)
