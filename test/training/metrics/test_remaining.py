"""The time that a training still needs."""

import pytest

from il_ros.training.loop import EpochMetrics
from il_ros.training.metrics.remaining import remaining_s
from il_ros.training.recipe import Training


def after(epoch, seconds, tests_s=0.0):
    return EpochMetrics(epoch, 10 * epoch, 0.5, 0.6, 1e-3, seconds, True, tests_s=tests_s)


@pytest.mark.parametrize(
    ("training", "point", "left_s"),
    [
        (Training(epochs=10), after(4, 8.0), 12.0),  # 2 s an epoch
        (Training(epochs=10), after(10, 20.0), 0.0),
        (Training(epochs=100, seconds=30), after(4, 8.0), 22.0),  # the time limit comes first
        (Training(epochs=10, seconds=500), after(4, 8.0), 12.0),
        (Training(epochs=10, test_every=4), after(3, 6.0), None),
        (Training(epochs=10, test_every=4), after(5, 10.0, 7.0), 10.0 + 2 * 7.0),  # tests after 8 and 10
        (Training(epochs=8, test_every=4), after(4, 8.0, 7.0), 8.0 + 7.0),
        (Training(epochs=8, test_every=4), after(8, 16.0, 14.0), 0.0),
        (
            Training(epochs=100, seconds=20, test_every=4),
            after(4, 8.0, 7.0),
            12.0 + 2 * 7.0,
        ),  # 6 epochs fit: 8, 10
    ],
)
def test_epochs_and_tests_have_paces_of_their_own(training, point, left_s):
    assert remaining_s(training, point) == left_s
