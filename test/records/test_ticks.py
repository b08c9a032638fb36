"""The ticks among a trigger stream's stamps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.records.ticks import Ticks

MS = 1_000_000


def chosen(stamps_ms, period_ms):
    ticks = Ticks(period_ms * MS)
    return [stamp for stamp in stamps_ms if ticks.starts(stamp * MS)]


def test_a_stream_at_the_control_rate_ticks_at_every_message():
    assert chosen([100, 150, 200, 250], 50) == [100, 150, 200, 250]


def test_jitter_of_a_third_of_a_period_loses_no_tick():
    stamps = [100, 134, 200, 266, 300, 334, 400]
    assert chosen(stamps, 50) == stamps


def test_a_stream_ten_times_faster_ticks_at_every_tenth_message():
    assert chosen(range(100, 260, 5), 50) == [100, 150, 200, 250]


def test_a_rate_that_does_not_divide_takes_the_nearest_message():
    # a grid of 50 from 100 on; messages every 20: 100, (150→) 140 or 160, 200, ...
    assert chosen(range(100, 320, 20), 50) == [100, 140, 200, 240, 300]


def test_after_a_gap_the_grid_starts_afresh():
    assert chosen([100, 150, 487, 537], 50) == [100, 150, 487, 537]


def test_the_same_stamp_twice_is_one_tick():
    assert chosen([100, 100, 150, 150], 50) == [100, 150]


def test_a_clock_that_is_set_back_starts_afresh():
    assert chosen([5000, 5050, 100, 150], 50) == [5000, 5050, 100, 150]


def test_a_message_that_comes_late_is_no_tick_and_disturbs_none():
    assert chosen([1000, 1050, 1020, 1100, 1150], 50) == [1000, 1050, 1100, 1150]


def test_a_period_of_zero_is_refused():
    with pytest.raises(ValueError, match="period_ns must be positive"):
        Ticks(0)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=200))
def test_never_more_ticks_than_the_rate_allows(intervals_ms):
    stamps, now = [], 1000
    for interval in intervals_ms:
        now += interval
        stamps.append(now)
    ticks = chosen(stamps, 50)
    span_ms = stamps[-1] - stamps[0]
    # every restart of the grid is paid for by a gap longer than a period
    assert len(ticks) <= span_ms / 50 + 1.5
    assert ticks[0] == stamps[0]
