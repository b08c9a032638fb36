"""The launch files with `ros2 launch` in a colcon installation.

Needs launch, launch_ros and ros2cli, which come only with an installed ROS 2.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from pseudo_terminal import InTerminal

from il_ros.scenarios import SCENARIOS


def absent() -> str:
    """Return which of launch's packages cannot be imported ('launch' alone may be our own folder)."""
    for name in ("launch.actions", "launch_ros.actions", "ros2launch", "ros2cli.cli", "colcon_ros"):
        try:
            if importlib.util.find_spec(name) is None:
                return name
        except ModuleNotFoundError:
            return name
    return ""


pytestmark = pytest.mark.skipif(bool(absent()), reason=f"{absent()} is not installed; it comes with ROS 2")

ROS2 = [sys.executable, "-c", "import sys; from ros2cli.cli import main; sys.exit(main())"]


def show_args(workspace, name: str) -> str:
    ran = workspace.run(*ROS2, "launch", "il_ros", f"{name}.launch.py", "--show-args")
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def launch_until(workspace, line: str, *words: str, timeout_s: float = 90.0) -> str:
    """Launch, send SIGINT once `line` is printed, and return all output."""
    command = [*ROS2, "launch", "il_ros", *words]
    process = subprocess.Popen(
        command, cwd=workspace.folder, env=workspace.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    seen = []
    deadline = time.monotonic() + timeout_s
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
    signal.alarm(int(timeout_s))
    try:
        for printed in process.stdout:
            seen.append(printed)
            if line in printed:
                process.send_signal(signal.SIGINT)
                line = "\0"  # once
        process.wait(60)
    finally:
        signal.alarm(0)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    output = "".join(seen)
    assert line == "\0", output
    assert time.monotonic() < deadline, output
    return output


@pytest.mark.parametrize("name", SCENARIOS)
def test_show_args_prints_the_declared_arguments(workspace, name):
    shown = " ".join(show_args(workspace, name).split())
    for argument in SCENARIOS[name].arguments:
        choices = f". Valid choices are: {list(argument.choices)}" if argument.choices else ""
        assert f"'{argument.name}': {argument.description}{choices} (default: '{argument.default}')" in shown


def test_record_runs_unattended_episodes_and_ends(workspace, tmp_path):
    result = tmp_path / "result.json"
    ran = workspace.run(
        *(*ROS2, "launch", "il_ros", "record.launch.py"),
        *("task:=push", "speed:=0", "cameras:=false", "episodes:=2", "time_limit_s:=30"),
        *(f"root:={tmp_path / 'episodes'}", f"result:={result}", "operator:=12"),
    )
    assert result.exists(), ran.stdout
    assert [trial["outcome"] for trial in json.loads(result.read_text())["trials"]] == ["success"] * 2
    (_, second) = sorted((tmp_path / "episodes").glob("episode_*"))
    told = json.loads((second / "episode.json").read_text())
    assert (told["operator"], told["outcome"], told["seed"]) == ("12", "success", 1)


def test_a_namespace_contains_every_node(workspace, tmp_path):
    output = launch_until(
        workspace,
        "activate: done",
        "record.launch.py",
        "namespace:=left",
        "expert:=none",
        f"root:={tmp_path}",
    )
    assert "[left.dagger_supervisor]" in output or "[left.recorder]" in output


def test_sim_runs_until_interrupted(workspace):
    output = launch_until(workspace, "]: running", "sim.launch.py", "cameras:=false")
    assert "Traceback" not in output


def test_deploy_without_a_checkpoint_reports_that(workspace, tmp_path):
    missing = tmp_path / "none"
    output = launch_until(
        workspace,
        str(missing),
        "deploy.launch.py",
        f"checkpoint:={missing}",
        "cameras:=false",
        f"root:={tmp_path}",
    )
    assert "configure refused" in output


def test_with_gz_the_server_the_bridge_and_our_node_start(workspace, tmp_path):
    """gz-sim is not available here: a stand-in prints its arguments and ends."""
    program = tmp_path / "gz"
    program.write_text('#!/bin/sh\necho "called with $*"\n')
    program.chmod(0o755)
    prefix = tmp_path / "prefix"
    bridge = prefix / "lib" / "ros_gz_bridge" / "parameter_bridge"
    bridge.parent.mkdir(parents=True)
    bridge.write_text('#!/bin/sh\necho "bridge with $*"; exec sleep 60\n')
    bridge.chmod(0o755)
    index = prefix / "share" / "ament_index" / "resource_index" / "packages" / "ros_gz_bridge"
    index.parent.mkdir(parents=True)
    index.touch()
    environment = workspace.environment
    words = {
        "PATH": f"{tmp_path}:{environment['PATH']}",
        "AMENT_PREFIX_PATH": f"{prefix}:{environment['AMENT_PREFIX_PATH']}",
    }
    ran = subprocess.run(
        [*ROS2, "launch", "il_ros", "sim.launch.py", "simulator:=gz", "task:=push"],
        cwd=workspace.folder, env={**environment, **words}, text=True, timeout=90, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert "called with sim -r -s --headless-rendering" in ran.stdout, ran.stdout
    assert "worlds/push.sdf" in ran.stdout
    assert "was required: shutting down launched system" in ran.stdout


def test_dagger_runs_a_session_without_a_first_policy(workspace, tmp_path):
    ran = workspace.run(
        *(*ROS2, "launch", "il_ros", "dagger.launch.py"),
        *("task:=push", "person:=simulated", "episodes:=2", "time_limit_s:=15", "cameras:=false"),
        *(f"root:={tmp_path / 'episodes'}", f"policies:={tmp_path / 'policies'}"),
        f"checkpoint:={tmp_path / 'policies' / 'v1'}",
    )
    assert "Traceback" not in ran.stdout
    recorded = sorted((tmp_path / "episodes").glob("episode_*"))
    assert [folder.name for folder in recorded] == ["episode_000001", "episode_000002"], ran.stdout


def test_in_a_terminal_only_the_session_prints_and_ctrl_c_ends_with_the_report(workspace, tmp_path):
    environment = [f"{name}={workspace.environment[name]}" for name in ("PYTHONPATH", "AMENT_PREFIX_PATH")]
    words = ["task:=push", "cameras:=false", f"root:={tmp_path / 'episodes'}", f"policies:={tmp_path}"]
    words.append(f"checkpoint:={tmp_path / 'v1'}")
    session = InTerminal(["env", *environment, *ROS2, "launch", "il_ros", "dagger.launch.py", *words])
    try:
        deadline = time.monotonic() + 120
        while "no episode yet" not in session.read():
            assert session.process.poll() is None, session.screen
            assert time.monotonic() < deadline, session.screen
            time.sleep(0.1)
        session.type("\x03")
        session.wait(120)
    finally:
        session.close()
    assert "no report: " in session.screen  # there are no episodes
    assert "configure: done" not in session.screen  # goes to the log


def test_train_waits_for_its_service(workspace, tmp_path):
    output = launch_until(workspace, "]: running", "train.launch.py", f"root:={tmp_path}")
    assert "Traceback" not in output


def test_a_wrong_argument_is_refused_before_any_process_starts(workspace):
    ran = workspace.run(*ROS2, "launch", "il_ros", "sim.launch.py", "speed:=fast")
    assert ran.returncode != 0
    assert "speed:=fast is not a number" in ran.stdout
    assert "process started" not in ran.stdout


def test_ros2_run_finds_the_nodes(workspace):
    ran = workspace.run(*ROS2, "run", "il_ros", "scripted_expert", "--ros-args", "-p", "contract:=nothing")
    assert "cannot start" in ran.stdout
