"""The status line: what matters first, in the width there is."""

import re

from il_ros.session.console import event_line, sparkline, status_line
from il_ros.session.state import SessionState

BUSY = SessionState(
    recording="episode_000012", now_ns=76_200_000_000, started_ns=1_000_000_000,
    driver="policy", version="v3", running=True, uncertainty=0.2,
    threshold=0.4, training="training v4", training_share=0.5, labels=310, done=11,
)  # fmt: skip


def plain(state, width=200):
    return status_line(state, width, colour=False)


def test_a_busy_moment_in_one_line():
    assert plain(BUSY) == (
        "● episode_000012 1:15.2 │ policy v3 drives │ doubt ▄ 0.2 of 0.4 │ training v4 ━━━━━━━━ │ "
        "310 labels in 12 episodes"
    )


def test_a_narrow_terminal_keeps_what_comes_first():
    assert plain(BUSY, 48) == "● episode_000012 1:15.2 │ policy v3 drives"


def test_who_drives_and_why_nobody_does():
    assert "you drive" in plain(SessionState(driver="expert"))
    assert "at rest" in plain(SessionState(last="episode_000001", outcome="success"))
    assert "nobody drives: policy silent" in plain(
        SessionState(running=True, has_policy=True, why="policy silent")
    )
    assert "nobody drives: no policy proposes yet, take over to show" in plain(
        SessionState(running=True, why="no proposal")
    )
    assert "asks for you: doubt 2 above 1" in plain(SessionState(wanted="doubt 2 above 1"))
    assert plain(SessionState(estop="emergency stop by topic")).startswith(
        " STOPPED  │ emergency stop by topic"
    )


def test_colours_take_no_room():
    coloured = status_line(BUSY, 200)
    assert coloured != plain(BUSY)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain(BUSY)
    assert (
        event_line("episode_000001: success", "12:00:00", colour=False) == "12:00:00  episode_000001: success"
    )


def test_the_robots_call_rings_the_bell_and_nothing_else_does():
    called = event_line("the robot asks for you: doubt 2 above 1", "12:00:00", colour=False)
    assert called == "\a12:00:00  the robot asks for you: doubt 2 above 1"
    assert "\a" not in event_line("you drive", "12:00:00")


def test_bars_are_full_at_the_top():
    assert sparkline([0.0, 0.5, 1.0, 9.0], 1.0) == " ▄██"
