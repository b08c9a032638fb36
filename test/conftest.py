"""Every test runs on a ROS domain of its own, seen by this machine only."""

import os

import pytest
from workspace import build

from il_ros.scenarios import domain

domain.isolate()
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")


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
