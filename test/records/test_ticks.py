"""Selection of ticks from the stamps of a trigger stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.records.ticks import Ticks

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
