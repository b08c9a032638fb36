"""From the end of a correction to the improved policy in control, and what it costs the control loop.

    python bench/swap.py [--demonstrations 30] [--corrections 4] [--folder DIR]

The real nodes of the `dagger` scenario (simulator at speed 1 without cameras, policy server, scripted expert,
supervisor, recorder, trainer with its default recipe, conductor) on task `push`. A first policy is trained on
the demonstrations; then the expert and the policy drive by lot (mode dagger, beta 0.3), so that each episode
ends with corrections. For each version swapped in, seconds:
  noticed  the recorder had written the episode's last file → the trainer knew of it
  queued   → its training began (another one may have been running)
  loaded   → the data was there      trained → the checkpoint was written, and announced
  gated    → the gate's verdict and the swap      total: from the episode's end to the swap
Ticks: trigger messages seen by this process; missed: those for which the policy server proposed nothing, or
the supervisor decided nothing. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
os.environ["OMP_NUM_THREADS"] = "1"

from il_ros import contract, messages, share
from il_ros.control import proposal
from il_ros.control.decision import from_json
from il_ros.demo import phases
from il_ros.graph import command
from il_ros.policies.versions import versions
from il_ros.processes import ProcessGroup
from il_ros.scenarios import SCENARIOS, TASKS

TASK = "push"
STRING, JOINTS = "std_msgs/msg/String", "sensor_msgs/msg/JointState"
LONGEST_S = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--demonstrations", type=int, default=30)
    parser.add_argument("--corrections", type=int, default=4, help="episodes with corrections")
    parser.add_argument("--folder", type=Path, help="keeps everything; demonstrations there are used again")
    parser.add_argument("--background", choices=("true", "false"), default="true")
    arguments = parser.parse_args()
    phases.isolate()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="bench_swap_"))
    plan = phases.Plan(TASK, folder, arguments.demonstrations, 2)
    with open(os.devnull, "w") as nowhere:
        shown, sys.stdout = sys.stdout, nowhere
        try:
            prepare(plan)
            heard = sitting(plan, arguments.corrections)
        finally:
            sys.stdout = shown
    swaps = [swap for swap in (heard.swap(name, plan.shown) for name in heard.versions) if swap]
    totals = [swap["total"] for swap in swaps if swap["state"] == "active"]
    print(
        json.dumps(
            {
                "bench": "swap",
                "machine": {"cores": len(os.sched_getaffinity(0))},
                "task": TASK,
                "demonstrations": arguments.demonstrations,
                "swaps": swaps,
                "total_s": {"median": round(statistics.median(totals), 2), "worst": max(totals)}
                if totals
                else None,
                "ticks": heard.ticks(),
                "pauses": sum(event["event"] == "paused" for event in heard.events),
            },
            indent=1,
        )
    )


def prepare(plan: phases.Plan) -> None:
    """Record the demonstrations, and train the first policy as v1."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    if not plan.shown.exists():
        phases.show(plan)
    first = plan.folder / "policies" / "v1"
    if not first.exists():
        words = ["train", str(plan.shown), "--out", str(first), "--version", "v1", "--progress", "json"]
        subprocess.run([sys.executable, "-m", "il_ros", *words], check=True, stdout=subprocess.DEVNULL)


def sitting(plan: phases.Plan, corrections: int) -> Heard:
    """Run the scenario until its episodes are done and the last one was learnt from."""
    policies = plan.folder / "policies"
    specs = SCENARIOS["dagger"].nodes(
        {
            "task": TASK,
            "mode": "dagger",
            "session": "false",
            "beta": "constant:0.3",
            "root": str(plan.shown),
            "policies": str(policies),
            "checkpoint": str(versions(policies)[-1]),
            "episodes": str(corrections),
            "seed": "500",
            "cameras": "false",
            "result": str(plan.folder / "corrections.json"),
        }
    )
    specs = [spec for spec in specs if spec.name != "conductor"] + [
        spec for spec in specs if spec.name == "conductor"
    ]
    heard = Heard()
    with ProcessGroup(
        {spec.name: command(spec) for spec in specs}, plan.folder / "log", lambda *_: None
    ) as group:
        heard.start()
        try:
            wait_for_end(group, heard)
        finally:
            heard.stop()
    return heard


def wait_for_end(group: ProcessGroup, heard: Heard) -> None:
    """Return when the conductor is done, and what was learnt from it is judged."""
    ending = group.wait(LONGEST_S)
    if ending.name != "conductor" or ending.status != 0:
        raise group.failure(ending)
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:
        time.sleep(2.0)  # the last episode may be noticed yet
        began = {event["version"] for event in heard.events if event["event"] == "began"}
        over = {v["version"] for v in heard.verdicts}
        failed = any(event["event"] == "failed" for event in heard.events)
        if began <= over or failed:
            return


class Heard:
    """Listens in a thread, and keeps what was said with the time of its arrival."""

    def __init__(self) -> None:
        self.events: list[dict] = []
        self.verdicts: list[dict] = []
        self._tick_ns: dict[int, float] = {}
        self._proposed: dict[int, str] = {}
        self._decided: set[int] = set()
        self._ended = threading.Event()

    @property
    def versions(self) -> list[str]:
        """Those whose training began."""
        return [event["version"] for event in self.events if event["event"] == "began"]

    def start(self) -> None:
        """Listen."""
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def stop(self) -> None:
        """Cease to listen."""
        self._ended.set()
        self._thread.join()

    def swap(self, name: str, root: Path) -> dict | None:
        """Return how long each phase of a version took; None when it never came to a verdict."""
        of = {
            event["event"]: event["at_s"]
            for event in self.events
            if event.get("version") == name or event["job"] == f"training {name}"
        }
        noticed = [e for e in self.events if e["event"] == "noticed" and e["at_s"] <= of["began"]]
        verdict = next((v for v in self.verdicts if v["version"] == name), None)
        if verdict is None or not noticed or "announced" not in of:
            return None
        episode = max(noticed[-1]["episodes"])
        ended_s = (root / episode / "episode.json").stat().st_mtime
        start_s = next(
            e["at_s"] for e in self.events if e["event"] == "start" and e["job"] == f"training {name}"
        )
        times = [ended_s, noticed[-1]["at_s"], of["began"], start_s, of["announced"], verdict["at_s"]]
        names = ("noticed", "queued", "loaded", "trained", "gated")
        phases_s = {key: round(b - a, 2) for key, a, b in zip(names, times, times[1:], strict=False)}
        checks = {k: v for k, v in verdict["checks"].items() if not isinstance(v, (list, dict))}
        return {
            "version": name,
            "episode": episode,
            "state": verdict["state"],
            "reason": verdict["reason"],
            "total": round(times[-1] - times[0], 2),
            **phases_s,
            "checks": checks,
        }

    def ticks(self) -> dict:
        """Return counts of ticks, all and while a training or an examination ran, and of the missed ones."""
        if not self._proposed:
            return {}
        first, last = min(self._proposed), max(self._decided)
        ticks = [stamp for stamp in self._tick_ns if first <= stamp <= last]
        busy = [stamp for stamp in ticks if self._busy(self._tick_ns[stamp])]
        return {
            "all": len(ticks),
            "during_training_and_swap": len(busy),
            "without_proposal": sum(stamp not in self._proposed for stamp in ticks),
            "without_proposal_during": sum(stamp not in self._proposed for stamp in busy),
            "without_decision": sum(stamp not in self._decided for stamp in ticks),
            "without_decision_during": sum(stamp not in self._decided for stamp in busy),
            "versions_proposing": sorted(set(self._proposed.values())),
        }

    def _busy(self, at_s: float) -> bool:
        for name in self.versions:
            began = next(e["at_s"] for e in self.events if e["event"] == "began" and e["version"] == name)
            verdict = next((v["at_s"] for v in self.verdicts if v["version"] == name), began)
            if began <= at_s <= verdict + 0.5:
                return True
        return False

    def _listen(self) -> None:
        from il_ros.nodes import process

        process.set_dds_profile()
        import rclpy
        from rclpy.experimental import EventsExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from rclpy.task import Future

        from il_ros.nodes.streams import message_class

        own = contract.load(share.path("config", "contracts", f"{TASKS[TASK]}.yaml"))
        rclpy.init()
        node = rclpy.create_node("bench")
        latched = QoSProfile(depth=20, durability=DurabilityPolicy.TRANSIENT_LOCAL)

        def on_event(raw: bytes) -> None:
            self.events.append(json.loads(messages.decode(STRING, raw).data))

        def on_version(raw: bytes) -> None:
            told = json.loads(messages.decode(STRING, raw).data)
            self.verdicts.append({**told["verdict"], "at_s": told["at_s"]})

        def on_joints(raw: bytes) -> None:
            self._tick_ns[messages.raw_stamp_ns(JOINTS, raw)] = time.time()

        def on_decision(raw: bytes) -> None:
            self._decided.add(from_json(messages.decode(STRING, raw).data).stamp_ns)

        def on_proposal(raw: bytes) -> None:
            heard = proposal.decode(raw, own.action_names, own.period_ns)
            if not heard.lets_go:
                self._proposed[heard.stamp_ns] = heard.version

        for topic, kind, callback, qos in (
            ("trainer/progress", STRING, on_event, 100),
            ("policy_server/version", STRING, on_version, latched),
            (own.trigger, JOINTS, on_joints, 100),
            ("dagger_supervisor/decision", STRING, on_decision, 100),
            ("policy_server/proposal", proposal.TYPE, on_proposal, 100),
        ):
            node.create_subscription(message_class(kind), topic, callback, qos, raw=True)
        executor, never = EventsExecutor(), Future()
        executor.add_node(node)
        while not self._ended.is_set():
            executor.spin_until_future_complete(never, 0.2)
        rclpy.shutdown()


if __name__ == "__main__":
    main()
