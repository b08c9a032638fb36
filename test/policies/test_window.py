"""Windows of past ticks: which ticks a policy sees, live and in episodes."""

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


def test_a_window_ends_where_an_episode_begins():
    window = TickWindow(9, PERIOD_NS)
    seen(window, [100, 200, 300])
    window.begin(200)  # the tick at 200 is of the new episode
    assert seen(window, [400]) == [[200, 300, 400]]
    window.begin(500)
    assert seen(window, [500]) == [[500]]


def test_a_window_drops_the_ticks_before_the_newest_that_lacks_what_is_required():
    window = TickWindow(9, PERIOD_NS)
    for tick, keys in ((100, "ab"), (200, "a"), (300, "ab")):
        window.push(tick, dict.fromkeys(keys, tick))
    window.require("a")
    assert len(window.push(400, {"a": 400, "b": 400})) == 4
    window.require("ab")
    assert [each["a"] for each in window.push(500, {"a": 500, "b": 500})] == [300, 400, 500]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=30), st.integers(1, 5))
def test_the_window_of_frames_is_that_of_ticks(steps, length):
    """Steps of 1 period follow, those of 2 and 3 are gaps."""
    ticks = np.cumsum(steps) * PERIOD_NS
    frames, existing = window_frames(ticks, PERIOD_NS, length)
    for found, there, window in zip(
        frames, existing, seen(TickWindow(length, PERIOD_NS), ticks), strict=True
    ):
        assert ticks[found[there]].tolist() == window
        assert (found[~there] == found[there][0]).all()  # the oldest one is repeated
