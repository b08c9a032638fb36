"""Deadman pressed → first command of the expert, and release → first command of the policy, in periods.

    python bench/takeover.py [--presses 100] [--rates 20 100]

Nodes, one process each: policy_server (an untrained MLP), teleop_joy, dagger_supervisor in hg_dagger. This
process simulates robot and gamepad: it publishes joint states at the control rate, and presses and releases
the deadman at times spread over the period. Latency: from just before the publication of the Joy message to
the arrival of the first command whose decision names the new source, both in this process. The latency of a
hand-back is also split in two: until the publication of the tick that the command answers (up to one period,
because observations from before the handover are not used), and from there to the command. Prints one JSON
object.
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

from control_path import COMMAND, JOINT_STATE, STRING
from support.control_chains import CONTRACT, JOINTS, make_checkpoint
from support.processes import started

from il_ros.core import messages
from il_ros.scenarios import graph

JOY = "sensor_msgs/msg/Joy"
DEADMAN = 4
LONGEST_S = 2.0
SETTLE_PERIODS = 6  # from press to release: the ramp has begun, both sources propose


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--presses", type=int, default=100, help="takeovers per rate, and hand-backs")
    parser.add_argument("--rates", type=int, nargs="+", default=[20, 100], help="control rates in Hz")
    arguments = parser.parse_args()
    cases = [case(rate, arguments.presses) for rate in arguments.rates]
    machine = {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version()}
    load = os.getloadavg()[0]
    print(json.dumps({"bench": "takeover", "machine": machine, "load_1min": load, "cases": cases}))


def case(rate: int, presses: int) -> dict:
    """Run the measurement at one control rate."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as running:
        file = Path(folder) / "contract.yaml"
        file.write_text(CONTRACT.format(rate=rate, names=JOINTS))
        make_checkpoint(file, Path(folder) / "checkpoint")
        options = Path(folder) / "joy.yaml"
        options.write_text(
            f'/**:\n  ros__parameters:\n    axes: ["arm/joint1 0 0.5"]\n    deadman_button: {DEADMAN}\n'
        )
        shared = {"contract": str(file)}
        specs = (
            graph.NodeSpec(
                "policy_server", "policy_server", shared | {"checkpoint": str(Path(folder) / "checkpoint")}
            ),
            graph.NodeSpec("teleop_joy", "expert", shared | {"timeout": 30.0}, files=(str(options),)),
            graph.NodeSpec("dagger_supervisor", "dagger_supervisor", shared | {"mode": "hg_dagger"}),
        )
        for spec in specs:
            running.enter_context(started(graph.command(spec)))
        found = measure(rate, presses)
    return {"rate_hz": rate} | {name: summary(values, 1000 / rate) for name, values in found.items()}


def measure(rate: int, presses: int) -> dict[str, list[float]]:
    """Return the latencies in ms of takeovers, of hand-backs, and of the two parts of hand-backs."""
    from il_ros.nodes.runtime import process

    process.set_dds_profile()
    import rclpy
    from rclpy.experimental import EventsExecutor
    from rclpy.task import Future

    from il_ros.nodes.runtime.streams import message_class

    rclpy.init()
    node = rclpy.create_node("bench")
    sensor = node.create_publisher(message_class(JOINT_STATE), "joint_states", 1)
    gamepad = node.create_publisher(message_class(JOY), "joy", 1)
    arrivals: list[int] = []
    made: list[tuple[str, int, int]] = []  # per command: source, arrival time, stamp of its tick
    ticks: dict[int, int] = {}  # publication time by stamp

    def decided(raw: bytes) -> None:
        decision = json.loads(messages.decode(STRING, raw).data)
        if decision["sent"] is not None:  # its command arrived just before
            came_ns = arrivals[len(made)] if len(made) < len(arrivals) else 0
            made.append((decision["authority"], came_ns, decision["stamp_ns"]))

    kinds = ((COMMAND, "command"), (STRING, "dagger_supervisor/decision"))
    hear = (lambda _raw: arrivals.append(time.perf_counter_ns()), decided)
    for (kind, topic), callback in zip(kinds, hear, strict=True):
        node.create_subscription(message_class(kind), topic, callback, 100, raw=True)

    def sense() -> None:
        state = {"name": JOINTS, "position": np.zeros(7), "velocity": np.zeros(7)}
        stamp_ns = time.time_ns()
        message = messages.make(JOINT_STATE, header=messages.header(stamp_ns), **state)
        ticks[stamp_ns] = time.perf_counter_ns()
        sensor.publish(messages.encode(JOINT_STATE, message))

    def press(held: bool) -> int:
        buttons = np.zeros(DEADMAN + 1, np.int32)
        buttons[DEADMAN] = held
        raw = messages.encode(JOY, messages.make(JOY, axes=np.ones(1, np.float32), buttons=buttons))
        at_ns = time.perf_counter_ns()
        gamepad.publish(raw)
        return at_ns

    gc.disable()  # a full collection would distort the latency
    executor = EventsExecutor()
    executor.add_node(node)
    never = Future()
    node.create_timer(1.0 / rate, sense)

    def until(done, longest_s: float, what: str) -> None:
        end_s = time.monotonic() + longest_s
        while not done():
            executor.spin_once(0.0005)
            if time.monotonic() > end_s:
                sys.exit(f"{what}: not within {longest_s:g} s")

    def change(source: str, held: bool) -> tuple[float, float]:
        """Press or release; return the ms to the first command of source `who`, and the ms since its tick."""
        count = len(made)
        at_ns = press(held)
        until(lambda: any(name == source for name, *_ in made[count:]), LONGEST_S, f"{source} drives")
        came_ns, stamp_ns = next(rest for name, *rest in made[count:] if name == source)
        return (came_ns - at_ns) / 1e6, (came_ns - ticks.get(stamp_ns, at_ns)) / 1e6

    until(lambda: gamepad.get_subscription_count(), 60, "the gamepad's node")
    until(lambda: len(made) > 20 and made[-1][0] == "policy", 60, "the policy drives")
    rng = np.random.default_rng(0)
    taken, back = [], []
    for _ in range(presses):
        for source, held, found in (("expert", True, taken), ("policy", False, back)):
            executor.spin_until_future_complete(never, (SETTLE_PERIODS + rng.random()) / rate)
            found.append(change(source, held))  # a takeover does not wait for a tick
    if len(made) > len(arrivals):
        sys.exit(f"{len(arrivals)} commands and {len(made)} decisions: they cannot be paired")
    rclpy.shutdown()
    return {
        "takeover": [whole for whole, _ in taken],
        "hand_back": [whole for whole, _ in back],
        "hand_back_until_tick": [whole - since for whole, since in back],
        "hand_back_tick_to_command": [since for _, since in back],
    }


def summary(latencies_ms: list[float], period_ms: float) -> dict:
    """Return quantiles in ms and in control periods, and the share within one period."""
    values = np.array(latencies_ms)
    return {
        "count": len(values),
        **{f"p{q}_ms": round(float(np.percentile(values, q)), 3) for q in (50, 95, 99)},
        "max_ms": round(float(values.max()), 3),
        "p50_periods": round(float(np.median(values)) / period_ms, 3),
        "max_periods": round(float(values.max()) / period_ms, 3),
        "within_one_period": round(float(np.mean(values <= period_ms)), 3),
    }


if __name__ == "__main__":
    main()
