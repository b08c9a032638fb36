"""Every kind of episode can be plotted."""

import cv2
import made_episodes as made
import numpy as np
import pytest

from il_ros.core import contract
from il_ros.episodes import plots
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.plots import broken, plot_episode


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


def test_a_line_is_broken_at_the_end_of_a_turn_and_nowhere_else():
    times = np.arange(5.0)
    angles = np.array(
        [2.0, 3.1, -3.1, -2.0, 1.0]
    )  # over +pi by 0.08 rad, then 3 rad back: less than half a turn
    shown_s, shown = broken(times, angles, 2 * np.pi)
    np.testing.assert_array_equal(shown_s, [0, 1, 2, 2, 3, 4])
    np.testing.assert_array_equal(shown, [2.0, 3.1, np.nan, -3.1, -2.0, 1.0])
    assert broken(times, angles, 0.0)[1] is angles


TURNING = contract.parse(
    made.TEXT.replace(
        "limits: {lower: -1000, upper: 1000, speed: 1000}", "continuous: [a], limits: {speed: 5}"
    ),
    "turning.yaml",
)


@pytest.fixture
def drawn(monkeypatch):
    """Return the figures that are saved."""
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path, **_: figures.append(figure))
    return figures


def lines_of(figure, label):
    (panel,) = [axes for axes in figure.axes if axes.get_ylabel() == label]
    return [line.get_ydata() for line in panel.lines if len(line.get_ydata()) > 2]


def test_the_lines_of_a_continuous_joint_are_broken_where_it_turns_over(tmp_path, drawn):
    angles = np.array([3.0, 3.1, -3.1, 0.0, 0.1, 0.2])
    values = np.stack([angles, angles, np.zeros(6)], axis=1)
    shown = episode(observations={"joints": values, "camera": np.zeros((6, 6, 8, 3))}, commands=values)
    plot_episode(shown, TURNING, tmp_path / "plot.png")
    over = [3.0, 3.1, np.nan, -3.1]
    measured, commanded = lines_of(drawn[0], "a")[0:2]
    np.testing.assert_array_equal(measured, over)
    np.testing.assert_array_equal(commanded, over)
    assert not np.isnan(np.concatenate(lines_of(drawn[0], "b"))).any()  # it has ends


def test_a_joint_that_rests_at_the_end_of_its_turn_does_not_move(tmp_path, drawn):
    angles = np.array([3.14159, -3.14159] * 3)
    values = np.stack([angles, angles, np.zeros(6)], axis=1)
    shown = episode(observations={"joints": values, "camera": np.zeros((6, 6, 8, 3))}, commands=values)
    plot_episode(shown, TURNING, tmp_path / "plot.png")
    assert "not moving: a" in drawn[0].get_suptitle()
