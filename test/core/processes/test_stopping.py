"""A process ends by a signal, and nothing of it runs on."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from il_ros.core.processes import stopping


def watchers():
    return [thread for thread in threading.enumerate() if thread.name == "signals"]


def test_the_thread_that_wakes_the_executor_has_ended_at_the_end_also_where_that_takes_long():
    entered = threading.Event()

    def wake():
        entered.set()
        time.sleep(1.5)  # the executor's shutdown on a crowded machine

    with stopping.stop_signals(wake) as stopped:
        os.kill(os.getpid(), signal.SIGTERM)
        assert entered.wait(30)
        assert stopped()
        assert len(watchers()) == 1
    assert watchers() == []


@pytest.fixture
def handlers():
    """Restore the handlers that `stop_signals` leaves ignored after a signal."""
    before = {number: signal.getsignal(number) for number in stopping.STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


pytestmark = pytest.mark.usefixtures("handlers")

_IGNORING = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for a job that a script starts with `&`
sys.exit(subprocess.run([sys.executable, "-m", "pytest", *sys.argv[1:]]).returncode)
"""


def test_a_pytest_that_a_script_started_in_the_background_can_be_interrupted():
    """Its own SIGINT is what the tests of Ctrl-C send to the processes that inherit it."""
    words = [__file__, "-k", "test_sigint_is_not_ignored_here", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [sys.executable, "-c", _IGNORING, *words], capture_output=True, text=True, timeout=250
    )
    assert "1 passed" in ran.stdout, ran.stdout


def test_sigint_is_not_ignored_here():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
