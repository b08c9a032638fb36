"""Fixtures for real Gazebo, as `make gazebo` installs it."""

import pytest
from ros_graph import Graph

from il_ros.sim.gazebo.process import why_missing


@pytest.fixture(autouse=True)
def _gazebo():
    if reason := why_missing():
        pytest.skip(reason)


@pytest.fixture
def graph():
    graph = Graph()
    yield graph
    graph.close()
