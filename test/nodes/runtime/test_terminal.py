"""Keys of a terminal: those pressed too early, and a terminal that is lost without a signal."""

import os
import pty
import signal
import tty

import pytest

from il_ros.nodes.runtime.terminal import ALWAYS, TOO_EARLY, Terminal


def written_to(screen, last):
    """Return what is written to a pseudo-terminal, `last` included; the kernel may hand it over in pieces."""
    text = b""
    while last not in text:
        text += os.read(screen, 1000)
    return text.decode()


@pytest.fixture
def ends():
    """Both ends of a keyboard and of a screen: master, slave, screen and what is shown."""
    opened = (*pty.openpty(), *os.openpty())
    yield opened
    for each in opened:
        os.close(each)


@pytest.fixture
def hang_ups():
    """The hang-ups that this process receives."""
    received = []
    before = signal.signal(signal.SIGHUP, lambda number, _: received.append(number))
    yield received
    signal.signal(signal.SIGHUP, before)


def test_a_terminal_lost_without_a_signal_stops_the_robot_and_ends_the_process(hang_ups):
    master, slave = pty.openpty()  # it does not control this process, so the kernel sends no signal
    told = []
    terminal = Terminal(slave)
    terminal.on_suspend = lambda: told.append(list(hang_ups))
    assert terminal.pressed() == []
    os.write(master, b"n\n")
    assert "n" in terminal.pressed()
    assert (told, hang_ups) == ([], [])
    os.close(master)
    for _ in range(3):
        assert terminal.pressed() == []
    assert hang_ups == [signal.SIGHUP]
    assert told == [[]]  # the stop is said before the process ends
    os.close(slave)


def test_a_key_pressed_before_the_console_was_ready_does_not_move_the_robot_later(ends):
    master, slave, screen, shown = ends
    tty.setcbreak(slave)
    terminal = Terminal(slave, shown)
    os.write(master, b"\x1b[A1g n\x04")
    terminal.say("g: go")
    os.write(master, b"\x1b[A1")  # after the first line, before the first look
    assert terminal.pressed() == [*ALWAYS, "\x1b[A", "1"]  # the stop counts whenever it is pressed
    assert TOO_EARLY in written_to(screen, b"g: go")


def test_what_is_written_aside_stands_above_the_status(ends):
    _, slave, screen, shown = ends
    tty.setraw(shown)
    terminal = Terminal(slave, shown)
    with terminal.aside():
        os.write(shown, b"first\r\n")
    terminal.show("picture\nstatus")
    with terminal.aside():
        os.write(shown, b"log\r\n")
    assert written_to(screen, b"log\r\n\rpicture\x1b[K\nstatus\x1b[J") == (
        "first\r\n"
        "\rpicture\x1b[K\nstatus\x1b[J"
        "\r\x1b[1A\x1b[J"  # up to the first line of the status, which is erased
        "log\r\n"
        "\rpicture\x1b[K\nstatus\x1b[J"
    )
