"""The keyboard node in a real pseudo-terminal, as over SSH."""

import signal
import subprocess
import sys
import termios

import numpy as np
import pytest
from pseudo_terminal import InTerminal

from il_ros.core import contract
from il_ros.nodes.runtime.terminal import split_keys
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records import proposal

BASE = """
name: base
rate_hz: 50
observations:
  odometry: {topic: odom, type: nav_msgs/msg/Odometry, fields: [linear], unit: m/s, max_age_s: 0.5}
actions:
  base: {topic: cmd_vel, type: geometry_msgs/msg/TwistStamped, names: [linear.x, angular.z],
         unit: "m/s, rad/s", safe: zero, limits: {speed: [1.0, 2.0]}}
"""
CONTRACT = contract.parse(BASE, "base")
CTRL_C = "\x03"


@pytest.fixture
def contract_file(tmp_path):
    (tmp_path / "base.yaml").write_text(BASE)
    return str(tmp_path / "base.yaml")


def command(contract_file):
    settings = [f"contract:={contract_file}", "silent_after:=0.5"]
    words = [word for setting in settings for word in ("-p", setting)]
    return [sys.executable, "-m", "il_ros.nodes.teleop.keyboard_node", "--ros-args", *words]


@pytest.fixture
def session(contract_file, request):
    session = InTerminal(command(contract_file), shell=getattr(request, "param", False))
    yield session
    session.close()


def test_keys_propose_then_it_releases_and_restores_the_terminal(graph, session):
    proposals = graph.received("expert/proposal", proposal.TYPE)
    graph.until(lambda: "W/S forward, back" in session.read(), "the key map")
    graph.until(lambda: "silent: press a key" in session.read(), "the status line")
    assert not termios.tcgetattr(session.terminal)[3] & termios.ECHO

    def driven():
        session.type("w")
        session.read()
        return [message for message in proposals if message.points]

    first = graph.until(driven, "a proposal")[0]
    first = proposal.from_message(first, CONTRACT.action_names, CONTRACT.period_ns)
    np.testing.assert_allclose(first.chunk, [[0.25, 0.0]])  # a quarter of 1.0 m/s
    assert first.source == "expert"

    def shown():
        session.type("w")
        return "base/linear.x +0.25/s" in session.read()

    graph.until(shown, "the motion on the screen")
    session.screen = ""
    graph.until(lambda: "silent: press a key" in session.read(), "silence after 0.5 s without a key")
    graph.until(lambda: not proposals[-1].points, "the releasing proposal")
    count = len(proposals)
    graph.spin(0.2)
    assert len(proposals) == count

    session.type(CTRL_C)
    assert session.wait() == 0
    assert "Traceback" not in session.screen
    assert termios.tcgetattr(session.terminal) == session.before


@pytest.fixture
def supervisor(graph, contract_file):
    """Return a function that waits for the reason of the supervisor's emergency stop."""
    node = graph.start(DaggerSupervisor, contract=contract_file, discovery_s=0.1, console_timeout_s=1.5)

    def latched(session, reason):
        def now():
            session.read()
            return reason in node._supervision.estop.latched

        graph.until(
            now, f"{reason}; it is: {node._supervision.estop.latched!r}; screen: {session.screen[-300:]}"
        )

    latched.node = node
    return latched


def echoes(session):
    return bool(termios.tcgetattr(session.terminal)[3] & termios.ECHO)


def test_space_stops_the_robot_and_c_releases_it(graph, session, supervisor):
    graph.until(lambda: "space EMERGENCY STOP" in session.read(), "the key map")
    graph.until(lambda: supervisor.node._supervision.estop._consoles, "the console is known")
    session.type(" ")
    supervisor(session, "emergency stop pressed (/expert)")

    def released():
        session.type("c")
        session.read()
        return not supervisor.node._supervision.estop.latched

    graph.until(released, "the release")
    graph.until(lambda: "the robot may move again" in session.read(), "the outcome on the screen")


@pytest.mark.parametrize("session", [True, False], ids=["with a shell", "as in ssh -t"], indirect=True)
def test_ctrl_z_stops_the_robot_and_fg_makes_the_keys_work_again(graph, session, supervisor, request):
    """Without a shell that could continue it, it is not suspended, and its keys work on."""
    shell = request.node.callspec.params["session"]
    graph.until(lambda: supervisor.node._supervision.estop._consoles, "the console is known")
    assert not echoes(session)
    session.type("\x1a")
    supervisor(session, "console /expert suspended")
    if shell:
        graph.until(lambda: session.state == "T", "the suspension")
        assert echoes(session)  # for the shell
        session.continue_()
    graph.until(lambda: not echoes(session), "single keys again")
    graph.until(lambda: supervisor.node._supervision.estop._consoles, "the console is watched again")

    def released():
        session.type("c")
        session.read()
        return not supervisor.node._supervision.estop.latched

    graph.until(released, "the release by a key")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGHUP, "console /expert closed"),  # the terminal was closed, or SSH lost
        (signal.SIGSTOP, "console /expert lost"),
        (signal.SIGKILL, "console /expert lost"),
        (signal.SIGINT, "console /expert closed"),
    ],
)
def test_a_console_that_ends_or_freezes_stops_the_robot(graph, session, supervisor, number, reason):
    graph.until(lambda: supervisor.node._supervision.estop._consoles, "the console is known")
    session.process.send_signal(number)
    supervisor(session, reason)


def test_without_a_terminal_it_reports_that(contract_file):
    done = subprocess.run(
        command(contract_file),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "standard input is not a terminal" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_contract_also_restores_the_terminal():
    session = InTerminal([*command("/nowhere.yaml")])
    try:
        assert session.wait() == 1
        assert "/nowhere.yaml" in session.screen
        assert termios.tcgetattr(session.terminal) == session.before
    finally:
        session.close()


def test_arrows_are_one_key_each_whatever_the_terminal_sends():
    assert split_keys("w\x1b[A\x1bOBd") == ["w", "\x1b[A", "\x1b[B", "d"]
    assert split_keys("\x1b") == ["\x1b"]
