"""The launch file of a package of one's own, examples/gantry, under `ros2 launch` in a colcon workspace with both."""

import json

import pytest
from launched import ROS2, Launched, absent
from workspace import build

from il_ros.episodes.catalogue import scan
from il_ros.scenarios import SCENARIOS

pytestmark = pytest.mark.skipif(bool(absent()), reason=f"{absent()} is not installed; it comes with ROS 2")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return build(tmp_path_factory.mktemp("both"), examples=("gantry",))


def test_its_arguments_are_those_of_the_launch_file_that_it_includes(both):
    ran = both.run(*ROS2, "launch", "gantry", "record.launch.py", "--show-args")
    assert ran.returncode == 0, ran.stdout
    for argument in SCENARIOS["record"].arguments:
        assert f"'{argument.name}':" in ran.stdout


def test_it_records_a_demonstration_of_its_own_task(both, tmp_path):
    root, result = tmp_path / "episodes", tmp_path / "result.json"
    words = ["record.launch.py", "speed:=0", "cameras:=false", "episodes:=1", "seed:=3"]
    launched = Launched(both, tmp_path, *words, f"root:={root}", f"result:={result}", package="gantry")
    with launched:
        assert launched.end() == 0, launched.output
    (trial,) = json.loads(result.read_text())["trials"]
    assert trial["outcome"] == "success"
    (entry,) = scan(root).entries
    assert (entry.task, entry.info.contract_name, entry.outcome) == ("gantry", "gantry", "success")
    assert "Traceback" not in launched.output
