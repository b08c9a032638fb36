"""Every test of the nodes may have a real ROS graph in its own process."""

import faulthandler

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from ros_graph import Graph


@pytest.fixture
def graph(request):
    graph = Graph()
    # making an executor turned crash reports to the stderr of now, which is pytest's capture: nobody sees it
    if fault_handler_stderr_fd_key in request.config.stash:
        faulthandler.enable(request.config.stash[fault_handler_stderr_fd_key])
    yield graph
    graph.close()
