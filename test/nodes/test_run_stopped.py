"""`il-ros run deploy` stopped while it drives and records: the last command is zero, the episode is complete.

A signal to the launcher, a closed terminal, a killed launcher, and a signal to one node alone.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_versions import constant_policy
from pseudo_terminal import InTerminal
from std_srvs.srv import Trigger

from il_ros.core import contract, share
from il_ros.episodes import layout
from il_ros.policies import checkpoint

pytestmark = pytest.mark.usefixtures("own_domain")

TWIST = "geometry_msgs/msg/TwistStamped"
LONG_S = 120.0
NODES = {"sim", "policy_server", "dagger_supervisor", "recorder"}


def children(parent: int) -> dict[str, int]:
    """Return the node processes that `parent` started, by name."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            state = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if int(state[1]) == parent and "il_ros.nodes.start" in words:
                found[words[words.index("il_ros.nodes.start") + 1]] = int(folder.name)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class DrivingRun:
    """`il-ros run deploy` of the simulated base, whose policy turns it on the spot; `begin` starts recording."""

    def __init__(self, graph, folder: Path) -> None:
        self.graph, self.root = graph, folder / "episodes"
        own = contract.load(share.path("config", "contracts", "drive.yaml"))
        checkpoint.save(folder / "policy", constant_policy(own, (0.0, 0.5), "v1"))
        self.words = [
            *(sys.executable, "-m", "il_ros", "run", "deploy", "--task", "drive", "--cameras", "false"),
            *("--start", "driving"),
            *(
                "--checkpoint",
                str(folder / "policy"),
                "--root",
                str(self.root),
                "--logs",
                str(folder / "log"),
            ),
        ]
        self.commands = graph.received("cmd_vel", TWIST, 100)
        self.nodes: dict[str, int] = {}

    def begin(self, launcher: int) -> None:
        """Wait until the robot turns and an episode is being recorded."""
        self.graph.until(self._turns, "the robot turns", LONG_S)
        self.graph.until(self._records, "a recording", LONG_S)  # refused until it has seen all streams
        self.nodes = children(launcher)
        assert set(self.nodes) >= NODES  # and a console
        count = len(self.commands)
        self.graph.until(lambda: len(self.commands) > count + 5, "recorded commands", LONG_S)

    def check_end(self) -> None:
        """Assert that all nodes ended, that the last command is zero and that the episode is complete."""
        self.graph.until(lambda: not any(map(alive, self.nodes.values())), "the nodes' end", LONG_S)
        self.graph.until(lambda: not self._turns(), "a last command of zero", 10.0)
        (folder,) = self.root.glob("episode_*")
        info = layout.load_info(folder)
        assert (info.complete, info.stop_reason) == (True, "the recorder was shut down")

    def _records(self) -> bool:
        return self.graph.ask("recorder/start", Trigger).success or any(self.root.glob("episode_*/*.mcap"))

    def _turns(self) -> bool:
        return bool(self.commands) and self.commands[-1].twist.angular.z > 0.4


@contextlib.contextmanager
def started(run: DrivingRun, output: Path):
    with output.open("w") as file:
        process = subprocess.Popen(run.words, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
    finally:
        for pid in (process.pid, *run.nodes.values()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        process.wait(10)


@pytest.mark.parametrize(
    "numbers",
    [[signal.SIGINT, signal.SIGINT, signal.SIGTERM], [signal.SIGTERM], [signal.SIGKILL]],
    ids=lambda numbers: "+".join(number.name for number in numbers),
)
def test_a_signal_to_the_launcher_stops_the_robot(graph, tmp_path, numbers):
    run = DrivingRun(graph, tmp_path)
    with started(run, tmp_path / "output") as process:
        run.begin(process.pid)
        for number in numbers:
            process.send_signal(number)
            time.sleep(0.1)  # a repeat arrives while the nodes stop
        run.check_end()
        killed = numbers == [signal.SIGKILL]
        status = process.wait(LONG_S)
    printed = (tmp_path / "output").read_text()
    assert status == (-signal.SIGKILL if killed else 0), printed
    assert "Traceback" not in printed
    assert "ended (" not in printed  # a normal end does not read like a failure
    if killed:
        logs = [(tmp_path / "log" / f"{name}.log").read_text() for name in NODES]
        assert not any("Traceback" in log for log in logs)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("dagger_supervisor", signal.SIGTERM),
        ("recorder", signal.SIGHUP),
        ("policy_server", signal.SIGINT),
        ("sim", signal.SIGTERM),
    ],
)
def test_a_signal_to_one_node_ends_the_run_properly(graph, tmp_path, name, number):
    run = DrivingRun(graph, tmp_path)
    with started(run, tmp_path / "output") as process:
        run.begin(process.pid)
        os.kill(run.nodes[name], number)
        run.check_end()
        status = process.wait(LONG_S)
    printed = (tmp_path / "output").read_text()
    assert status == 0, printed
    assert "Traceback" not in printed


def test_a_closed_terminal_stops_the_robot(graph, tmp_path):
    run = DrivingRun(graph, tmp_path)
    terminal = InTerminal(run.words)
    try:
        run.begin(terminal.process.pid)
        terminal.hang_up()
        run.check_end()
        assert terminal.process.wait(LONG_S) == 0  # as after a signal
    finally:
        terminal.close()
        for pid in run.nodes.values():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
