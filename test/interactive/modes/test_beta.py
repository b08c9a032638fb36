"""Beta schedules have the paper's values, and draws have the frequency beta."""

import numpy as np
import pytest

from il_ros.interactive.modes.beta import BetaSchedule, Mixer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant:0.3", [0.3, 0.3, 0.3]),
        ("linear:4", [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]),
        ("exponential:0.85", [1.0, 0.85, 0.7225, 0.614125]),
        ("exponential:0", [1.0, 0.0]),
        ("step:1", [1.0, 0.0, 0.0]),
        ("step:2", [1.0, 1.0, 0.0]),
    ],
)
def test_schedules_by_hand(text, expected):
    schedule = BetaSchedule(text)
    np.testing.assert_allclose([schedule(i) for i in range(len(expected))], expected)


@pytest.mark.parametrize(
    "text",
    [
        *("", "cosine:1", "constant", "constant:2", "linear:0", "step:1.5", "exponential:-1", "step:-1"),
        *("constant:nan", "linear:nan", "linear:inf", "exponential:nan", "step:nan", "step:inf"),
    ],
)
def test_an_invalid_schedule_is_refused_with_its_text(text):
    with pytest.raises(ValueError, match=f"beta schedule '{text}'"):
        BetaSchedule(text)


def test_a_round_before_the_first_is_refused():
    with pytest.raises(ValueError, match="rounds count from 0"):
        BetaSchedule("step:1")(-1)


def test_frequency_of_expert_steps_is_within_binomial_bounds():
    mixer = Mixer("step", 1, np.random.default_rng(0))
    count = sum(mixer.expert_drives(0.3) for _ in range(10_000))
    # binomial(10000, 0.3): mean 3000, standard deviation 45.8; bounds of 4 standard deviations
    assert 2817 <= count <= 3183


@pytest.mark.parametrize(("beta", "expected"), [(1.0, True), (0.0, False)])
def test_beta_0_and_1_always_draw_the_same_source(beta, expected):
    mixer = Mixer("step", 1, np.random.default_rng(1))
    assert all(mixer.expert_drives(beta) is expected for _ in range(1000))


def test_a_segment_or_an_episode_has_one_driver():
    mixer = Mixer("segment", 5, np.random.default_rng(2))
    drawn = np.array([mixer.expert_drives(0.5) for _ in range(500)]).reshape(100, 5)
    assert (drawn == drawn[:, :1]).all()
    assert 25 < drawn[:, 0].sum() < 75
    mixer = Mixer("episode", 1, np.random.default_rng(3))
    episodes = []
    for _ in range(40):
        mixer.restart()
        episodes.append({mixer.expert_drives(0.5) for _ in range(30)})
    assert all(len(drivers) == 1 for drivers in episodes)
    assert {True} in episodes
    assert {False} in episodes


def test_invalid_units_are_refused():
    with pytest.raises(ValueError, match="one of: step, segment, episode"):
        Mixer("hour", 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="1 step or more"):
        Mixer("segment", 0, np.random.default_rng(0))
