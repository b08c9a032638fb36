"""The start of an executable: wrong parameters end it before any import that takes time, and a signal during one."""

import os
import signal
import subprocess
import sys

import pytest


def start(executable, *words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "il_ros.nodes.start", executable, "--ros-args", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["-p", "opertor:=ada"],
            "-p opertor:=ada: section /**: there is no parameter opertor; is operator meant?",
        ),
        (["--param", "recorder:opertor:=ada"], "is operator meant?"),
        (["--params-file", "none.yaml"], "none.yaml: there is no such file"),
    ],
)
def test_a_misspelt_parameter_ends_a_node_that_was_started_alone(words, message):
    ran = start("recorder", *words)
    assert ran.returncode == 1
    assert message in ran.stderr
    assert ran.stderr.startswith("recorder cannot start: ")
    assert "Traceback" not in ran.stderr


def test_a_file_of_ones_own_launch_file_is_checked_for_the_node_as_it_is_named(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/left/grip:\n  ros__parameters:\n    roots: here\n")
    named = ["-r", "__node:=grip", "-r", "__ns:=/left", "--params-file", str(file)]
    ran = start("recorder", *named)
    assert ran.returncode == 1
    assert f"{file}:3: node /left/grip: there is no parameter roots; is root meant?" in ran.stderr


def test_a_folder_for_ros_own_log_that_cannot_be_made_is_said_in_a_line():
    ran = start("recorder", "-p", "contract:=arm_push", ROS_LOG_DIR="/dev/null/log")
    assert ran.returncode == 1
    assert ran.stderr.startswith(
        "Recorder cannot start: failed to initialize logging: Failed to create log directory"
    )
    assert "Traceback" not in ran.stderr


def test_an_unknown_executable_is_refused_with_the_known_ones():
    ran = start("recoder")
    assert ran.returncode == 2
    assert "conductor, dagger_supervisor, judge, playback, policy_server, recorder" in ran.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["-p", "device:=joi"],
            "teleop cannot start: parameter device: device 'joi' is not known; did you mean 'joy'",
        ),
        ([], "teleop cannot start: parameter device: device '' is not known; known: joy, keyboard, leader"),
    ],
)
def test_a_device_that_nobody_registers_is_refused_with_the_known_ones(words, message):
    ran = start("teleop", *words)
    assert ran.returncode == 1
    assert ran.stderr.startswith(message)
    assert "Traceback" not in ran.stderr


def test_the_device_may_be_named_in_a_parameter_file_and_have_parameters_of_its_own(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "expert:\n  ros__parameters:\n    device: joy\n    axxes: [a]\n    contract: none_of_this_name\n"
    )
    ran = start("teleop", "--params-file", str(file))
    assert "contract 'none_of_this_name'" in ran.stderr
    assert "axxes" not in ran.stderr


def test_results_are_not_written_over_somebody_elses_file(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text("{}")
    ran = start("conductor", "-p", f"result:={file}")
    assert ran.returncode == 1
    assert ran.stderr.startswith(
        f"Conductor cannot start: result: {file}: exists, and il-ros did not write it"
    )
    assert "Traceback" not in ran.stderr


RUN = """
from il_ros.nodes import start
start.NODES["recorder"] = "own_node"
raise SystemExit(start.run("recorder", []))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_node_that_still_imports_at_once(tmp_path, number):
    (tmp_path / "own_node.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(600)\n")
    process = running(tmp_path)
    assert process.stdout.readline() == "importing\n"
    process.send_signal(number)
    assert process.wait(timeout=60) == 0  # as a node that was stopped
    assert "Traceback" not in process.stderr.read()


def test_a_signal_after_the_import_is_kept_for_the_node(tmp_path):
    (tmp_path / "own_node.py").write_text(
        "import os, signal\n"
        "def main(args):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return 40 + (signal.SIGINT in signal.sigpending()) + (signal.getsignal(2) is signal.default_int_handler)\n"
    )
    process = running(tmp_path)
    assert process.wait(timeout=60) == 42, process.stderr.read()


def running(folder):
    path = os.pathsep.join([str(folder), *sys.path])
    return subprocess.Popen(
        [sys.executable, "-c", RUN],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
