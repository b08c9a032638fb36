import pytest

from il_ros.control.chunks import step_due

PERIOD = 50_000_000


@pytest.mark.parametrize(
    ("periods", "step"), [(-1.0, 0), (0.0, 0), (0.5, 0), (0.89, 0), (0.91, 1), (1.0, 1), (1.5, 1), (7.0, 7)]
)
def test_a_step_is_due_until_the_next_and_early_ticks_are_tolerated(periods, step):
    assert step_due(1000, 1000 + round(periods * PERIOD), PERIOD) == step
