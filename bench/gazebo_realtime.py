"""Gazebo in real time with cameras, policy and recorder at 30 Hz: missed ticks, latency and drops as JSON.

    python bench/gazebo_realtime.py [--duration 60] [--rate 30] [--width 320 --height 240]

Gazebo Classic (`make gazebo`) runs the task `push` at real-time factor 1 with two cameras. An untrained
network (its weights do not affect timing) uses both images and the joints. Supervisor and recorder run in
separate processes. A tick is a frame of Gazebo.
  frames     received and missing frames, and the wall time between consecutive ones
  answered   ticks for which the supervisor sent the policy's command for that tick; `missed`: the others
  latency    from the arrival of a tick's last message (joint states) to that of its command, in this process
  recorded   per stream in the bag: messages, and stamps missing between the first and the last one
`late_steps`: steps that Gazebo began after the next one was due. A frame at 30 Hz is 13 equal steps.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from il_ros.core import contract, messages, share
from il_ros.core.processes.group import ProcessGroup
from il_ros.records.decision import from_json
from il_ros.scenarios import graph

STRING, JOINTS, COMMAND = (
    "std_msgs/msg/String",
    "sensor_msgs/msg/JointState",
    "std_msgs/msg/Float64MultiArray",
)
DECISIONS, ARM = "dagger_supervisor/decision", "arm_position_controller/commands"
STEP_NS = 2_500_000
READY_S = 120.0


def simulate(rate: float) -> int:
    """Run the sim node with a control period other than the tasks' 20 Hz."""
    from il_ros.nodes.runtime import managed
    from il_ros.nodes.sim.node import Sim
    from il_ros.sim.gazebo import arm as gazebo
    from il_ros.sim.tasks import arm

    period_ns = round(1e9 / rate)
    arm.ArmTask.control_period_ns = period_ns
    gazebo.STEP_NS = period_ns // round(period_ns / STEP_NS)
    return managed.main(Sim, ["--ros-args", *sys.argv[sys.argv.index("--ros-args") + 1 :]])


def make_checkpoint(terms: contract.Contract, folder: Path) -> None:
    """Write an untrained network that takes all observations of the contract."""
    import torch

    from il_ros.policies import checkpoint
    from il_ros.policies.families.registry import family, make_network
    from il_ros.policies.normaliser import PIXELS, Affine, Normaliser
    from il_ros.policies.runner import LoadedPolicy

    torch.manual_seed(0)
    numbers = sum(spec.size for spec in terms.observations)
    size = terms.action_size
    pictures = {spec.key: PIXELS for spec in terms.observations if spec.image is not None}
    normaliser = Normaliser(
        Affine(np.zeros(numbers), np.ones(numbers)), Affine(np.zeros(size), np.ones(size)), pictures
    )
    settings = family("bc").settings()
    network = make_network("bc", settings, terms, normaliser)
    checkpoint.save(folder, LoadedPolicy(terms, "bc", settings, network, normaliser, "bench"))


def commands(folder: Path, args: argparse.Namespace) -> dict[str, list[str]]:
    file = folder / "contract.yaml"
    text = share.path("config", "contracts", "arm_push_images.yaml").read_text()
    file.write_text(
        text.replace("rate_hz: 20", f"rate_hz: {args.rate:g}").replace("fit: resize", "fit: crop")
    )
    make_checkpoint(contract.load(file), folder / "checkpoint")
    sim = {
        "task": "push",
        "simulator": "gazebo_classic",
        "speed": 1.0,
        "lockstep": False,
        "cameras": True,
        "camera_width": args.width,
        "camera_height": args.height,
    }
    shared = {"contract": str(file), "use_sim_time": True}
    recorder = {"root": str(folder / "episodes"), "task": "push", "min_free_bytes": 10_000_000}
    specs = {
        "policy": graph.NodeSpec(
            "policy_server", "policy_server", {**shared, "checkpoint": str(folder / "checkpoint")}
        ),
        "supervisor": graph.NodeSpec("dagger_supervisor", "dagger_supervisor", shared),
        "recorder": graph.NodeSpec("recorder", "recorder", {**shared, **recorder}),
    }
    words = graph.command(graph.NodeSpec("sim", "sim", sim))
    own = [sys.executable, str(Path(__file__).resolve()), "--sim", "--rate", str(args.rate)]
    ours = {name: graph.command(spec) for name, spec in specs.items()}
    return {"sim": [*own, *words[words.index("--ros-args") :]], **ours}


class Ear:
    """Receives ticks, commands and decisions, with the wall time of their arrival."""

    def __init__(self, node) -> None:
        from il_ros.nodes.runtime.streams import message_class

        self.ticks: list[tuple[int, float]] = []
        self.sent: list[float] = []
        self.decisions: list = []

        def tick(raw: bytes) -> None:
            self.ticks.append((messages.raw_stamp_ns(JOINTS, raw), time.perf_counter()))

        def decision(raw: bytes) -> None:
            self.decisions.append(raw)

        node.create_subscription(message_class(JOINTS), "joint_states", tick, 100, raw=True)
        node.create_subscription(
            message_class(COMMAND), ARM, lambda _: self.sent.append(time.perf_counter()), 100, raw=True
        )
        node.create_subscription(message_class(STRING), DECISIONS, decision, 100, raw=True)

    def answers(self) -> dict[int, float]:
        """Return {tick: wall time of its command} for the policy's commands."""
        made = [from_json(messages.decode(STRING, raw).data) for raw in self.decisions]
        made = [each for each in made if each.sent is not None]
        if len(made) != len(self.sent):
            raise SystemExit(f"{len(self.sent)} commands and {len(made)} decisions: they cannot be paired")
        pairs = zip(made, self.sent, strict=True)
        return {each.stamp_ns: at for each, at in pairs if each.authority == "policy"}


def listen(args: argparse.Namespace) -> tuple[Ear, int, int, int]:
    """Record for `duration`; return messages, the first and last counted tick, and late steps."""
    from il_ros.nodes.runtime import process

    process.set_dds_profile()
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.experimental import EventsExecutor
    from rclpy.task import Future
    from std_srvs.srv import Trigger

    rclpy.init()
    node = rclpy.create_node("bench")
    executor = EventsExecutor()
    executor.add_node(node)
    ear, diagnostics, never = Ear(node), {}, Future()

    def diagnose(message: DiagnosticArray) -> None:
        for status in message.status:
            diagnostics.update(
                {value.key: value.value for value in status.values if value.key == "late steps"}
            )

    node.create_subscription(DiagnosticArray, "/diagnostics", diagnose, 10)

    def until(condition, what: str) -> None:
        end_s = time.monotonic() + READY_S
        while not condition():
            executor.spin_until_future_complete(never, 0.1)
            if time.monotonic() > end_s:
                raise SystemExit(f"{what}: not within {READY_S:g} s")

    def call(name: str) -> Trigger.Response:
        client = node.create_client(Trigger, f"recorder/{name}")
        until(client.service_is_ready, f"service {name}")
        answer = client.call_async(Trigger.Request())
        until(answer.done, f"answer of {name}")
        return answer.result()

    until(lambda: len(ear.sent) > 2 * args.rate, "commands")
    until(lambda: call("start").success, "recording")
    late, first = int(diagnostics.get("late steps", 0)), len(ear.ticks)
    end_s = time.monotonic() + args.duration
    while (left_s := end_s - time.monotonic()) > 0:
        executor.spin_until_future_complete(never, min(left_s, 1.0))
    last = len(ear.ticks)
    call("stop")
    diagnostics.clear()
    until(lambda: "late steps" in diagnostics, "the simulator's diagnostics")
    rclpy.shutdown()
    return ear, first, last, int(diagnostics["late steps"]) - late


def recorded(root: Path, period_ns: int) -> dict[str, dict[str, int]]:
    """Return the number of messages of each stream in the bag, and of missing stamps."""
    from il_ros.episodes.bag.reader import open_bag

    (folder,) = root.glob("episode_*")
    bag, stamps = open_bag(folder), {}
    for message in bag.messages():
        if messages.has_header(message.type) and not message.topic.endswith("proposal"):
            stamp = messages.raw_stamp_ns(message.type, message.raw)
            stamps.setdefault(message.topic, []).append(stamp)
    found = {}
    for topic, times in stamps.items():
        expected = round((times[-1] - times[0]) / period_ns) + 1
        found[topic] = {"messages": len(times), "missing": expected - len(set(times))}
    return found


def percentiles(values_ms) -> dict[str, float]:
    ranks = {"p50_ms": 50, "p99_ms": 99, "p99.9_ms": 99.9, "max_ms": 100}
    return {name: round(float(np.percentile(values_ms, rank)), 3) for name, rank in ranks.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--duration", type=float, default=60.0, help="seconds")
    parser.add_argument("--rate", type=float, default=30.0, help="Hz, of cameras and policy")
    parser.add_argument("--width", type=int, default=320, help="of both cameras")
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--sim", action="store_true", help=argparse.SUPPRESS)
    args, _ = parser.parse_known_args()
    if args.sim:
        sys.exit(simulate(args.rate))
    period_ns = round(1e9 / args.rate)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def show(process: str, line: str) -> None:
            print(f"[{process}] {line}", file=sys.stderr)

        with ProcessGroup(commands(folder, args), folder / "log", show):
            ear, first, last, late = listen(args)
        bag = recorded(folder / "episodes", period_ns)
    ticks, answers = ear.ticks[first:last], ear.answers()
    gaps_ms = 1e3 * np.diff([at for _, at in ticks])
    waits_ms = [1e3 * (answers[stamp] - at) for stamp, at in ticks if stamp in answers]
    simulated_s, wall_s = (ticks[-1][0] - ticks[0][0]) / 1e9, ticks[-1][1] - ticks[0][1]
    print(
        json.dumps(
            {
                "bench": "gazebo_realtime",
                "machine": {"cores": len(os.sched_getaffinity(0)), "python": platform.python_version()},
                "load": os.getloadavg(),
                "settings": vars(args),
                "real_time_factor": round(simulated_s / wall_s, 4),
                "frames": {
                    "count": len(ticks),
                    "missing": round(simulated_s * args.rate) + 1 - len(ticks),
                    "late_steps": late,
                    "gap": percentiles(gaps_ms),
                },
                "answered": {"count": len(waits_ms), "missed": len(ticks) - len(waits_ms)},
                "latency": percentiles(waits_ms),
                "recorded": bag,
            }
        )
    )


if __name__ == "__main__":
    main()
