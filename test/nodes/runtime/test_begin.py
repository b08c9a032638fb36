"""A node that is interrupted before it handles signals itself."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def handles(pid, number):
    """Return whether a process has a handler of its own for a signal."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigCgt" in line)
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_node_that_is_stopped_while_it_imports_ros_ends_quietly(number):
    words = [sys.executable, "-m", "il_ros.nodes.begin", "recorder"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as node:
        end_s = time.monotonic() + 60
        while not handles(node.pid, signal.SIGHUP):  # Python itself handles only SIGINT
            assert time.monotonic() < end_s
            assert node.poll() is None
        node.send_signal(number)
        printed, _ = node.communicate(timeout=60)
    assert (node.returncode, printed) == (0, "")
