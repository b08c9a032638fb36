"""Latency from observation via policy server (MLP 256x256) and supervisor to command, and of bare relays.

    python bench/control_path.py [--duration 60] [--rates 100 200] [--load 0 1 2] [--realtime 50]

Both chains run in one session and alternate every few seconds, under the same load and DDS settings:
  ours    sensor → policy_server → dagger_supervisor → command (+ decision)
  relays  sensor → bare rclpy node with the same MLP in NumPy → bare rclpy relay node → command
Prints one JSON object. Latency: from just before the sensor's publish call to the command's arrival, both in
this process. `--load N`: with a concurrent training loop (torch, batch 1024) of N threads. Run it on an idle
machine.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
os.environ["OMP_NUM_THREADS"] = "1"

from support.control_chains import CONTRACT, JOINTS, TRAINING, commands, make_checkpoint
from support.processes import started

from il_ros.core import messages

JOINT_STATE, COMMAND, STRING = (
    "sensor_msgs/msg/JointState",
    "std_msgs/msg/Float64MultiArray",
    "std_msgs/msg/String",
)
CHAINS = ("ours", "relays")
SETTLE_S = 0.5  # excluded at the start of each turn


def main() -> None:
    arguments = parse()
    cases = [case(rate, load, arguments) for rate in arguments.rates for load in arguments.load]
    machine = {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}
    print(
        json.dumps(
            {"bench": "control_path", "machine": machine, "realtime": arguments.realtime, "cases": cases}
        )
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--duration", type=float, default=60.0, help="seconds of measurement per case and chain"
    )
    parser.add_argument("--turn", type=float, default=5.0, help="seconds per turn of a chain")
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 200], help="Hz")
    parser.add_argument(
        "--load", type=int, nargs="+", default=[0, 1, 2], help="threads of a concurrent training loop"
    )
    parser.add_argument(
        "--realtime", type=int, default=0, help="SCHED_FIFO priority of all control processes"
    )
    parser.add_argument("--only", choices=CHAINS, help="measure one chain alone")
    return parser.parse_args()


def case(rate: int, load: int, arguments: argparse.Namespace) -> dict:
    """Measure both chains at one rate under one load, in turns."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        file = Path(folder) / "contract.yaml"
        file.write_text(CONTRACT.format(rate=rate, names=JOINTS))
        weights = make_checkpoint(file, Path(folder) / "checkpoint")
        for command in commands(file, Path(folder), weights, arguments.realtime):
            running.enter_context(started(command))
        if load:
            running.enter_context(started([sys.executable, "-c", TRAINING, str(load)]))
        chains = [arguments.only] if arguments.only else CHAINS
        measured = measure(chains, rate, arguments)
    result = {"rate_hz": rate, "training_threads": load} | {
        name: summary(rows, rate) for name, rows in measured.items()
    }
    if len(chains) == 2 and all(result[name].get("p50_ms") for name in chains):
        result["p50_ours_over_relays"] = round(result["ours"]["p50_ms"] / result["relays"]["p50_ms"], 3)
    return result


# ---- sensor and sink -------------------------------------------------------------------------------------


def measure(
    chains: list[str], rate: int, arguments: argparse.Namespace
) -> dict[str, list[tuple[int, int | None]]]:
    """Return, per chain, (published_ns, received_ns or None) of every counted observation."""
    from il_ros.nodes.runtime import process

    process.set_dds_profile()
    import rclpy
    from rclpy.experimental import EventsExecutor
    from rclpy.task import Future

    from il_ros.nodes.runtime.streams import message_class

    rclpy.init()
    node = rclpy.create_node("bench")
    sensors = {
        name: node.create_publisher(message_class(JOINT_STATE), f"/{name}/joint_states", 1) for name in chains
    }
    arrived: dict[str, list[int]] = {name: [] for name in chains}
    decisions: list[bytes] = []
    for name in chains:

        def receive(_raw: bytes, times: list[int] = arrived[name]) -> None:
            times.append(time.perf_counter_ns())

        node.create_subscription(message_class(COMMAND), f"/{name}/command", receive, 100, raw=True)
    node.create_subscription(
        message_class(STRING), "/ours/dagger_supervisor/decision", decisions.append, 100, raw=True
    )
    if arguments.realtime:
        process.set_realtime(arguments.realtime)
    gc.disable()  # a full collection would distort the latency
    executor = EventsExecutor()
    executor.add_node(node)
    never = Future()
    rng = np.random.default_rng(0)
    wave = rng.normal(size=(1000, 7)) * 0.01
    sent: list[tuple[str, int, int, bool]] = []  # chain, tick, published at, counted
    state = {"chain": chains[0], "counted": False}

    def sense() -> None:
        tick_ns, name = time.time_ns(), state["chain"]
        raw = messages.encode(
            JOINT_STATE,
            messages.make(
                JOINT_STATE,
                header=messages.header(tick_ns),
                name=JOINTS,
                position=wave[len(sent) % 1000],
                velocity=wave[-1 - len(sent) % 1000],
            ),
        )
        sent.append((name, tick_ns, time.perf_counter_ns(), state["counted"]))
        sensors[name].publish(raw)

    timer = node.create_timer(1.0 / rate, sense)

    def spin(seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            executor.spin_until_future_complete(never, left_s)

    for name in chains:
        wait_until_answered(name, state, arrived, spin)
    for _ in range(max(1, round(arguments.duration / arguments.turn))):
        for name in chains:
            state.update(chain=name, counted=False)
            spin(SETTLE_S)
            state["counted"] = True
            spin(arguments.turn)
    node.destroy_timer(timer)
    spin(0.5)
    rclpy.shutdown()
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # the next case's processes inherit it
    return {name: paired(name, sent, arrived[name], decisions) for name in chains}


def wait_until_answered(name: str, state: dict, arrived: dict, spin) -> None:
    state["chain"] = name
    end_s = time.monotonic() + 60
    while len(arrived[name]) < 50:
        spin(0.1)
        if time.monotonic() > end_s:
            sys.exit(f"chain '{name}': no commands within 60 s")


def paired(
    name: str, sent: list, arrivals: list[int], decisions: list[bytes]
) -> list[tuple[int, int | None]]:
    """Return (published, received) per counted observation.

    Ours: the decision after each command names its tick. Relays: the first command after the observation, if
    it arrives before the next observation.
    """
    own = [(tick, published, counted) for chain, tick, published, counted in sent if chain == name]
    if name == "ours":
        made = [json.loads(messages.decode(STRING, raw).data) for raw in decisions]
        made = [decision for decision in made if decision["sent"] is not None]
        if len(arrivals) - len(made) not in (0, 1):  # the end may fall between a command and its decision
            sys.exit(f"{len(arrivals)} commands and {len(made)} decisions: they cannot be paired")
        by_tick = {
            decision["stamp_ns"]: at
            for decision, at in zip(made, arrivals, strict=False)
            if decision["authority"] == "policy"
        }
        return [(published, by_tick.get(tick)) for tick, published, counted in own if counted]
    rows, place = [], 0
    for (_, published, counted), following in zip(own, [*own[1:], (0, 1 << 62, False)], strict=True):
        while place < len(arrivals) and arrivals[place] < published:
            place += 1
        answered = place < len(arrivals) and arrivals[place] < following[1]
        if counted:
            rows.append((published, arrivals[place] if answered else None))
    return rows


def summary(rows: list[tuple[int, int | None]], rate: int) -> dict:
    """Return percentiles, and the number of ticks missed or answered later than one period."""
    latency_ms = np.array(
        [(received - published) / 1e6 for published, received in rows if received is not None]
    )
    missed = len(rows) - len(latency_ms)
    result = {"ticks": len(rows), "missed": missed, "late": int((latency_ms > 1e3 / rate).sum())}
    if len(latency_ms):
        for name, percent in (("p50_ms", 50), ("p99_ms", 99), ("p99.9_ms", 99.9), ("max_ms", 100)):
            result[name] = round(float(np.percentile(latency_ms, percent)), 3)
    return result


if __name__ == "__main__":
    main()
