"""EpisodeArrays rejects inconsistent arrays and splits frames at gaps."""

import numpy as np
import pytest

from il_ros.episodes.arrays.episode import EpisodeArrays

MS = 1_000_000


def arrays(ticks_ms=(0, 50, 100), **changes):
    frames = len(ticks_ms)
    values = {
        "name": "episode_000001",
        "observations": {"joints": np.zeros((frames, 3))},
        "commands": np.full((frames, 2), 5.0),
        "offsets": np.full((frames, 2), 2.0),
        "ticks_ns": np.array(ticks_ms, dtype=np.int64) * MS,
        "period_ns": 50 * MS,
    }
    return EpisodeArrays(**{**values, **changes})


def test_actions_are_commands_minus_offsets_and_read_only():
    episode = arrays()
    np.testing.assert_array_equal(episode.actions, np.full((3, 2), 3.0))
    with pytest.raises(ValueError, match="read-only"):
        episode.actions[0] = 0


def test_a_run_allows_one_and_a_half_periods_between_ticks():
    assert arrays((0, 50, 125, 175)).runs == (slice(0, 4),)
    assert arrays((0, 50, 126, 176)).runs == (slice(0, 2), slice(2, 4))


def test_one_frame_is_one_run():
    assert arrays((7,)).runs == (slice(0, 1),)


def test_length_and_duration():
    assert len(arrays()) == 3
    assert arrays().duration_s == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observations": {"joints": np.zeros((2, 3))}}, "joints has 2 frames for 3 ticks"),
        ({"commands": np.zeros((3, 3))}, r"commands \(3, 3\) and offsets \(3, 2\) must be"),
        ({"authority": ("expert",)}, "authority has 1 frame for"),
        ({"ticks_ns": np.array([0, 2, 2])}, "must be strictly increasing"),
        ({"ticks_ns": np.array([], dtype=np.int64)}, "has no frames"),
        ({"period_ns": 0}, "period_ns must be positive"),
    ],
)
def test_inconsistent_arrays_are_rejected(changes, message):
    with pytest.raises(ValueError, match=message):
        arrays(**changes)
