"""The launch files with `ros2 launch` in a colcon installation.

Needs launch, launch_ros and ros2cli, which come only with an installed ROS 2.
"""

import json
import os
import signal
import subprocess
import time

import pytest
from launched import ROS2, Launched, absent, saved_policy
from pseudo_terminal import InTerminal

from il_ros.scenarios import SCENARIOS

pytestmark = pytest.mark.skipif(bool(absent()), reason=f"{absent()} is not installed; it comes with ROS 2")


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
        _, found, said = shown.partition(f"'{argument.name}': {argument.description}")
        assert found, argument.name
        if argument.allowed:
            start, _, said = said.partition("]")
            # registered names are listed in another order where they come from an installation's metadata
            assert sorted(start.removeprefix(". Valid choices are: [").split(", ")) == sorted(
                map(repr, argument.allowed)
            )
        assert said.startswith(f" (default: '{argument.default}')"), argument.name


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
    info = json.loads((second / "episode.json").read_text())
    assert (info["operator"], info["outcome"], info["seed"]) == ("12", "success", 1)


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


def test_deploy_without_a_checkpoint_says_that_once_and_starts_nothing(workspace, tmp_path):
    missing = tmp_path / "none"
    words = ["deploy.launch.py", f"checkpoint:={missing}", "cameras:=false", f"root:={tmp_path}"]
    ran = workspace.run(*ROS2, "launch", "il_ros", *words)
    assert ran.returncode == 1
    assert ran.stdout.count("no such folder") == 1
    assert "process started" not in ran.stdout


def test_a_node_that_fails_to_start_ends_the_launch_with_1(workspace, tmp_path):
    words = ["sim.launch.py", "cameras:=false", f"params_file:={tmp_path / 'mine.yaml'}"]
    (tmp_path / "mine.yaml").write_text("sim: {ros__parameters: {camera_width: -5}}")
    ran = workspace.run(*ROS2, "launch", "il_ros", *words)
    assert ran.returncode == 1, ran.stdout
    assert ran.stdout.count("camera_width is -5") == 1


def test_a_file_overrides_defaults_but_not_given_arguments(workspace, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "/**: {ros__parameters: {root: from_file, operator: ada, joy_buttons: []}}"
    )
    words = ["record.launch.py", "cameras:=false", "expert:=none", f"params_file:={tmp_path / 'mine.yaml'}"]
    launched = Launched(workspace, tmp_path, *words, "operator:=bob")
    with launched:
        launched.until("[recorder]: activate: done")
        asked = {
            name: workspace.run(*ROS2, "param", "get", "/recorder", name).stdout
            for name in ("root", "operator")
        }
        launched.process.send_signal(signal.SIGINT)
        assert launched.end() == 0
    assert asked["root"].strip() == "String value is: from_file"
    assert asked["operator"].strip() == "String value is: bob"


@pytest.mark.parametrize("given", ["parameters:=mine.yaml"])
def test_the_former_argument_is_refused_with_the_new_one(workspace, given):
    ran = workspace.run(*ROS2, "launch", "il_ros", "sim.launch.py", given)
    assert ran.returncode == 1
    assert "parameters:= is called params_file:= now" in ran.stdout
    assert "process started" not in ran.stdout


def test_with_use_respawn_a_killed_policy_server_comes_back_and_a_killed_supervisor_does_not(
    workspace, tmp_path
):
    policy = saved_policy(tmp_path / "policy")
    words = ["deploy.launch.py", "task:=drive", "cameras:=false", "use_respawn:=true", "record:=false"]
    launched = Launched(workspace, tmp_path, *words, f"checkpoint:={policy}")
    with launched:
        launched.until("[policy_server]: activate: done")
        os.kill(launched.nodes()["policy_server"], signal.SIGKILL)
        launched.until("[policy_server]: activate: done", times=2)
        os.kill(launched.nodes()["dagger_supervisor"], signal.SIGKILL)
        assert launched.end() == 1
    assert "dagger_supervisor ended with exit code -9" in launched.output


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
    assert ran.returncode == 0


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


TWO_ROBOTS = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import PushRosNamespace
from launch_ros.substitutions import FindPackageShare

def robot(name, seed):
    file = PathJoinSubstitution([FindPackageShare("il_ros"), "launch", "record.launch.py"])
    given = {"task": "drive", "speed": "0", "cameras": "false", "episodes": "1", "seed": seed,
             "root": f"ROOT/{name}", "result": f"ROOT/{name}.json"}
    include = IncludeLaunchDescription(PythonLaunchDescriptionSource(file), launch_arguments=given.items())
    return GroupAction([PushRosNamespace(name), include])

def generate_launch_description():
    return LaunchDescription([robot("left", "3"), robot("right", "4")])
"""


def test_two_robots_from_ones_own_launch_file_have_their_own_time(workspace, tmp_path):
    """The first robot that has finished ends the launch: the other one's episode may be cut short."""
    file = tmp_path / "two.launch.py"
    file.write_text(TWO_ROBOTS.replace("ROOT", str(tmp_path)))
    launched = Launched(workspace, tmp_path, launch_file=file)
    with launched:
        assert launched.end() == 0, launched.output
    results = [tmp_path / f"{name}.json" for name in ("left", "right")]
    finished = [json.loads(result.read_text())["trials"] for result in results if result.exists()]
    assert finished, launched.output
    assert all(trial["outcome"] == "success" for (trial,) in finished)
    for name in ("left", "right"):
        assert f"[{name}.dagger_supervisor]: activate: done" in launched.output
    assert "already" not in launched.output
    assert "Traceback" not in launched.output
