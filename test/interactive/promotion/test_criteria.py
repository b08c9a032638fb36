"""The promotion criteria, with hand-made numbers."""

import made_arrays as made
import numpy as np
import pytest

from il_ros.interactive.promotion import criteria
from il_ros.interactive.promotion.criteria import PromotionLimits
from il_ros.policies.disagreement import scaled

LIMITS = PromotionLimits(tolerance=0.2, slack=0.02, latency=0.5, disagreement=1.0)


@pytest.mark.parametrize(
    ("judge", "driving", "most"),
    [
        (criteria.judge_held_out, 0.1, 0.12),  # by the share
        (criteria.judge_held_out, 0.001, 0.021),  # by the slack, which is larger
        (criteria.judge_new, 0.1, 0.12),  # by the slack: 0.1 + 0.02
        (criteria.judge_new, 0.5, 0.52),  # where a share of 0.2 would allow 0.6
    ],
)
def test_an_error_up_to_the_limit_passes_and_a_larger_one_is_refused_with_the_figures(judge, driving, most):
    assert judge(most, driving, LIMITS) == ""
    why = judge(most + 0.0001, driving, LIMITS)
    assert f"{most + 0.0001:.4f}, the driving policy's {driving:.4f}" in why
    assert f"the limit is {most:.4f}" in why


@pytest.mark.parametrize("judge", [criteria.judge_held_out, criteria.judge_new])
@pytest.mark.parametrize("error", [float("nan"), float("inf")])
@pytest.mark.parametrize("driving", [None, 0.1, float("inf")])
def test_an_error_that_is_not_finite_never_passes(judge, error, driving):
    assert f"is {error}" in judge(error, driving, LIMITS)


def test_the_first_policy_is_not_compared():
    assert criteria.judge_held_out(5.0, None, LIMITS) == ""


def test_the_p99_of_the_computing_time_must_be_within_its_share_of_the_tick():
    fast = [0.001] * 100
    assert criteria.judge_latency(fast, 0.05, LIMITS) == (pytest.approx(0.001), "")
    p99_s, why = criteria.judge_latency([0.001] * 90 + [0.03] * 10, 0.05, LIMITS)
    assert p99_s == pytest.approx(0.03)
    assert "30.0 ms" in why
    assert "25.0 ms" in why


def test_a_chunk_must_last_for_twice_the_computing_time_if_that_is_longer_than_a_tick():
    slow = [0.15] * 100
    limits = PromotionLimits(latency=4.0)  # 0.2 s
    assert criteria.judge_latency(slow, 0.05, limits, horizon=6) == (0.15, "")  # 0.3 s
    _, why = criteria.judge_latency(slow, 0.05, limits, horizon=5)
    assert "its chunk of 5 steps lasts for 250.0 ms, less than twice as long" in why
    assert criteria.judge_latency([0.05] * 100, 0.05, limits, horizon=1) == (0.05, "")


def test_in_shadow_the_mean_difference_is_limited():
    assert criteria.judge_shadow([0.5, 1.5], LIMITS) == ""
    assert "1.25" in criteria.judge_shadow([1.0, 1.5], LIMITS)
    assert criteria.judge_shadow([], LIMITS) == ""


def test_differences_are_in_normalised_actions_of_the_first_step():
    """(2 / 2, 0 / 4): the mean of 1 and 0."""
    apart = criteria.difference(
        np.array([[2.0, 0.0], [9, 9]]), np.array([[0.0, 0.0], [0, 0]]), scaled(np.array([2.0, 4.0]))
    )
    assert apart == pytest.approx(0.5)


def test_the_replay_error_and_the_frames_spread_over_the_episodes():
    episodes = [made.episode(0, frames=4), made.episode(1, frames=6)]
    replay = list(criteria.frames(episodes, 5))
    assert len(replay) == 5
    last = episodes[-1]
    np.testing.assert_array_equal(replay[-1][1], last.commands[-1])
    wrong_by_one = iter([wanted + 1.0 for _, wanted in replay])
    apart = scaled(np.full(last.commands.shape[1], 2.0))
    assert criteria.replay_error(lambda _: next(wrong_by_one)[None], replay, apart) == pytest.approx(0.5)
    assert len(list(criteria.frames(episodes, 1000))) == 10
