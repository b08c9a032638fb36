"""Alignment of tables."""

import errno

import pytest

from il_ros.core.tables import (
    counted,
    grouped,
    listed,
    percent,
    percent_range,
    say,
    seconds,
    shown,
    size,
    table,
    worded,
)


def test_columns_are_as_wide_as_their_widest_cell():
    out = table(("name", "n"), [("a", "5"), ("longer", "10")], right=("n",))
    assert out.splitlines() == ["name     n", "------  --", "a        5", "longer  10"]


def test_a_header_alone_is_a_table():
    assert table(("a",), []) == "a\n-"


def test_sizes_are_human_readable():
    assert [size(n) for n in (0, 999, 1000, 12_300_000, 5e12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "12.3 MB",
        "5000.0 GB",
    ]


def test_a_count_and_its_noun_agree_in_number():
    assert [counted(n, "frame") for n in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
    assert counted(1, "damaged chunk") == "1 damaged chunk"


def test_unknown_seconds_are_a_dash():
    assert (seconds(None), seconds(1.25)) == ("-", "1.2")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("\x1b]0;owned\x07push", "\\x1b]0;owned\\x07push"),  # sets the window's title
        ("\x9b2J", "\\x9b2J"),  # C1: the same as ESC [
        ("a\rb\tc\x7f", "a\\rb\\tc\\x7f"),
        ("\u202egpj.exe", "\\u202egpj.exe"),  # reverses the rest of the line
        ("\ud800", "\\ud800"),  # half a character cannot be encoded as UTF-8
        ("schön, 物, ━", "schön, 物, ━"),
    ],
)
def test_control_characters_are_shown_as_their_escapes(text, escaped):
    assert shown(text) == escaped


def test_a_cell_is_one_line_and_as_wide_as_it_is_shown():
    assert table(("t", "n"), [("a\nb", "1")]).splitlines() == ["t     n", "----  -", "a\\nb  1"]


def test_printed_texts_keep_line_ends_and_tabs_only(capsys):
    say("first\n\x1b[2J\tsecond\r")
    assert capsys.readouterr().out == "first\n\\x1b[2J\tsecond\\r\n"


def test_names_with_the_same_reason_share_a_line():
    path = "/data/{0}: does not fit: {0} is empty"
    names = [f"episode_{number}" for number in range(1, 7)]
    lines = grouped([*((name, path.format(name)) for name in names), ("episode_9", "discarded"), ("", "odd")])
    assert lines == [
        "episode_1, episode_2, episode_3, episode_4 and 2 more: /data/episode_1: does not fit: episode_1 is empty",
        "episode_9: discarded",
        ": odd",
    ]


def test_shares_are_written_in_per_cent_with_a_space():
    assert percent(0.625) == "62 %"
    assert percent(0.0125, 2) == "1.25 %"
    assert percent_range(0.4, 0.999) == "40–100 %"


def test_of_many_names_the_first_ones_and_the_number_of_the_others_are_said():
    names = [f"joint{number}" for number in range(60)]
    assert listed(names) == "joint0, joint1, joint2, joint3, joint4, joint5 and 54 more"
    assert listed(names[:6]) == "joint0, joint1, joint2, joint3, joint4, joint5"
    assert listed(["a", "b", "c"], 2, "; ") == "a; b and 1 more"
    assert listed([]) == ""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a.png"), "a.png: no space left on device"),
        (OSError(errno.EROFS, "Read-only file system"), "read-only file system"),
        (OSError("a sentence of ours"), "a sentence of ours"),
        (ValueError("a: is 3"), "a: is 3"),
    ],
)
def test_an_error_of_the_system_is_said_with_the_file_first_and_without_its_number(error, words):
    assert worded(error) == words
