"""Every test of the nodes may have a real ROS graph in its own process."""

import faulthandler

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from recorded import Recorded
from ros_graph import Graph
from supervised import CONTRACT


@pytest.fixture
def graph(request):
    graph = Graph()
    # making an executor turned crash reports to the stderr of now, which is pytest's capture: nobody sees it
    if fault_handler_stderr_fd_key in request.config.stash:
        faulthandler.enable(request.config.stash[fault_handler_stderr_fd_key])
    yield graph
    graph.close()


@pytest.fixture
def contract_file(tmp_path):
    """The contract of `supervised`; a test file about another one has its own."""
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT)
    return path


@pytest.fixture
def recorded(graph, contract_file, tmp_path):
    return Recorded(graph, contract_file, tmp_path / "episodes", use_sim_time=True)
