"""`ros2 launch il_ros deploy.launch.py` stopped while it drives and records.

Each signal to the group, to the launcher, and to each node: the last command is zero and the episode complete.
"""

import os
import signal

import pytest
from launched import LONG_S, Launched, absent, saved_policy
from ros_graph import Graph
from std_srvs.srv import Trigger

from il_ros.episodes import layout

pytestmark = pytest.mark.skipif(bool(absent()), reason=f"{absent()} is not installed; it comes with ROS 2")

TWIST = "geometry_msgs/msg/TwistStamped"
NODES = {"sim", "policy_server", "dagger_supervisor", "recorder"}


@pytest.fixture
def graph():
    graph = Graph()
    yield graph
    graph.close()


class Driving:
    """A launched `deploy` whose robot turns while the recorder records."""

    def __init__(self, graph, workspace, folder):
        self.graph, self.root = graph, folder / "episodes"
        self.commands = graph.received("cmd_vel", TWIST, 100)
        words = [f"checkpoint:={saved_policy(folder / 'policy')}", f"root:={self.root}", "cameras:=false"]
        self.launched = Launched(
            workspace, folder, "deploy.launch.py", "task:=drive", "start:=driving", *words
        )

    def begin(self):
        self.graph.until(self._turns, "the robot turns", LONG_S)
        assert self.graph.ask("recorder/start", Trigger).success
        self.nodes = self.launched.nodes()
        assert set(self.nodes) >= NODES  # and a console
        count = len(self.commands)
        self.graph.until(lambda: len(self.commands) > count + 5, "recorded commands", LONG_S)

    def check_end(self):
        """Assert the nodes' end, a last command of zero, and a complete episode."""
        self.graph.until(lambda: not any(map(_alive, self.nodes.values())), "the nodes' end", LONG_S)
        self.graph.until(lambda: not self._turns(), "a last command of zero", 10.0)
        (folder,) = self.root.glob("episode_*")
        info = layout.load_info(folder)
        assert (info.complete, info.stop_reason) == (True, "the recorder was shut down"), self.launched.output
        assert "Traceback" not in self.launched.output, self.launched.output

    def _turns(self):
        assert self.launched.process.poll() is None or self.commands, self.launched.output
        return bool(self.commands) and self.commands[-1].twist.angular.z > 0.4


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_to_the_group_stops_the_robot(graph, workspace, tmp_path, number):
    driving = Driving(graph, workspace, tmp_path)
    with driving.launched as launched:
        driving.begin()
        os.killpg(launched.process.pid, number)  # launch forwards SIGINT: each node receives two
        driving.check_end()
        status = launched.end()
    if number == signal.SIGINT:
        assert status == 0, launched.output
        assert "was required" not in launched.output
        assert "has died" not in launched.output


@pytest.mark.parametrize("number", [*SIGNALS, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_to_the_launcher_alone_stops_the_robot(graph, workspace, tmp_path, number):
    driving = Driving(graph, workspace, tmp_path)
    with driving.launched as launched:
        driving.begin()
        launched.process.send_signal(number)
        driving.check_end()
        status = launched.end()
    if number == signal.SIGINT:
        assert status == 0, launched.output


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("dagger_supervisor", signal.SIGINT),
        ("recorder", signal.SIGTERM),
        ("policy_server", signal.SIGHUP),
        ("sim", signal.SIGTERM),
    ],
)
def test_a_signal_to_one_node_ends_the_launch_properly(graph, workspace, tmp_path, name, number):
    driving = Driving(graph, workspace, tmp_path)
    with driving.launched as launched:
        driving.begin()
        os.kill(driving.nodes[name], number)
        driving.check_end()
        assert launched.end() == 0, launched.output
