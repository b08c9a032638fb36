"""Gazebo's processes: error messages, and no process outlives its parent."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from il_ros.sim.gazebo import process
from il_ros.sim.gazebo.arm import JOINTS
from il_ros.sim.gazebo.client import Client
from il_ros.sim.gazebo.process import Gazebo
from il_ros.sim.gazebo.world import world_element, world_text
from il_ros.sim.tasks.task import NO_CAMERAS

TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def world():
    return world_text(world_element("reach"), NO_CAMERAS, 2_500_000)


@pytest.fixture(scope="module")
def client(world):
    if process.why_missing():
        pytest.skip(process.why_missing())
    client = Client(Gazebo(world), JOINTS, ["goal"])
    yield client
    client.close()


def children(pid):
    """Return the ids of all descendants of a process, from /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_missing_part_of_the_world_is_named(world):
    gazebo = Gazebo(world)
    with pytest.raises(RuntimeError, match="the world has no joint joint9"):
        Client(gazebo, {"joint9": 0.0}, [])
    gazebo.close()
    gazebo.close()


def test_a_missing_camera_is_named_and_the_next_request_is_served(client):
    with pytest.raises(RuntimeError, match="the world has no camera nowhere"):
        client.picture("nowhere")
    assert client.picture("overhead").shape == (96, 96, 3)


def test_a_request_that_is_too_short_is_refused_and_the_next_one_served(client):
    with pytest.raises(RuntimeError, match="too short"):
        client.step(1, np.zeros(3))
    assert client.step(1, np.zeros(8)).position.shape == (8,)


def test_a_terminated_gazebo_is_detected_with_its_last_output(world):
    gazebo = Gazebo(world)
    client = Client(gazebo, JOINTS, ["goal"])
    gazebo._processes[1].kill()
    with pytest.raises(RuntimeError, match="Gazebo doesn't answer"):
        client.step(1, np.zeros(8))
    client.close()


def test_no_process_outlives_the_one_that_started_it():
    code = (
        "from il_ros.sim.tasks.task import make_task\n"
        "task = make_task('reach', simulator='gazebo_classic'); task.reset(0)\n"
        "print('ready', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout.readline() == "ready\n"
        started = children(parent.pid)
        assert len(started) == 2  # Xvfb and gzserver
        parent.kill()
    end_s = time.monotonic() + TIMEOUT_S
    while any(map(alive, started)):
        assert time.monotonic() < end_s, "a process of Gazebo lives on"
        time.sleep(0.02)


def test_without_gazebo_the_error_gives_the_command_to_run(monkeypatch, tmp_path):
    monkeypatch.setenv("IL_ROS_GAZEBO", str(tmp_path))
    with pytest.raises(RuntimeError, match=f"no Gazebo at {tmp_path}; type:  make gazebo"):
        Gazebo("<sdf/>")
