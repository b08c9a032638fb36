"""How long a training will still take, and several side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from il_ros.training.loop import EpochMetrics
from il_ros.training.recipe import Training


def remaining_s(training: Training, point: EpochMetrics) -> float | None:
    """Return the seconds that a training needs after an epoch, at the mean pace so far; None while that is unknown.

    Epochs and tests in the simulator have paces of their own; that of tests is unknown before the first one. A training
    may end earlier, for lack of `patience`.
    """
    epoch_s, left = point.seconds / point.epoch, float(training.epochs - point.epoch)
    if training.seconds and epoch_s > 0:
        left = min(left, max(0.0, training.seconds - point.seconds) / epoch_s)
    tests_s = 0.0
    if training.test_every and left > 0:
        done = point.epoch // training.test_every
        if not done:
            return None
        coming = (
            math.ceil((point.epoch + left) / training.test_every) - done
        )  # the last epoch is always tested
        tests_s = coming * point.tests_s / done
    return left * epoch_s + tests_s


def remaining_of_all_s(
    passed_s: Sequence[float], left_s: Sequence[float], took_s: Sequence[float], waiting: int, at_once: int
) -> float:
    """Return the seconds until several trainings are done, `at_once` of them at a time.

    `passed_s`, `left_s`: since each of those that run began, and until it is done. `took_s`: of those that are done.
    `waiting`: how many have not begun; each will take the mean of the others. What is left is shared out evenly, and
    the end is not before that of any training that runs.
    """
    whole_s = [*took_s, *(passed + left for passed, left in zip(passed_s, left_s, strict=True))]
    coming_s = waiting * sum(whole_s) / len(whole_s) if whole_s else 0.0
    return max([(sum(left_s) + coming_s) / at_once, *left_s])
