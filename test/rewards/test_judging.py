"""What models say of a running episode: when its success is sure, and when nothing goes on."""

from dataclasses import replace

import hand_rewards
import numpy as np
import pytest
from hand_rewards import CONTRACT, PERIOD_NS

from il_ros.rewards.judging import EpisodeJudge


def judge(success=None, progressing=None, **options):
    return EpisodeJudge(CONTRACT, success, progressing, **options)


def ratings(made, places, begin="episode_000001"):
    made.begin(begin)
    return [
        made.see((tick + 1) * PERIOD_NS, {"joints": np.array([place])}) for tick, place in enumerate(places)
    ]


def test_a_success_is_sure_when_its_probability_was_high_for_long_enough():
    model = hand_rewards.success(CONTRACT, hold_s=0.1)  # two ticks; p(2) = 0.88, p(2.3) = 0.91
    found = ratings(judge(model, end_at=0.9), [-3.0, 2.0, 2.0, 2.3, 2.0, 2.3, 2.3])
    assert [rating.ends for rating in found] == [False] * 6 + [True]
    assert found[1].probability == pytest.approx(1 / (1 + np.exp(-2.0)), abs=1e-6)
    assert found[1].words() == "success-by-hand, p = 0.88"
    assert {rating.episode for rating in found} == {"episode_000001"}
    # by default, and where it is above end_at, the threshold of the model counts; p(-0.1) = 0.48, p(0.1) = 0.52
    assert [each.ends for each in ratings(judge(model), [-3.0, 0.1, -0.1, 0.1, 0.1])] == [False] * 4 + [True]
    stricter = hand_rewards.success(CONTRACT, hold_s=0.1, threshold=0.95)
    assert not any(rating.ends for rating in ratings(judge(stricter), [-3.0, 2.3, 2.3, 2.3]))
    assert ratings(judge(stricter), [-3.0, 3.0, 3.0])[-1].ends


def test_a_success_that_is_there_at_the_beginning_counts_once_it_was_gone():
    made = judge(hand_rewards.success(CONTRACT, hold_s=0.1))
    assert [each.ends for each in ratings(made, [3.0, 3.0, 3.0, -1.0, 3.0, 3.0])] == [False] * 5 + [True]
    assert not any(each.ends for each in ratings(made, [3.0] * 4, begin="episode_000002"))


def test_with_end_at_0_the_probability_is_said_and_nothing_ends():
    found = ratings(judge(hand_rewards.success(CONTRACT), end_at=0.0), [-3.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0])
    assert found[-1].probability > 0.99
    assert not any(rating.ends for rating in found)


def test_an_episode_without_progress_is_told_by_the_longest_time_of_a_success():
    """0.2 s are four ticks; sigmoid rises from 0.27 to 0.5 at the sixth tick, and to 0.95, the end, at the last."""
    made = judge(progressing=hand_rewards.progress(CONTRACT, stall_s=0.2))
    found = ratings(made, [-1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 0.0, 0.05, 0.05, 3.0, 3.0, 3.0])
    expected = [0, 0.25, 0.5, 0.75, 1.0, 1.25, 0, 0.25, 0.5, 0, 0, 0]
    assert [rating.stalled for rating in found] == pytest.approx(expected)
    assert found[5].why == "no progress for 0.2 s at 27 %; successes had at most 0.2 s"
    assert found[5].success == ""
    assert found[5].probability is None
    assert ratings(made, [-1.0])[0].stalled == 0  # a new episode


def test_models_of_another_family_are_refused():
    success, progress = hand_rewards.success(CONTRACT), hand_rewards.progress(CONTRACT, stall_s=1.0)
    for given, message in (
        ((None, None), "success and progress are both empty"),
        ((progress, None), "of the family progress; only a success model says when"),
        ((None, success), "of the family success; only a progress model says that nothing goes on"),
        ((None, replace(progress, settings=replace(progress.settings, stall_s=0.0))), "train it again"),
    ):
        with pytest.raises(ValueError, match=message):
            judge(*given)
    with pytest.raises(ValueError, match="end_at is 1; it must be 0"):
        judge(success, end_at=1.0)
