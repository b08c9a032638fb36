"""Every kind of episode can be plotted."""

import cv2
import made_episodes as made
import numpy as np
import pytest

from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.plots import plot_episode


def episode(**changes):
    ticks = np.array([0, 1, 2, 7, 8, 9], dtype=np.int64) * made.PERIOD_NS
    values = {
        "name": "episode_000001",
        "observations": {
            "joints": np.random.default_rng(0).normal(size=(6, 3)),
            "camera": np.zeros((6, 6, 8, 3)),
        },
        "commands": np.ones((6, 3)),
        "offsets": np.zeros((6, 3)),
        "ticks_ns": ticks,
        "period_ns": made.PERIOD_NS,
        "authority": ("expert", "expert", "policy", "none", "policy", "policy"),
    }
    return EpisodeArrays(**{**values, **changes})


@pytest.mark.parametrize("changes", [{}, {"authority": ()}])
def test_a_picture_is_written(tmp_path, changes):
    path = tmp_path / "plot.png"
    plot_episode(episode(**changes), made.CONTRACT, path)
    picture = cv2.imread(str(path))
    assert picture.shape[1] > 800
    assert picture.std() > 10  # something is drawn


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        plot_episode(episode(), made.CONTRACT, tmp_path / "nowhere" / "plot.png")
