"""Fixtures of the node tests: a real ROS graph in the test's process."""

import faulthandler

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from recorded import Recorded
from ros_graph import Graph
from supervised import CONTRACT


@pytest.fixture
def graph(request):
    graph = Graph()
    # creating an executor directs crash reports to the current stderr, which pytest captures: undo that
    if fault_handler_stderr_fd_key in request.config.stash:
        faulthandler.enable(request.config.stash[fault_handler_stderr_fd_key])
    yield graph
    graph.close()


@pytest.fixture
def contract_file(tmp_path):
    """The contract of `supervised`; a test file may override it."""
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT)
    return path


@pytest.fixture
def recorded(graph, contract_file, tmp_path):
    return Recorded(graph, contract_file, tmp_path / "episodes", use_sim_time=True)
