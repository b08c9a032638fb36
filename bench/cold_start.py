"""Cold start and memory of each node: process start → first message on /diagnostics, and memory use.

    python bench/cold_start.py [--repeat 3] [--nodes recorder sim ...]

A node publishes its first diagnostics one second after its construction; the figure includes that second.
Prints one JSON object: median seconds from exec to the reception of the node's first message, resident and
proportional memory (RSS, PSS) in MB five seconds later, and the same for a bare rclpy node.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
os.environ.setdefault("MUJOCO_GL", "egl")

from support.processes import started

from il_ros.scenarios import graph

NAMES = {"bare rclpy node": "bare"} | dict.fromkeys(
    ("scripted_expert", "teleop_joy", "teleop_leader"), "expert"
)

BARE = """
import rclpy
from rclpy.experimental import EventsExecutor
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
rclpy.init()
node = rclpy.create_node("bare")
publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
node.create_timer(0.05, lambda: publisher.publish(DiagnosticArray(status=[DiagnosticStatus(name="bare")])))
executor = EventsExecutor()
executor.add_node(node)
executor.spin_until_future_complete(rclpy.task.Future(), 3600)
"""


def specs(folder: Path, checkpoint: str) -> dict[str, list[str]]:
    """Return the command of each node, with the models and files that it loads in operation."""
    contract = {"contract": "arm_push"}
    nodes = [
        graph.NodeSpec("recorder", "recorder", contract | {"root": str(folder / "episodes")}),
        graph.NodeSpec("sim", "sim", {"task": "push", "seed": 0}),
        graph.NodeSpec("scripted_expert", "expert", contract | {"task": "push"}),
        graph.NodeSpec("dagger_supervisor", "dagger_supervisor", contract),
        graph.NodeSpec("policy_server", "policy_server", {"checkpoint": checkpoint} if checkpoint else {}),
        graph.NodeSpec("trainer", "trainer", {}),
        graph.NodeSpec("teleop_joy", "expert", {"contract": "drive", "axes": "['base/linear.x 1 0.5']"}),
        graph.NodeSpec("teleop_leader", "expert", {"contract": "arm_push"}),
    ]
    commands = {spec.executable: graph.command(spec) for spec in nodes}
    for name in ("teleop_joy", "teleop_leader"):
        file = Path(__file__).parents[1] / "config" / "nodes" / f"{name}.yaml"
        commands[name] = [
            sys.executable,
            "-m",
            f"il_ros.nodes.{name}",
            "--ros-args",
            "--params-file",
            str(file),
        ]
    return {"bare rclpy node": [sys.executable, "-c", BARE]} | commands


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--nodes", nargs="*", help="default: all")
    parser.add_argument(
        "--checkpoint", default="", help="a checkpoint for policy_server; without one it stays unconfigured"
    )
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, command in specs(Path(folder), arguments.checkpoint).items():
            if not arguments.nodes or name in arguments.nodes:
                runs = [once(NAMES.get(name, name), command) for _ in range(arguments.repeat)]
                results[name] = (
                    {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}
                    if all(runs)
                    else "did not come up"
                )
                print(name, results[name], file=sys.stderr)
    print(json.dumps({"bench": "cold_start", "repeat": arguments.repeat, "nodes": results}))


def once(name: str, command: list[str]) -> dict[str, float]:
    """Start a node; return seconds to its first message and its memory, empty after a 30 s time-out."""
    import rclpy
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.experimental import EventsExecutor
    from rclpy.task import Future

    rclpy.init()
    node = rclpy.create_node("listener")
    received: Future = Future()
    seen: list[float] = []

    def receive(message: DiagnosticArray) -> None:
        if message.status[0].name != name:  # from a node that is still shutting down
            return
        seen.append(time.perf_counter())
        if not received.done():
            received.set_result(True)

    node.create_subscription(DiagnosticArray, "/diagnostics", receive, 10)
    executor = EventsExecutor()
    executor.add_node(node)
    executor.spin_once(0.2)
    began = time.perf_counter()
    try:
        with started(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            executor.spin_until_future_complete(received, 30.0)
            if not seen:
                return {}
            executor.spin_until_future_complete(Future(), 5.0)
            return {"first_message_s": seen[0] - began} | memory(process.pid)
    finally:
        node.destroy_node()
        rclpy.shutdown()


def memory(pid: int) -> dict[str, float]:
    lines = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if ":" in line
    )
    return {f"{key.lower()}_mb": int(lines[key].split()[0]) / 1024 for key in ("Rss", "Pss")}


if __name__ == "__main__":
    main()
