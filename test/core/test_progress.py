"""Progress where there is no terminal: lines that are neither none nor too many."""

import io

import pytest

from il_ros.core.progress import ProgressLines, duration, progress, with_progress


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


def lines_of(seconds, total, step_s=1.0, **options):
    """Return the lines that a computation of one step every `step_s` prints in the first `seconds`."""
    clock, file = Clock(), io.StringIO()
    bar = ProgressLines("reading", "episode", total, file, now_s=clock, **options)
    for _ in range(int(seconds / step_s)):
        clock.now_s += step_s
        bar.update()
    bar.close()
    return file.getvalue().splitlines()


def test_a_short_computation_prints_no_line():
    assert lines_of(4, 4) == []


def test_a_line_says_what_is_done_and_how_long_the_rest_takes_at_this_pace():
    # 5 of 20 in 5 s: 15 s for the others
    assert lines_of(9, 20)[0] == "reading: 5 of 20 episodes, 00:15 left"
    assert lines_of(20, 20)[-1] == "reading: 20 of 20 episodes"
    assert lines_of(6, None)[0] == "reading: 5 episodes"
    assert lines_of(6, 20, remaining=False)[0] == "reading: 5 of 20 episodes"


def test_the_time_before_the_first_step_says_nothing_about_the_others():
    clock, file = Clock(), io.StringIO()
    bar = ProgressLines("train", "epoch", 20, file, now_s=clock)
    clock.now_s += 30  # a process starts
    bar.update()
    for _ in range(6):
        clock.now_s += 1
        bar.update()
    # 1 s for each of the other 14, not 35 / 6 s
    assert file.getvalue().splitlines() == ["train: 1 of 20 epochs", "train: 6 of 20 epochs, 00:14 left"]


def test_the_longer_it_takes_the_fewer_lines_there_are():
    # every 5 s for 50 s, then whenever a tenth more has passed: 50 * 1.1 ** n = 3600 at n = 45
    assert len(lines_of(50, 3600)) == 10
    assert 45 <= len(lines_of(3600, 3600)) <= 60


def test_the_text_at_the_end_is_the_newest():
    clock, file = Clock(), io.StringIO()
    bar = ProgressLines("training", "epoch", 10, file, remaining=False, now_s=clock)
    bar.set_postfix_str("loss 2")
    bar.set_postfix_str("loss 1")
    clock.now_s += 6
    bar.update(3)
    assert file.getvalue() == "training: 3 of 10 epochs, loss 1\n"


def test_a_terminal_has_a_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    bar = progress("reading", "episode", 2, file=screen)
    bar.update(2)
    bar.close()
    assert "reading: 100%" in screen.getvalue()
    assert "2/2" in screen.getvalue()


def test_items_pass_unchanged_also_through_a_reader_that_leaves_early(capsys):
    assert list(with_progress("abc", "reading", "letter")) == ["a", "b", "c"]
    items = with_progress(iter("abc"), "reading", "letter", 3)
    assert next(items) == "a"
    items.close()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("seconds", "words"), [(5, "00:05"), (75.9, "01:15"), (3723, "1:02:03")])
def test_a_duration_has_minutes_and_seconds(seconds, words):
    assert duration(seconds) == words
