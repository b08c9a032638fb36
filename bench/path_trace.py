"""Where the time from observation to command goes: the median of each step, in a table.

    python bench/path_trace.py [--seconds 20] [--rate 100] [--realtime 50] [--package ../before]

sensor → policy_server (MLP 256x256) → dagger_supervisor → command, as in control_path.py, with stamps of the monotonic
clock between the steps (support/traced.py), which add a few microseconds. `--package`: trace another checkout's il_ros.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
os.environ["OMP_NUM_THREADS"] = "1"

from support.control_chains import CONTRACT, JOINTS, make_checkpoint
from support.processes import started

from il_ros.core import messages
from il_ros.scenarios import graph

JOINT_STATE, COMMAND = "sensor_msgs/msg/JointState", "std_msgs/msg/Float64MultiArray"
Ticks = dict[int, dict[str, int]]

STEPS = (
    ("sensor", "sent", "policy_server", "received", "message on its way"),
    ("policy_server", "received", "policy_server", "buffered", "stamp read, buffered"),
    ("policy_server", "buffered", "policy_server", "decoded and synchronised", "decoded, synchronised"),
    ("policy_server", "decoded and synchronised", "policy_server", "prepared", "prepared"),
    ("policy_server", "prepared", "policy_server", "inferred", "inferred"),
    ("policy_server", "inferred", "policy_server", "encoded", "proposal made and encoded"),
    ("policy_server", "encoded", "policy_server", "published", "publish call"),
    ("policy_server", "encoded", "supervisor", "received", "proposal on its way, from the call"),
    ("supervisor", "received", "supervisor", "decoded", "decoded"),
    ("supervisor", "decoded", "supervisor", "target chosen", "accepted, arbitrated"),
    ("supervisor", "target chosen", "supervisor", "limited", "limited"),
    ("supervisor", "limited", "supervisor", "decided", "decision built"),
    ("supervisor", "decided", "supervisor", "command encoded", "command encoded"),
    ("supervisor", "command encoded", "supervisor", "command published", "publish call"),
    ("supervisor", "command encoded", "controller", "arrived", "command on its way, from the call"),
    ("supervisor", "command published", "supervisor", "recorded", "after the command: recorded"),
    ("sensor", "sent", "controller", "arrived", "all"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=int, default=100, help="Hz")
    parser.add_argument("--realtime", type=int, default=0, help="SCHED_FIFO priority of all processes")
    parser.add_argument("--package", type=Path, help="checkout whose il_ros the nodes run")
    arguments = parser.parse_args()
    found = measure(arguments)
    print(json.dumps({"bench": "path_trace", "rate_hz": arguments.rate, "load": os.getloadavg()[0]}))
    for *_, name, p50, p99 in table(found):
        print(f"{name:<55} {p50:8.0f} {p99:8.0f}")


def measure(arguments: argparse.Namespace) -> dict[str, Ticks]:
    """Return the times of each process, in ns, by tick and mark."""
    from il_ros.nodes.runtime import process

    process.set_dds_profile()
    import rclpy
    from rclpy.experimental import EventsExecutor
    from rclpy.task import Future

    from il_ros.nodes.runtime.streams import message_class

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        file = folder / "contract.yaml"
        file.write_text(CONTRACT.format(rate=arguments.rate, names=JOINTS))
        make_checkpoint(file, folder / "checkpoint")
        for command in nodes(file, folder, arguments):
            environment = dict(os.environ)
            if arguments.package:
                environment["PYTHONPATH"] = str(arguments.package.resolve())
            running.enter_context(started(command, env=environment))
        rclpy.init()
        node = rclpy.create_node("bench")
        sensor = node.create_publisher(message_class(JOINT_STATE), "joint_states", 1)
        sent: list[tuple[int, int]] = []
        arrived: list[int] = []
        node.create_subscription(
            message_class(COMMAND), "command", lambda _raw: arrived.append(time.monotonic_ns()), 100, raw=True
        )
        if arguments.realtime:
            process.set_realtime(arguments.realtime)
        gc.disable()
        wave = np.random.default_rng(0).normal(size=(1000, 7)) * 0.01

        def sense() -> None:
            tick_ns, count = time.time_ns(), len(sent)
            values = {"position": wave[count % 1000], "velocity": wave[-1 - count % 1000]}
            head = messages.header(tick_ns)
            raw = messages.encode(JOINT_STATE, messages.make(JOINT_STATE, header=head, name=JOINTS, **values))
            sent.append((tick_ns, time.monotonic_ns()))
            sensor.publish(raw)

        executor = EventsExecutor()
        executor.add_node(node)
        node.create_timer(1.0 / arguments.rate, sense)
        never = Future()
        end_s = time.monotonic() + 60
        while len(arrived) < 100 and time.monotonic() < end_s:
            executor.spin_until_future_complete(never, 0.1)
        end_s = time.monotonic() + arguments.seconds
        while (left_s := end_s - time.monotonic()) > 0:
            executor.spin_until_future_complete(never, left_s)
        rclpy.shutdown()
        running.close()
        found = {each: read(folder / f"{each}.json") for each in ("policy_server", "supervisor")}
    counted = dict(sent[100:])
    found["sensor"] = {tick_ns: {"sent": at_ns} for tick_ns, at_ns in counted.items()}
    found["controller"] = arrivals(found["supervisor"], arrived)
    return found


def nodes(file: Path, folder: Path, arguments: argparse.Namespace) -> list[list[str]]:
    """Return the command lines of the two nodes."""
    shared = {"contract": str(file), "realtime_priority": arguments.realtime}
    specs = {
        "policy_server": graph.NodeSpec(
            "policy_server", "policy_server", shared | {"checkpoint": str(folder / "checkpoint")}
        ),
        "supervisor": graph.NodeSpec("dagger_supervisor", "dagger_supervisor", shared),
    }
    traced = str(Path(__file__).parent / "support" / "traced.py")
    return [
        [sys.executable, traced, str(folder / f"{name}.json"), name, *arguments_of(spec)]
        for name, spec in specs.items()
    ]


def arguments_of(spec: graph.NodeSpec) -> list[str]:
    """Return the ROS arguments of a node."""
    words = graph.command(spec)
    return words[words.index("--ros-args") :]


def read(file: Path) -> Ticks:
    """Return the marks of a process, by the stamp of the tick."""
    ticks: Ticks = {}
    for (name, _), *marks in json.loads(file.read_text()):
        stamp = name.removeprefix("tick ")
        if stamp != "None":
            ticks[int(stamp)] = dict(marks)
    return ticks


def arrivals(decided: Ticks, arrived: list[int]) -> Ticks:
    """Return the first arrival after each command, if it comes before the next command."""
    ticks: Ticks = {}
    ordered = sorted(
        (marks["command encoded"], tick) for tick, marks in decided.items() if "command encoded" in marks
    )
    place = 0
    for (at_ns, tick), (next_ns, _) in zip(ordered, [*ordered[1:], (1 << 62, 0)], strict=True):
        while place < len(arrived) and arrived[place] < at_ns:
            place += 1
        if place < len(arrived) and arrived[place] < next_ns:
            ticks[tick] = {"arrived": arrived[place]}
    return ticks


def table(found: dict[str, Ticks]) -> list[tuple[Any, ...]]:
    """Return the steps with the median and the 99th percentile of their durations, in us."""
    rows = []
    for first, begin, second, end, name in STEPS:
        durations = [
            found[second][tick][end] - found[first][tick][begin]
            for tick in found["sensor"]
            if begin in found[first].get(tick, {}) and end in found[second].get(tick, {})
        ]
        where = f"{second}: {name}" if first == second else name
        p50, p99 = np.percentile(durations, [50, 99]) / 1e3 if durations else (np.nan, np.nan)
        rows.append((where, p50, p99))
    return rows


if __name__ == "__main__":
    main()
