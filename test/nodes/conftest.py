"""Every test of the nodes may have a real ROS graph in its own process."""

import pytest
from ros_graph import Graph


@pytest.fixture
def graph():
    graph = Graph()
    yield graph
    graph.close()
