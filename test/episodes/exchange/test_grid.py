"""Resampling of frames on an even grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.core.synchroniser import Observation
from il_ros.episodes.arrays.replay import Frame, Skipped
from il_ros.episodes.exchange.grid import GridCounts, on_grid

MS = 1_000_000


def frame(tick_ns):
    return Frame(Observation(tick_ns, {}, {}), np.array([float(tick_ns)]), np.zeros(1), "expert")


def resampled(ticks_ms, rate_hz=20, period_ms=50, between=()):
    counts = GridCounts()
    frames = [frame(round(tick * MS)) for tick in ticks_ms]
    items = sorted([*frames, *between], key=lambda item: item.tick_ns)
    return list(on_grid(items, period_ms * MS, rate_hz, counts)), counts


def used(found):
    return [item.frame.tick_ns / MS for item in found]


def test_even_ticks_at_the_same_rate_are_kept():
    found, counts = resampled([1000, 1050, 1100])
    assert used(found) == [1000, 1050, 1100]
    assert [item.index for item in found] == [0, 1, 2]
    assert (counts.repeated, counts.unused, counts.holes, counts.edges) == (0, 0, [], {})


def test_a_grid_time_takes_the_nearest_tick():
    """The grid is at 0, 50, 100, 150 and 200 ms: 100 is nearer to 90 than to 130, and 150 to 160."""
    found, counts = resampled([0, 45, 90, 130, 160, 205])
    assert used(found) == [0, 45, 90, 160, 205]
    assert (counts.repeated, counts.unused) == (0, 1)  # 130


def test_half_the_rate_takes_every_second_tick():
    found, counts = resampled([0, 50, 100, 150, 200], rate_hz=10)
    assert used(found) == [0, 100, 200]
    assert (counts.repeated, counts.unused) == (0, 2)


def test_twice_the_rate_repeats_ticks_and_counts_them():
    found, counts = resampled([0, 50, 100], rate_hz=40)
    assert [round(item.time_ns / MS) for item in found] == [0, 25, 50, 75, 100]
    assert used(found) == [0, 0, 50, 50, 100]
    assert counts.repeated == 2


def test_slow_ticks_do_not_drift_from_the_grid():
    """101 ticks of 51 ms last 5100 ms: the grid of 50 ms has 103 times, and each is near its tick."""
    found, counts = resampled(np.arange(101) * 51)
    assert len(found) == 103
    assert counts.repeated == 2
    assert max(abs(item.time_ns - item.frame.tick_ns) for item in found) <= 25.5 * MS


def test_a_hole_divides_and_says_why():
    missing = [Skipped(100 * MS, ("the camera is stale",)), Skipped(150 * MS, ("the camera is stale",))]
    found, counts = resampled([0, 50, 207, 257], between=missing)
    assert [(item.part, item.index) for item in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [item.time_ns / MS for item in found] == [0, 50, 207, 257]
    assert [str(hole) for hole in counts.holes] == [
        "no frame for 0.157 s, 0.050 s after its first frame: the camera is stale"
    ]


def test_ticks_without_a_frame_at_the_ends_are_counted_and_are_no_hole():
    ends = [Skipped(-50 * MS, ("no command yet",)), Skipped(150 * MS, ("stopped",))]
    found, counts = resampled([0, 50, 100], between=ends)
    assert used(found) == [0, 50, 100]
    assert (counts.holes, counts.edges) == ([], {"no command yet": 1, "stopped": 1})


def test_a_rate_that_is_no_rate_is_refused():
    with pytest.raises(ValueError, match="above 0, not 0"):
        list(on_grid([], 50 * MS, 0, GridCounts()))


@given(
    gaps=st.lists(st.integers(30, 75), min_size=1, max_size=60),
    rate_hz=st.sampled_from([5, 7, 20, 30, 60]),
)
def test_every_grid_time_has_the_nearest_tick_and_none_is_missing(gaps, rate_hz):
    ticks = np.concatenate([[0], np.cumsum(gaps)]) * MS
    found, counts = resampled(ticks / MS, rate_hz=rate_hz)
    assert counts.holes == []
    times = np.array([item.time_ns for item in found])
    np.testing.assert_array_equal(times, [round(k * 10**9 / rate_hz) for k in range(len(times))])
    assert ticks[-1] - 10**9 / rate_hz <= times[-1] <= ticks[-1] + 0.5 * 10**9 / rate_hz + 1
    for item in found:
        nearest = np.abs(ticks - item.time_ns).min()
        assert abs(abs(item.frame.tick_ns - item.time_ns) - nearest) <= 1  # rounding of the grid to ns
    assert len(found) == len({item.frame.tick_ns for item in found}) + counts.repeated
    assert len(ticks) == len({item.frame.tick_ns for item in found}) + counts.unused
