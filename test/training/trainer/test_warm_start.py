"""Replay plans of warm-started trainings within a time limit."""

import made_arrays as made
import numpy as np
import pytest

from il_ros.training.recipe import Training
from il_ros.training.trainer.warm_start import affordable, replayed

BEFORE = {  # 32 frames a second
    "steps": 10,
    "duration_s": 10.0,
    "training": {"batch_size": 32},
    "data": {"train": [f"episode_{number:06d}" for number in range(7)]},
}
EPISODES = [made.episode(number) for number in range(8)]  # of 30 frames; the last one is new


def all_of(episodes):
    """All frames of the episodes."""
    return [np.ones(len(episode), dtype=bool) for episode in episodes]


def training(**changes):
    return Training(**{"epochs": 4, "seconds": 10.0, "batch_size": 8, **changes})


def test_affordable_frames_follow_from_the_speed_of_the_earlier_training():
    assert affordable(BEFORE, 10.0) == 320


@pytest.mark.parametrize("missing", ["steps", "duration_s"])
def test_affordable_is_none_without_the_earlier_speed(missing):
    assert affordable({**BEFORE, missing: 0}, 10.0) is None
    assert affordable({key: BEFORE[key] for key in BEFORE if key != missing}, 10.0) is None


@pytest.mark.parametrize("seconds", [0.0, 30.0], ids=["any time", "960 frames"])
def test_all_frames_are_used_when_there_is_time(seconds):
    wanted = training(seconds=seconds)
    assert replayed(EPISODES, BEFORE, wanted, all_of(EPISODES)) == (wanted, None)


@pytest.mark.parametrize(
    ("seconds", "old", "epochs"),
    [
        (20.0, 130, 4),  # 640 frames: 160 an epoch, of which 30 are new
        (12.5, 90, 3),  # 400 frames: three old ones to each new one, and fewer epochs
        (1.0, 90, 3),  # fewer teach nothing: the clock ends it
    ],
)
def test_otherwise_all_new_and_some_old_frames_are_used(seconds, old, epochs):
    now, replay = replayed(EPISODES, BEFORE, training(seconds=seconds), all_of(EPISODES))
    assert (now.epochs, replay.old, replay.per_epoch) == (epochs, old, 30 + old)
    np.testing.assert_array_equal(replay.new, [False] * 210 + [True] * 30)


def test_without_new_frames_old_ones_are_replayed():
    now, replay = replayed(EPISODES[:7], BEFORE, training(seconds=1.0), all_of(EPISODES[:7]))
    assert (now.epochs, replay.per_epoch) == (4, 8)


def test_it_validates_ten_times_about():
    now, _ = replayed(EPISODES, BEFORE, training(seconds=100.0, epochs=40), all_of(EPISODES))
    assert (now.epochs, now.validate_every) == (26, 2)
