"""Every test runs on a ROS domain of its own, seen by this machine only.

Properties are tried with the same examples each time; `IL_ROS_RANDOM_TESTS=1` draws new ones. Campaigns with
random inputs are in bench/.
"""

import os
import signal

import pytest
from hypothesis import settings
from workspace import build

from il_ros.scenarios import domain

# A shell lets the jobs that a script starts with `&` ignore SIGINT, and their children inherit that: Python then
# installs no handler for it, and neither the tests' own processes nor the nodes that they start can be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

domain.isolate()
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("repeatable", derandomize=True)
if os.environ.get("IL_ROS_RANDOM_TESTS") != "1":
    settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    """Return the package as `colcon build` installs it."""
    return build(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def own_domain():
    """Move to another ROS domain for a module whose commands refuse to start beside nodes of the same name.

    Nodes that earlier tests left behind in this process stay in the former domain.
    """
    domain.isolate()
