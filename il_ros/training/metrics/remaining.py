"""How long a training will still take."""

from __future__ import annotations

import math

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
