import pytest

from il_ros.control.supervisor.estop import (
    MOST_CONSOLES,
    ConsoleState,
    EmergencyStop,
    console_text,
    read_console,
)
from il_ros.core.messages import MessageError

SECOND = 1_000_000_000


def test_the_stop_latches_once_and_stays_latched():
    estop = EmergencyStop()
    assert estop.update("topic", True, 0) is True
    assert estop.update("topic", True, 1) is False
    assert estop.update("topic", False, 2) is False
    assert estop.latched == "emergency stop pressed (topic)"


def test_each_closing_is_counted_and_its_reason_outlives_the_reset():
    estop = EmergencyStop()
    assert estop.last == (0, "")
    for at in (0, 1):
        estop.update("topic", True, at)
        estop.update("topic", False, at)
    assert estop.last == (1, "emergency stop pressed (topic)")
    assert estop.reset(2) == ""
    assert estop.last == (1, "emergency stop pressed (topic)")
    estop.trip("collision", gently=True)
    estop.trip("collision again")
    assert estop.last == (2, "collision")
    estop.update("topic", True, 3)  # a gentle stop becomes an emergency stop
    assert estop.last == (3, "emergency stop pressed (topic)")


def test_the_reset_names_the_inputs_that_are_still_pressed():
    estop = EmergencyStop()
    estop.update("topic", True, 0)
    estop.update("service", True, 0)
    assert estop.reset(1) == "still pressed: topic, service"
    estop.update("topic", False, 1)
    estop.update("service", False, 1)
    assert estop.reset(2) == ""
    assert estop.latched == ""


def test_a_missing_heartbeat_counts_as_pressed_from_the_start():
    estop = EmergencyStop(timeout_s=0.5)
    assert estop.check(0) is True
    assert "never received" in estop.latched
    assert "never received" in estop.reset(1)
    estop.update("topic", False, 0)
    assert estop.reset(SECOND // 2) == ""
    assert estop.check(SECOND // 2) is False
    assert estop.check(SECOND) is True


@pytest.mark.parametrize("state", [ConsoleState.SUSPENDED, ConsoleState.CLOSED])
def test_a_console_that_is_suspended_or_closed_stops_and_does_not_prevent_the_reset(state):
    estop = EmergencyStop(console_timeout_s=1.0)
    estop.console("/session", ConsoleState.HERE, 0)
    assert estop.console("/session", state, SECOND // 2) is True
    assert estop.latched == f"emergency stop: console /session {state.value}"
    assert estop.reset(9 * SECOND) == ""
    assert estop.check(9 * SECOND) is False


def test_a_console_that_falls_silent_is_lost_and_one_that_was_left_is_not():
    estop = EmergencyStop(console_timeout_s=1.0)
    for at in (0, SECOND // 2):
        estop.console("/session", ConsoleState.HERE, at)
    estop.console("/expert", ConsoleState.HERE, 0)
    assert estop.console("/expert", ConsoleState.LEFT, SECOND // 2) is False
    assert estop.check(3 * SECOND // 2) is False
    assert estop.check(2 * SECOND) is True
    assert estop.latched == "emergency stop: console /session lost, silent for 1.50 s"


def test_a_console_comes_back_after_its_suspension_and_is_watched_again():
    estop = EmergencyStop(console_timeout_s=1.0)
    estop.console("/session", ConsoleState.HERE, 0)
    estop.console("/session", ConsoleState.SUSPENDED, 1)
    estop.console("/session", ConsoleState.HERE, 5 * SECOND)
    assert estop.reset(5 * SECOND) == ""
    assert estop.check(7 * SECOND) is True


def test_the_number_of_consoles_is_bounded():
    estop = EmergencyStop(console_timeout_s=1.0)
    for number in range(MOST_CONSOLES):
        estop.console(f"/c{number}", ConsoleState.HERE, 0)
    with pytest.raises(MessageError, match="16 consoles already; '/more' is not watched"):
        estop.console("/more", ConsoleState.HERE, 0)


def test_a_consoles_message_is_read_back_and_others_are_refused():
    for state in ConsoleState:
        assert read_console(console_text("/left/session", state)) == ("/left/session", state)
    for text in ("", "here", " here", "/session", "/session gone", "x" * 65 + " here"):
        with pytest.raises(MessageError, match="console's"):
            read_console(text)
