"""A terminal that is lost without a signal ends the process as a hang-up does, once."""

import os
import pty
import signal

import pytest

from il_ros.nodes.runtime.terminal import Terminal


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
    os.write(master, b"n\n")
    assert "n" in terminal.pressed()
    assert (told, hang_ups) == ([], [])
    os.close(master)
    for _ in range(3):
        assert terminal.pressed() == []
    assert hang_ups == [signal.SIGHUP]
    assert told == [[]]  # the stop is said before the process ends
    os.close(slave)
