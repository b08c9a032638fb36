"""What a simulator lacks on a computer is named, with what to install."""

import pytest

from il_ros.sim import installed
from il_ros.sim.gz.services import ask, pause


@pytest.fixture
def computer(monkeypatch, tmp_path):
    """A computer with nothing installed but what a test puts into the folder."""
    for name in ("PATH", "AMENT_PREFIX_PATH", "IL_ROS_GAZEBO"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("ROS_DISTRO", "kilted")
    return tmp_path


def put(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)


def test_gz_needs_its_command_and_the_bridge(computer):
    install = "install ros_gz (sudo apt-get install -y ros-kilted-ros-gz) and source ROS 2"
    assert installed.why_missing("gz") == f"there is no 'gz' on the PATH; {install}"
    with pytest.raises(RuntimeError, match="there is no 'gz' on the PATH; install ros_gz"):
        ask(pause("world", True))
    put(computer / "gz")
    assert installed.why_missing("gz").startswith("there is no package ros_gz_bridge")
    assert installed.why_missing("gz").endswith(install)
    put(computer / "share/ament_index/resource_index/packages/ros_gz_bridge")
    assert installed.why_missing("gz") == ""


def test_gazebo_classic_needs_its_server_the_plugin_and_a_display(computer):
    there = "there is no Gazebo at {}; type:  make gazebo   (IL_ROS_GAZEBO names another folder)"
    put(computer / "gzserver")
    assert installed.why_missing("gazebo_classic") == there.format(computer)
    put(computer / "libil_ros_lockstep.so")
    assert "need Xvfb" in installed.why_missing("gazebo_classic")
    put(computer / "Xvfb")
    assert installed.why_missing("gazebo_classic") == ""


def test_mujoco_needs_its_package(monkeypatch):
    assert installed.why_missing("mujoco") == ""
    monkeypatch.setattr(installed, "find_spec", lambda name: None)
    assert installed.why_missing("mujoco") == "MuJoCo is not installed; type:  pip install mujoco"
