"""Selection of ticks from the stamps of a trigger stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.records.ticks import Ticks, TriggerStamps

MS = 1_000_000


def chosen(stamps_ms, period_ms):
    ticks = Ticks(period_ms * MS)
    return [stamp for stamp in stamps_ms if ticks.starts(stamp * MS)]


def test_at_the_control_rate_every_message_is_a_tick():
    assert chosen([100, 150, 200, 250], 50) == [100, 150, 200, 250]


def test_jitter_of_a_third_of_a_period_loses_no_tick():
    stamps = [100, 134, 200, 266, 300, 334, 400]
    assert chosen(stamps, 50) == stamps


def test_at_ten_times_the_control_rate_every_tenth_message_is_a_tick():
    assert chosen(range(100, 260, 5), 50) == [100, 150, 200, 250]


def test_at_other_rates_the_message_nearest_to_the_grid_is_the_tick():
    # a grid of 50 from 100 on; messages every 20: 100, 140 or 160 (for 150), 200, ...
    assert chosen(range(100, 320, 20), 50) == [100, 140, 200, 240, 300]


def test_after_a_gap_the_grid_restarts():
    assert chosen([100, 150, 487, 537], 50) == [100, 150, 487, 537]


def test_the_same_stamp_twice_is_one_tick():
    assert chosen([100, 100, 150, 150], 50) == [100, 150]


def test_a_clock_that_is_set_back_restarts_the_grid():
    assert chosen([5000, 5050, 100, 150], 50) == [5000, 5050, 100, 150]


def test_a_late_message_is_not_a_tick_and_keeps_the_grid():
    assert chosen([1000, 1050, 1020, 1100, 1150], 50) == [1000, 1050, 1100, 1150]


def test_a_period_of_zero_is_rejected():
    with pytest.raises(ValueError, match="period_ns must be positive"):
        Ticks(0)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=200))
def test_there_are_never_more_ticks_than_the_rate_allows(intervals_ms):
    stamps, now = [], 1000
    for interval in intervals_ms:
        now += interval
        stamps.append(now)
    ticks = chosen(stamps, 50)
    span_ms = stamps[-1] - stamps[0]
    # each restart of the grid follows a gap longer than a period
    assert len(ticks) <= span_ms / 50 + 1.5
    assert ticks[0] == stamps[0]


def accepted(messages_ms):
    """Return the places of the accepted messages, given as (stamp, arrival) in ms."""
    stamps = TriggerStamps()
    return [
        i
        for i, (stamp, at) in enumerate(messages_ms)
        if not stamps.refusal(round(stamp * MS), round(at * MS))
    ]


def punctual(*stamps_ms):
    return [(stamp, stamp) for stamp in stamps_ms]


@pytest.mark.parametrize("wrong_ms", [1e-6, 5_000, 7_600_000])
def test_one_wrong_stamp_is_refused_and_its_neighbours_are_not(wrong_ms):
    assert accepted([*punctual(9000, 9050), (wrong_ms, 9100), *punctual(9150, 9200)]) == [0, 1, 3, 4]


def test_the_refusal_says_how_far_the_stamp_is_off():
    stamps = TriggerStamps()
    assert stamps.refusal(9_000 * MS, 9_001 * MS) == ""
    assert stamps.refusal(1, 9_051 * MS) == "stamped 9.000 s before the one before it"
    assert stamps.refusal(19_101 * MS, 9_101 * MS) == "stamped 10.000 s after it arrived"
    assert stamps.refused == 2


def test_a_clock_that_was_set_back_with_the_nodes_clock_is_followed_at_once():
    assert accepted(punctual(9000, 9050, 100, 150)) == [0, 1, 2, 3]


@pytest.mark.parametrize("set_to_ms", [2000, 60_000])
def test_a_drivers_clock_that_was_set_is_followed_from_the_third_message_on(set_to_ms):
    later = [(set_to_ms + 50 * i, 9100 + 50 * i) for i in range(5)]
    assert accepted([*punctual(9000, 9050), *later]) == [0, 1, 4, 5, 6]


def test_wrong_stamps_that_contradict_each_other_are_never_followed():
    wrong = [(1e-6, 9100), (70_000, 9150), (3000, 9200), (900_000, 9250), (5000, 9300)]
    assert accepted([*punctual(9000, 9050), *wrong, (9350, 9350)]) == [0, 1, 7]


def test_a_second_source_of_another_time_is_refused_for_ever():
    both = [
        each for i in range(6) for each in ((9000 + 50 * i, 9000 + 50 * i), (100 + 50 * i, 9010 + 50 * i))
    ]
    assert accepted(both) == [0, 2, 4, 6, 8, 10]


def test_a_stream_that_is_always_ahead_is_used_from_its_third_message_on():
    assert accepted([(14_000 + 50 * i, 9000 + 50 * i) for i in range(5)]) == [2, 3, 4]


def test_silence_and_the_beginning_of_simulated_time_are_no_faults():
    assert accepted(punctual(9000, 9050, 14_050, 14_100)) == [0, 1, 2, 3]
    assert accepted([(5000, 0), (5050, 5050), (6100, 5050)]) == [
        0,
        1,
        2,
    ]  # the last: a reset of the simulator


@given(
    intervals_ms=st.lists(st.integers(10, 900), min_size=2, max_size=60),
    wrong=st.dictionaries(st.integers(1, 59), st.one_of(st.integers(1, 1000), st.integers(10**9, 10**12))),
)
def test_ticks_are_those_of_the_stream_without_its_wrong_messages(intervals_ms, wrong):
    """Wrong ones, at most two in a row, are stamped in the first second or at least eleven days ahead."""
    now, good, sent = 100_000, [], []
    for place, interval in enumerate(intervals_ms):
        now += interval
        if place in wrong and not {place - 1, place - 2} <= set(wrong):
            sent.append((wrong[place], now))
        else:
            good.append(now)
            sent.append((now, now))
    stamps, ticks = TriggerStamps(), Ticks(50 * MS)
    found = [
        stamp for stamp, at in sent if not stamps.refusal(stamp * MS, at * MS) and ticks.starts(stamp * MS)
    ]
    assert found == chosen(good, 50)
