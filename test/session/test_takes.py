"""Countdown, take, reset phase: by hand on a clock of one's own."""

import pytest

from il_ros.session import keys
from il_ros.session.takes import TakeOptions, TakePhase, Takes, on_command, step, words

OPTIONS = TakeOptions(countdown_s=3.0, reset_s=5.0, takes=2)


def run(takes, times, options=OPTIONS, recording="", last="e1", discarded=""):
    """TakeStep at each time; return the takes, the number of bells at each, and the commands."""
    bells, commands = [], []
    for now_s in times:
        made = step(takes, recording, last, discarded, options, now_s)
        takes = made.takes
        bells.append(made.bells)
        commands += [made.command] if made.command else []
    return takes, bells, commands


def test_a_countdown_beeps_at_each_second_and_then_records():
    takes = on_command(Takes(), keys.NEXT, OPTIONS, 10.0).takes
    assert words(takes, OPTIONS, 10.5) == "recording starts in 3 s (u cancels)"
    takes, bells, commands = run(takes, (10.0, 10.5, 11.0, 11.5, 12.0, 12.9))
    assert (bells, commands) == ([1, 0, 1, 0, 1, 0], [])
    takes, bells, commands = run(takes, (13.0, 13.1))
    assert (bells, commands) == ([0, 0], [keys.NEXT])


def test_a_take_ends_in_a_reset_phase_after_which_the_next_countdown_begins():
    takes, bells, _ = run(Takes(), (20.0, 21.0), recording="e1")
    assert (takes.phase, bells) == (TakePhase.RECORDING, [2, 0])
    takes, bells, _ = run(takes, (30.0,))
    assert (takes.phase, takes.done, bells) == (TakePhase.RESET, 1, [1])
    assert words(takes, OPTIONS, 31.5) == ("1 of 2 takes; reset the scene: next in 4 s (n: now)")
    takes, _, commands = run(takes, (34.9, 35.0, 37.9))
    assert (takes.phase, commands) == (TakePhase.COUNTDOWN, [])
    assert run(takes, (38.0,))[2] == [keys.NEXT]


def test_without_a_reset_time_the_operator_begins_the_next_take():
    by_hand = TakeOptions(countdown_s=3.0)
    takes, _, commands = run(Takes(TakePhase.RECORDING), (0.0, 1000.0), by_hand)
    assert (takes.phase, commands) == (TakePhase.RESET, [])
    assert words(takes, by_hand, 1000.0) == "take 1; reset the scene: n starts the next"
    assert on_command(takes, keys.NEXT, by_hand, 1000.0).takes.until_s == 1003.0


def test_the_session_ends_after_the_last_take_and_a_discarded_one_does_not_count():
    recorded = Takes(TakePhase.RECORDING, done=1)
    takes, _, commands = run(recorded, (0.0,), discarded="e1")
    assert (takes.done, commands) == (1, [])
    assert run(recorded, (0.0,))[2] == [keys.END]


@pytest.mark.parametrize("command", [keys.UNDO, keys.RECORD, keys.SUCCESS, keys.FAILURE])
def test_a_countdown_can_be_cancelled(command):
    counting = on_command(Takes(), keys.NEXT, OPTIONS, 0.0).takes
    made = on_command(counting, command, OPTIONS, 1.0)
    assert (made.takes.phase, made.command) == (TakePhase.IDLE, "")
    assert run(made.takes, (3.0, 10.0))[2] == []


def test_an_emergency_stop_cancels_the_countdown_and_stops():
    counting = on_command(Takes(), keys.NEXT, OPTIONS, 0.0).takes
    made = on_command(counting, keys.STOP, OPTIONS, 1.0)
    assert (made.takes.phase, made.command) == (TakePhase.IDLE, keys.STOP)


def test_a_second_n_starts_at_once_and_without_a_countdown_n_has_its_usual_effect():
    counting = on_command(Takes(), keys.NEXT, OPTIONS, 0.0).takes
    assert run(on_command(counting, keys.NEXT, OPTIONS, 1.0).takes, (1.0,))[2] == [keys.NEXT]
    assert on_command(Takes(), keys.NEXT, TakeOptions(), 0.0) is None
    assert on_command(Takes(TakePhase.RECORDING), keys.NEXT, OPTIONS, 0.0) is None


def test_beeps_can_be_turned_off():
    quiet = TakeOptions(countdown_s=3.0, beeps=False)
    takes = on_command(Takes(), keys.NEXT, quiet, 0.0).takes
    assert run(takes, (0.0, 1.0, 2.0), quiet)[1] == [0, 0, 0]
    assert run(Takes(), (0.0,), quiet, recording="e1")[1] == [0]


def test_a_negative_time_is_refused():
    with pytest.raises(ValueError, match=r"reset_s is -1\.0; it must be 0 or more"):
        TakeOptions(reset_s=-1.0)


def test_a_take_that_is_discarded_afterwards_does_not_count_either():
    takes, _, _ = run(Takes(TakePhase.RECORDING), (0.0,), last="e1")
    assert takes.done == 1
    takes, _, _ = run(takes, (1.0, 1.1, 1.2), last="e1", discarded="e1")
    assert takes.done == 0
    takes, _, _ = run(takes, (2.0,), recording="e2", last="e1", discarded="e1")
    takes, _, _ = run(takes, (3.0, 3.1), last="e2", discarded="e1")
    assert takes.done == 1
