import pytest

from il_ros.control.computing_time import ComputingTime


def measured(*seconds, limit_s=0.01):
    times = ComputingTime(limit_s)
    times.add(*seconds)
    return times.beside


def test_an_unknown_policy_computes_beside_the_streams_until_four_answers_were_fast():
    assert measured()
    assert measured(0.001, 0.001, 0.001)
    assert not measured(0.001, 0.001, 0.001, 0.001)


def test_a_slow_policy_stays_beside_the_streams():
    assert measured(*[0.15] * 20)


def test_one_slow_answer_says_nothing_and_a_second_one_does():
    assert not measured(*[0.001] * 4, 0.15)
    assert not measured(*[0.001] * 4, 0.01, 0.15)  # the limit itself is fast
    assert measured(*[0.001] * 4, 0.15, 0.001, 0.15)


def test_a_policy_that_computes_a_chunk_for_every_eighth_tick_is_slow():
    assert measured(*([0.15] + [0.001] * 7) * 4)


def test_a_policy_is_fast_again_below_half_of_the_limit_only():
    slow = [0.001] * 4 + [0.02, 0.02]
    assert measured(*slow, *[0.006] * 100)
    assert measured(*slow, *[0.004] * 14)  # both slow ones are among the last sixteen
    assert not measured(*slow, *[0.004] * 15)


@pytest.mark.parametrize("limit_s", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_not_positive_is_refused(limit_s):
    with pytest.raises(ValueError, match="limit_s must be above 0"):
        ComputingTime(limit_s)
