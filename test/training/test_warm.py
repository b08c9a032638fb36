"""How many epochs a training that begins with earlier weights can afford."""

import pytest

from il_ros.training.warm import affordable

BEFORE = {"epochs": 100, "duration_s": 50.0, "frames": 1000}  # half a second for an epoch of 1000 frames


@pytest.mark.parametrize(
    ("seconds", "frames", "epochs"),
    [
        (40.0, 1000, 40),  # 80 would fit
        (10.0, 1000, 20),
        (10.0, 2000, 10),  # twice the frames, half the epochs
        (0.1, 1000, 3),  # fewer teach nothing
    ],
)
def test_as_many_as_fit_by_what_the_training_before_took(seconds, frames, epochs):
    assert affordable(40, seconds, frames, BEFORE) == epochs


@pytest.mark.parametrize("missing", ["epochs", "duration_s", "frames"])
def test_all_when_nothing_is_known(missing):
    assert affordable(40, 0.1, 1000, {**BEFORE, missing: 0}) == 40
    assert affordable(40, 0.1, 1000, {key: BEFORE[key] for key in BEFORE if key != missing}) == 40
