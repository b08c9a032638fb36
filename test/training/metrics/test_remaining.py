"""The time that a training still needs."""

import pytest

from il_ros.training.loop import EpochMetrics
from il_ros.training.metrics.remaining import remaining_of_all_s, remaining_s
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


@pytest.mark.parametrize(
    ("passed_s", "left_s", "took_s", "waiting", "left_of_all_s"),
    [
        ([10.0, 10.0], [30.0, 20.0], [], 0, 30.0),  # the longer one
        (
            [10.0, 10.0],
            [30.0, 20.0],
            [],
            1,
            (30.0 + 20.0 + 35.0) / 2,
        ),  # the third takes the mean of 40 and 30
        ([20.0], [20.0], [20.0], 2, (20.0 + 2 * 30.0) / 2),
        ([], [], [20.0, 40.0], 0, 0.0),
        ([], [], [], 3, 0.0),  # nothing is known
    ],
)
def test_trainings_side_by_side_share_what_is_left(passed_s, left_s, took_s, waiting, left_of_all_s):
    assert remaining_of_all_s(passed_s, left_s, took_s, waiting, at_once=2) == left_of_all_s
