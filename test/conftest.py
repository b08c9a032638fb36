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
