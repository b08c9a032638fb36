"""Windows of past ticks: which ticks a policy sees, live and in episodes."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from il_ros.policies.window import TickWindow, follows, window_frames

PERIOD_NS = 100


def seen(window, ticks):
    return [[each["tick"] for each in window.push(tick, {"tick": tick})] for tick in ticks]


def test_a_window_has_at_most_its_length_and_the_newest_tick_last():
    assert seen(TickWindow(2, PERIOD_NS), [100, 200, 300]) == [[100], [100, 200], [200, 300]]


def test_a_window_restarts_after_a_gap_and_when_time_goes_back():
    # 150 after the last one still follows, 151 does not; the same stamp again does not follow itself
    assert seen(TickWindow(9, PERIOD_NS), [100, 250, 401]) == [[100], [100, 250], [401]]
    assert seen(TickWindow(9, PERIOD_NS), [100, 200, 150, 250]) == [[100], [100, 200], [150], [150, 250]]
    assert not follows(100, 100, PERIOD_NS)


def test_a_window_that_is_lengthened_keeps_what_it_has():
    window = TickWindow(2, PERIOD_NS)
    seen(window, [100, 200, 300])
    window.lengthen(3)
    window.lengthen(1)
    assert seen(window, [400]) == [[200, 300, 400]]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=30), st.integers(1, 5))
def test_the_window_of_frames_is_that_of_ticks(steps, length):
    """Steps of 1 period follow, those of 2 and 3 are gaps."""
    ticks = np.cumsum(steps) * PERIOD_NS
    gaps = np.flatnonzero(np.diff(ticks) > 1.5 * PERIOD_NS) + 1
    bounds = [0, *gaps.tolist(), len(ticks)]
    runs = [slice(start, stop) for start, stop in itertools.pairwise(bounds)]
    frames, existing = window_frames(runs, len(ticks), length)
    for found, there, window in zip(
        frames, existing, seen(TickWindow(length, PERIOD_NS), ticks), strict=True
    ):
        assert ticks[found[there]].tolist() == window
        assert (found[~there] == found[there][0]).all()  # the oldest one is repeated
