"""Two simulated robots in two namespaces of one ROS domain: each has its own time, and its own episodes."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from il_ros.core import messages
from il_ros.episodes.bag.reader import open_bag
from il_ros.records.decision import from_json

pytestmark = pytest.mark.usefixtures("own_domain")

CLOCK = "rosgraph_msgs/msg/Clock"
STRING = "std_msgs/msg/String"
LONG_S = 240.0


def run(folder, namespace, seed):
    words = [
        *(sys.executable, "-m", "il_ros", "run", "record", "--task", "drive", "--namespace", namespace),
        *("--speed", "0", "--cameras", "false", "--episodes", "1", "--seed", str(seed)),
        *("--root", str(folder / namespace), "--result", str(folder / f"{namespace}.json")),
        *("--logs", str(folder / f"{namespace}.log")),
    ]
    with (folder / f"{namespace}.out").open("w") as file:
        return subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)


def test_each_namespace_has_its_own_clock_and_its_own_episodes(graph, tmp_path):
    clocks = {name: graph.received(f"/{name}/clock", CLOCK) for name in ("left", "right")}
    processes = {"left": run(tmp_path, "left", 3), "right": run(tmp_path, "right", 4)}
    try:
        graph.until(lambda: all(clocks.values()), "both clocks", LONG_S)
        assert graph.outside.count_publishers("/clock") == 0
        ended = lambda: all(process.poll() is not None for process in processes.values())  # noqa: E731
        graph.until(ended, "both runs' end", LONG_S)
    finally:
        for process in processes.values():
            if process.poll() is None:
                os.kill(process.pid, signal.SIGINT)
            process.wait(60)
    for (name, process), seed in zip(processes.items(), (3, 4), strict=True):
        printed = (tmp_path / f"{name}.out").read_text()
        assert process.returncode == 0, printed
        (trial,) = json.loads((tmp_path / f"{name}.json").read_text())["trials"]
        assert (trial["seed"], trial["outcome"]) == (seed, "success"), printed
        (folder,) = (tmp_path / name).glob("episode_*")
        recorded = [(item.topic, item.raw) for item in open_bag(folder).messages()]
        assert all(topic.startswith(f"/{name}/") for topic, _ in recorded)
        decisions = [raw for topic, raw in recorded if topic == f"/{name}/dagger_supervisor/decision"]
        decided = [from_json(messages.decode(STRING, raw).data).stamp_ns for raw in decisions]
        assert {after - before for before, after in itertools.pairwise(decided)} == {50_000_000}  # 20 Hz
        stamps = [each.clock.sec * 10**9 + each.clock.nanosec for each in clocks[name]]
        assert all(before <= after for before, after in itertools.pairwise(stamps[1:]))


def test_a_simulator_refuses_a_second_clock_in_its_own_namespace_only(tmp_path, graph):
    graph.publisher("/clock", CLOCK)
    graph.publisher("/left/clock", CLOCK)
    words = [sys.executable, "-m", "il_ros.nodes.start", "sim", "--ros-args", "-p", "cameras:=false"]
    left = subprocess.run([*words, "-r", "__ns:=/left"], capture_output=True, text=True, timeout=LONG_S)
    assert left.returncode == 1
    assert re.search("(/outside|a node that was just discovered) publishes on /left/clock", left.stderr)
    clocks = graph.received("/right/clock", CLOCK)
    right = subprocess.Popen([*words, "-r", "__ns:=/right"])
    try:
        graph.until(lambda: clocks, "time in the other namespace", LONG_S)
    finally:
        right.terminate()
        assert right.wait(60) == 0
