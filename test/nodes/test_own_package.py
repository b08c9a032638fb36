"""A package of one's own (examples/gantry), installed beside il_ros: the whole loop on a real graph."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from own_package import install

from il_ros.core import messages
from il_ros.core.specs import JOINT_STATE
from il_ros.records import proposal

POINT = "geometry_msgs/msg/PointStamped"
LOCKSTEP = ("--task", "gantry", "--speed", "0", "--cameras", "false")

pytestmark = pytest.mark.usefixtures("own_domain")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return install(tmp_path_factory.mktemp("own"))


def test_its_plugins_are_listed_under_its_name_and_none_is_broken(package):
    listed = package.il_ros("plugins")
    ours = [line.split()[-4:] for line in listed.splitlines() if " gantry 0.1.0 " in line]
    assert ours == [
        ["linear", "gantry", "0.1.0", "gantry.family:FAMILY"],
        ["geometry_msgs/msg/PolygonStamped", "gantry", "0.1.0", "gantry.codec:OutlineCodec"],
        ["gantry", "gantry", "0.1.0", "gantry.task:Gantry"],
        ["gantry", "gantry", "0.1.0", "gantry.expert:GantryExpert"],
        ["clicked_point", "gantry", "0.1.0", "gantry.device:ClickedPoint"],
    ]
    assert "none broken" in listed
    assert "gantry" in package.il_ros("run", "sim", "--help")


@pytest.mark.timeout(900)  # forty seconds on a quiet machine: four commands with up to seven processes each
def test_its_task_is_recorded_its_family_trained_promoted_and_drives(package):
    recipe = package.site / "gantry" / "linear.yaml"
    package.il_ros("run", "record", *LOCKSTEP, "--episodes", "4", "--result", "shown.json")
    assert outcomes(package, "shown.json") == ["success"] * 4

    package.il_ros("train", "episodes", "--recipe", recipe, "--out", "checkpoint/v1")
    learnt = json.loads((package.here / "checkpoint" / "v1" / "checkpoint" / "config.json").read_text())
    assert learnt["family"] == "linear"

    correct = (
        "--mode",
        "dagger",
        "--session",
        "false",
        "--episodes",
        "1",
        "--per-round",
        "1",
        "--seed",
        "50",
    )
    versions = ("--checkpoint", "checkpoint/v1", "--policies", "checkpoint", "--recipe", recipe)
    corrected = package.il_ros("run", "dagger", *LOCKSTEP, *correct, *versions)
    assert "version v2 in control (was v1): promoted" in corrected

    drive = ("--start", "driving", "--checkpoint", "checkpoint", "--episodes", "2", "--seed", "100")
    driven = package.il_ros(
        "run", "deploy", *LOCKSTEP, *drive, "--session", "false", "--result", "driven.json"
    )
    assert "policy v2" in driven
    assert outcomes(package, "driven.json") == ["success"] * 2


def test_its_device_proposes_the_clicked_point(package, graph):
    joints = graph.publisher("joint_states", JOINT_STATE)
    click = graph.publisher("clicked_point", POINT)
    proposed = graph.received_raw("expert/proposal", proposal.TYPE)
    contract = package.site / "gantry" / "gantry.yaml"
    words = [
        "--ros-args",
        "-p",
        "device:=clicked_point",
        "-p",
        f"contract:={contract}",
        "-p",
        "drive_for:=120.0",
    ]
    node = subprocess.Popen(
        [sys.executable, "-m", "il_ros.nodes.start", "teleop", *words],
        env=package.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    point = messages.make("geometry_msgs/msg/Point", x=0.1, y=-0.2, z=0.0)

    def driven():
        assert node.poll() is None, node.stdout.read()
        head = messages.header(time.time_ns())
        click(messages.make(POINT, header=head, point=point))
        joints(messages.make(JOINT_STATE, header=head, name=["x", "y"], position=np.zeros(2)))
        graph.spin(0.02)
        chunks = [proposal.decode(raw, ("tool/x", "tool/y"), 50_000_000) for raw in proposed]
        return [each for each in chunks if not each.releases]

    try:
        chunk = graph.until(driven, "a proposal of the device")[0].chunk
    finally:
        node.send_signal(signal.SIGINT)
        node.communicate(timeout=60)
    np.testing.assert_allclose(chunk, [[0.1, -0.2]])
    assert node.returncode == 0


def outcomes(package, name):
    return [trial["outcome"] for trial in json.loads((package.here / name).read_text())["trials"]]
