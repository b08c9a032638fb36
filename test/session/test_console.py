"""The status line within the terminal's width, and the event lines."""

import re
from dataclasses import replace

import pytest

from il_ros.session.console import event_line, sparkline, status_line
from il_ros.session.notice import Notice, NoticeKind
from il_ros.session.state import SessionState

BUSY = SessionState(
    recording="episode_000012", now_ns=76_200_000_000, started_ns=1_000_000_000,
    driver="policy", version="v3", running=True, uncertainty=0.2,
    threshold=0.4, training="training v4", training_share=0.5, training_left_s=12.4, labels=310, done=11,
)  # fmt: skip


def plain(state, width=200):
    return status_line(state, width, colour=False)


def test_all_parts_in_one_line():
    assert plain(BUSY) == (
        "● episode_000012 1:15.2 │ policy v3 drives │ uncertainty ▄ 0.2 of 0.4 │ "
        "training v4 ████░░░░ 50 %, 12 s left │ 310 labels in 12 episodes"
    )


@pytest.mark.parametrize(
    ("hours", "words"), [(3.25, "disk 3.2 h"), (0.2, "disk 12 min"), (23.9, "disk 24 h")]
)
def test_the_time_until_the_disk_is_full_is_the_last_part(hours, words):
    assert plain(replace(BUSY, disk_h=hours)) == f"{plain(BUSY)} │ {words}"


@pytest.mark.parametrize("hours", [24.0, 812.0, 348138.0])
def test_a_disk_that_lasts_for_a_day_is_not_mentioned(hours):
    assert plain(replace(BUSY, disk_h=hours)) == plain(BUSY)


def test_little_time_until_the_disk_is_full_is_orange():
    assert "\x1b[33mdisk 12 min" in status_line(SessionState(disk_h=0.2), 200)
    assert "\x1b[33m" not in status_line(SessionState(disk_h=2.0), 200)


def test_a_narrow_terminal_keeps_the_first_parts():
    assert plain(BUSY, 48) == "● episode_000012 1:15.2 │ policy v3 drives"


def test_what_is_requested_is_shortened_in_a_narrow_terminal():
    wanted = replace(BUSY, wanted="right: uncertainty 0.0228 above 0.015")
    whole = "● episode_000012 1:15.2 │ expert requested: right: uncertainty 0.0228 above 0.015"
    assert len(whole) == 81
    assert plain(wanted, 81) == whole
    assert plain(wanted, 80) == f"{whole[:79]}…"
    assert plain(wanted, 50) == f"{whole[:49]}…"
    assert "\x1b[1m" in status_line(wanted, 50)


def test_the_driver_or_the_reason_without_one():
    assert "you drive" in plain(SessionState(driver="expert"))
    assert "the scripted expert drives" in plain(SessionState(driver="expert", expert="the scripted expert"))
    assert "at rest: n next start, p run, ? keys" in plain(
        SessionState(last="episode_000001", outcome="success")
    )
    assert "no driver: policy silent" in plain(
        SessionState(running=True, has_policy=True, why="policy silent")
    )
    assert "no driver: no policy yet, take over to demonstrate" in plain(
        SessionState(running=True, why="no proposal")
    )
    assert "expert requested: uncertainty 2 above 1" in plain(SessionState(wanted="uncertainty 2 above 1"))
    assert plain(SessionState(estop="emergency stop by topic")).startswith(
        " STOPPED  │ emergency stop by topic"
    )


def test_before_and_after_a_moment_to_label_the_key_that_goes_on_is_named():
    before = SessionState(moments=2, running=True)  # the expert may drive, but nothing is recorded
    assert plain(before) == "○ no episode yet │ n next moment, ? keys │ 0 labels"
    assert "time is paused until you drive" in plain(
        replace(before, moment=1, recording="episode_000003", paused=True)
    )
    assert "n next moment" in plain(replace(before, moment=1, driver="expert"))
    assert "all moments shown, ctrl-D ends" in plain(replace(before, moment=2))


def test_while_demonstrations_are_recorded_only_their_keys_are_named():
    assert "at rest: n next take, ? keys" in plain(SessionState(learns=False))
    recording = SessionState(learns=False, recording="episode_000001")
    assert "at rest: drive to demonstrate, ? keys" in plain(recording)
    assert "no policy" not in plain(SessionState(learns=False, running=True))


def test_a_large_uncertainty_is_written_without_an_exponent():
    assert "uncertainty 183" in plain(SessionState(uncertainty=183.2))
    assert "uncertainty 0.013" in plain(SessionState(uncertainty=0.0131))


def test_colours_do_not_count_as_width():
    coloured = status_line(BUSY, 200)
    assert coloured != plain(BUSY)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain(BUSY)
    assert (
        event_line(Notice("episode_000001: success"), "12:00:00", colour=False)
        == "12:00:00  episode_000001: success"
    )


def test_only_a_request_rings_the_bell():
    line = event_line(Notice("expert requested: u", NoticeKind.REQUEST), "12:00:00", colour=False)
    assert line == "\a12:00:00  expert requested: u"
    others = [kind for kind in NoticeKind if kind is not NoticeKind.REQUEST]
    assert not any("\a" in event_line(Notice("you drive", kind), "12:00:00") for kind in others)


def test_bars_are_full_from_the_top_value_on():
    assert sparkline([0.0, 0.5, 1.0, 9.0], 1.0) == " ▄██"


OWNED = "\x1b]0;owned\x07\x1b[2J\n\x9b2J"
ESCAPED = "\\x1b]0;owned\\x07\\x1b[2J\\n\\x9b2J"


def control_characters(line):
    """Return the control characters that are left once the console's own colours and bell are removed."""
    left = re.sub(r"\x1b\[[0-9;]*m", "", line.removeprefix("\a"))
    return [character for character in left if not character.isprintable()]


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_an_event_shows_control_characters_of_messages_as_their_escapes(kind):
    line = event_line(Notice(f"expert requested: {OWNED}", kind), "12:00:00")
    assert ESCAPED in line
    assert control_characters(line) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"recording": OWNED},
        {"recording": "", "last": OWNED, "outcome": OWNED},
        {"estop": OWNED},
        {"wanted": OWNED},
        {"driver": OWNED, "version": OWNED},
        {"driver": "none", "why": OWNED, "has_policy": True},
        {"training": OWNED},
        {"training": OWNED, "training_share": None},
    ],
)
def test_the_status_line_shows_control_characters_of_messages_as_their_escapes(changes):
    line = status_line(replace(BUSY, **changes), 2000)
    assert ESCAPED in line
    assert control_characters(line) == []
