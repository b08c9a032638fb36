"""Reception of messages at 200 Hz beside a policy that computes for 150 ms at 20 Hz, and the cost of the thread.

    python bench/slow_policy.py [--seconds 20]

For each kind of computation, a policy server gets joint states at 200 Hz, of which every tenth starts a tick. The
delay of a message is from just before it is published to its entry in the server. Kinds: `sleep` (a remote policy or
a GPU), `torch` (products of matrices, one thread), `numpy` (products of matrices in NumPy), `python` (a loop that never
releases Python's lock by itself), and `none`. `inline` computes in the thread that receives, as before. Prints
JSON: messages lost, delay (ms), ticks that got a proposal, and for `none` the time from tick to proposal (ms).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from support.processes import started

from il_ros.core import contract, messages

KINDS = ("sleep", "torch", "numpy", "python", "none")
SLOW_S, RATE, TICK = 0.15, 200, 10
JOINT_STATE, PROPOSAL = "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory"
TEXT = """
name: slow
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, fields: [position], names: [a, b], unit: rad,
           max_age_s: 1.0}
actions:
  arm: {topic: command, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad, reference: joints,
        safe: hold, limits: {lower: -3.0, upper: 3.0, speed: 1000.0}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve)
        return
    found = {
        f"{kind}, {where}": measure(kind, where, arguments.seconds)
        for kind in arguments.kinds
        for where in ("inline", "thread")
    }
    print(json.dumps({"bench": "slow_policy", "load": os.getloadavg()[0], "found": found}, indent=1))


def serve(folder: str, kind: str, where: str, out: str) -> None:
    """Run a policy server whose answers take SLOW_S; write the delay of each message at the end."""
    from rclpy.parameter import Parameter

    from il_ros.nodes.policy_server.node import PolicyServer
    from il_ros.nodes.runtime import managed
    from il_ros.policies.runner import LoadedPolicy

    quick, work = LoadedPolicy.act_in_parts, computation(kind)

    def act_in_parts(policy: Any, *seen: Any, **words: Any) -> Any:
        end_s = time.perf_counter() + SLOW_S
        while kind != "none" and time.perf_counter() < end_s:
            work()
        return quick(policy, *seen, **words)

    LoadedPolicy.act_in_parts = act_in_parts  # type: ignore[method-assign]
    arrived: list[tuple[int, int]] = []

    class Measured(PolicyServer):
        def activate(self) -> None:
            super().activate()
            push = self._proposer._synchroniser.push

            def noting(topic: str, raw: bytes, arrival_ns: int) -> int:
                stamp_ns = messages.raw_stamp_ns(JOINT_STATE, raw)
                arrived.append((stamp_ns, time.time_ns()))
                return push(topic, raw, arrival_ns)

            self._proposer._synchroniser.push = noting

    given = {"checkpoint": folder, "inference": where}
    parameters = [Parameter(name, value=value) for name, value in given.items()]
    managed.main(lambda: Measured(parameter_overrides=parameters), [])
    Path(out).write_text(json.dumps(arrived))


def computation(kind: str) -> Any:
    """Return a function that computes for a millisecond or less."""
    if kind == "torch":
        import torch

        a = torch.randn(400, 400)
        return lambda: a @ a
    matrix = np.random.default_rng(0).normal(size=(400, 400))
    return {
        "sleep": lambda: time.sleep(0.001),
        "numpy": lambda: matrix @ matrix,
        "python": lambda: sum(range(10_000)),
        "none": None,
    }[kind]


def measure(kind: str, where: str, seconds: float) -> dict[str, Any]:
    """Return the figures of one policy server."""
    from il_ros.nodes.runtime import process

    process.set_dds_profile()
    import rclpy
    from rclpy.experimental import EventsExecutor
    from rclpy.task import Future

    from il_ros.nodes.runtime.streams import message_class

    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder))
        out = Path(folder) / "arrived.json"
        command = [sys.executable, __file__, "--serve", f"{folder}/checkpoint", kind, where, str(out)]
        rclpy.init()
        node = rclpy.create_node("bench")
        joints = node.create_publisher(message_class(JOINT_STATE), "joint_states", 100)
        proposed: list[tuple[int, int]] = []

        def on_proposal(raw: bytes) -> None:
            proposed.append((messages.raw_stamp_ns(PROPOSAL, raw) or 0, time.time_ns()))

        node.create_subscription(
            message_class(PROPOSAL), "policy_server/proposal", on_proposal, 100, raw=True
        )
        executor = EventsExecutor()
        executor.add_node(node)
        sent: list[int] = []

        def publish() -> None:
            sent.append(time.time_ns())
            message = messages.make(
                JOINT_STATE, header=messages.header(sent[-1]), name=["a", "b"], position=np.array([0.1, 0.2])
            )
            joints.publish(messages.encode(JOINT_STATE, message))

        def spin(duration_s: float) -> None:
            end_s = time.monotonic() + duration_s
            while (left_s := end_s - time.monotonic()) > 0:
                executor.spin_until_future_complete(never, left_s)

        never = Future()
        with started(command):
            node.create_timer(1.0 / RATE, publish)
            end_s = time.monotonic() + 60
            while len(proposed) < 20 and time.monotonic() < end_s:
                spin(0.1)
            first, begun = len(sent), len(proposed)
            spin(seconds)
            last = len(sent)
            spin(2.0)
        executor.shutdown()
        rclpy.shutdown()
        arrived = dict(json.loads(out.read_text()))
    counted = sent[first:last]
    delays_ms = [(arrived[stamp] - stamp) / 1e6 for stamp in counted if stamp in arrived]
    figures = {
        "messages": len(counted),
        "lost": len(counted) - len(delays_ms),
        **{f"delay_{name}_ms": round(float(np.percentile(delays_ms, q)), 2) for name, q in QUANTILES},
        "ticks": len(counted) // TICK,
        "proposals": sum(counted[0] <= stamp <= counted[-1] for stamp, _ in proposed[begun:]),
    }
    if kind == "none":
        answer_ms = [(at - stamp) / 1e6 for stamp, at in proposed[begun:]]
        figures["tick_to_proposal_p50_ms"] = round(float(np.percentile(answer_ms, 50)), 3)
    return figures


QUANTILES = (("p50", 50), ("p99", 99), ("max", 100))


def save(folder: Path) -> None:
    """Write a policy with chunks of 20 steps."""
    from il_ros.policies import checkpoint
    from il_ros.policies.families.registry import family, make_network
    from il_ros.policies.normaliser import Affine, Normaliser
    from il_ros.policies.runner import LoadedPolicy

    own = contract.parse(TEXT, "slow.yaml")
    normaliser = Normaliser(Affine(np.zeros(2), np.ones(2)), Affine(np.zeros(2), np.ones(2)))
    settings = family("bc").settings(hidden=(64, 64), horizon=20)
    network = make_network("bc", settings, own, normaliser)
    checkpoint.save(folder / "checkpoint", LoadedPolicy(own, "bc", settings, network, normaliser, "bench"))


if __name__ == "__main__":
    main()
