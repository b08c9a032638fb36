"""Missed ticks while a training runs and its policy is swapped in, at several rates, with the real nodes.

    python bench/swap_ticks.py [--rates 20 50 100] [--trainings 3]

This process simulates the sensor: it publishes seven joints at the rate, on the wall clock. policy_server
(promotion with replay and 10 shadow ticks), dagger_supervisor (mode policy) and trainer (watch, ensemble of
five, 30 episodes of 100 labels) are separate processes. Each further episode, moved into place atomically,
starts a training from the previous weights. A tick is a message selected by the contract's rate (this
process's own timer may be late). Counted: ticks without a proposal, ticks without a decision, and the time
from a tick's publication to its decision's arrival; without training (`idle`), and from each training's start
to half a second after the swap. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from control_path import COMMAND, JOINT_STATE, STRING
from support.control_chains import JOINTS

from il_ros.core import contract, messages
from il_ros.core.processes.group import ProcessGroup
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.layout import EpisodeInfo, episode_name
from il_ros.records import proposal
from il_ros.records.decision import Decision, from_json, to_json
from il_ros.records.ticks import Ticks
from il_ros.scenarios import graph

EPISODES, LABELS = 30, 100
LONGEST_S = 120.0
WARM_S = 12.0  # the trainer's child process imports torch
IDLE_S = 10.0
CONTRACT = """
name: bench_{rate}
rate_hz: {rate}
trigger: joint_states
observations:
  joints: {{topic: joint_states, type: sensor_msgs/msg/JointState, fields: [position], names: {names},
           unit: rad, max_age_s: 0.2}}
actions:
  arm: {{topic: command, type: std_msgs/msg/Float64MultiArray, names: {names}, unit: rad, reference: joints,
        safe: hold, limits: {{lower: -3.0, upper: 3.0, speed: 1000.0}}}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=int, nargs="+", default=[20, 50, 100], help="Hz")
    parser.add_argument("--trainings", type=int, default=3)
    arguments = parser.parse_args()
    cases = []
    for rate in arguments.rates:
        with tempfile.TemporaryDirectory() as folder:
            cases.append(case(rate, arguments.trainings, Path(folder)))
    load = os.getloadavg()[0]
    machine = {"cores": len(os.sched_getaffinity(0)), "load_1min_at_end": round(load, 2)}
    print(json.dumps({"bench": "swap_ticks", "machine": machine, "cases": cases}, indent=1))


def case(rate: int, trainings: int, folder: Path) -> dict:
    """Return the counts at one rate."""
    text = CONTRACT.format(rate=rate, names=JOINTS)
    (folder / "contract.yaml").write_text(text)
    root, policies = folder / "episodes", folder / "policies"
    for number in range(1, EPISODES + 1):
        write_episode(root, number, text, rate)
    words = ["train", str(root), "--out", str(policies / "v1"), "--version", "v1", "--progress", "json"]
    subprocess.run([sys.executable, "-m", "il_ros", *words], check=True, stdout=subprocess.DEVNULL)
    shared = {"contract": str(folder / "contract.yaml")}
    promotion = {
        "candidates": "trainer/checkpoint",
        "versions": str(policies),
        "promotion.root": str(root),
        "promotion.shadow_ticks": 10,
    }
    specs = [
        graph.NodeSpec(
            "policy_server", "policy_server", shared | promotion | {"checkpoint": str(policies / "v1")}
        ),
        graph.NodeSpec("dagger_supervisor", "dagger_supervisor", shared | {"mode": "policy"}),
        graph.NodeSpec(
            "trainer", "trainer", shared | {"root": str(root), "checkpoint": str(policies), "watch": True}
        ),
    ]
    commands = {spec.name: graph.command(spec) for spec in specs}
    with ProcessGroup(commands, folder / "log", lambda *_: None):
        return Loop(rate, contract.load(folder / "contract.yaml")).run(root, text, trainings)


def write_episode(root: Path, number: int, text: str, rate: int, corrected: bool = False) -> None:
    """Write an episode like the recorder: random joints, commands half of them; moved into place."""
    rng = np.random.default_rng(number)
    building = root.with_name("building") / episode_name(number)
    shutil.rmtree(building, ignore_errors=True)
    building.parent.mkdir(parents=True, exist_ok=True)
    start_ns, period_ns = 10**12, 10**9 // rate
    with BagWriter(building) as bag:
        joints = bag.add_stream("/joint_states", JOINT_STATE)
        decisions = bag.add_stream("/dagger_supervisor/decision", STRING)
        for tick in range(LABELS):
            stamp_ns = start_ns + tick * period_ns
            seen = rng.uniform(-1, 1, len(JOINTS))
            head = messages.header(stamp_ns)
            state = messages.make(JOINT_STATE, header=head, name=JOINTS, position=seen)
            bag.write(joints, stamp_ns, messages.encode(JOINT_STATE, state))
            by_policy = corrected and tick < LABELS // 2
            decision = Decision(
                stamp_ns,
                stamp_ns,
                "policy" if by_policy else "expert",
                "bench",
                sent=tuple((0.5 * np.sin(2 * seen)).tolist()),
                mode="hg_dagger",
            )
            said = messages.make(STRING, data=to_json(decision))
            bag.write(decisions, stamp_ns + 1, messages.encode(STRING, said))
    own = contract.parse(text, "bench")
    EpisodeInfo(
        name=building.name,
        outcome="success",
        contract_name=own.name,
        contract_hash=own.hash,
        contract_text=text,
        topics={topic: f"/{topic}" for topic in own.topics},
        decision_topic="/dagger_supervisor/decision",
        started_ns=start_ns,
        stopped_ns=start_ns + LABELS * period_ns,
        complete=True,
    ).save(building)
    root.mkdir(exist_ok=True)
    building.rename(root / building.name)


class Loop:
    """The sensor, and the subscriptions that follow its ticks."""

    def __init__(self, rate: int, own: contract.Contract) -> None:
        self._rate, self._own = rate, own
        self._ticks = Ticks(own.period_ns)
        self._published: dict[int, float] = {}
        self._proposed: dict[int, str] = {}
        self._decided: dict[int, float] = {}
        self._events: list[dict] = []
        self._verdicts: list[dict] = []

    def run(self, root: Path, text: str, trainings: int) -> dict:
        """Publish ticks, first idle and then during `trainings` trainings; return the counts."""
        with self._graph() as spin:
            spin(lambda: len(self._decided) > 2 * self._rate, LONGEST_S)
            spin(lambda: any(e["event"] == "announced" for e in self._events), LONGEST_S)
            end_s = time.monotonic() + WARM_S + IDLE_S
            spin(lambda: time.monotonic() > end_s, LONGEST_S)
            begun_s = time.time()
            for number in range(1, trainings + 1):
                write_episode(root, EPISODES + number, text, self._rate, corrected=True)
                spin(lambda n=number: len(self._judged()) >= n, LONGEST_S)
            end_s = time.monotonic() + 1.0
            spin(lambda: time.monotonic() > end_s, LONGEST_S)
        windows = [(self._began(v["version"]), v["at_s"] + 0.5) for v in self._judged()]
        idle_from_s = begun_s - IDLE_S
        return {
            "rate_hz": self._rate,
            "swaps": [
                {
                    "version": v["version"],
                    "state": v["state"],
                    "reason": v["reason"],
                    "trained_and_swapped_s": round(v["at_s"] - self._began(v["version"]), 2),
                }
                for v in self._judged()
            ],
            "idle": self._counts(lambda at_s: idle_from_s <= at_s < begun_s),
            "training_and_swap": self._counts(
                lambda at_s: any(first <= at_s <= last for first, last in windows)
            ),
            "pauses_of_the_training": sum(e["event"] == "paused" for e in self._events),
        }

    def _judged(self) -> list[dict]:
        return [v for v in self._verdicts if v["reason"] != "configured"]

    def _began(self, version: str) -> float:
        return next(e["at_s"] for e in self._events if e["event"] == "began" and e["version"] == version)

    def _counts(self, chosen) -> dict:
        last = max(self._proposed)
        ticks = [stamp for stamp, at_s in self._published.items() if chosen(at_s) and stamp <= last]
        late_ms = [1e3 * (self._decided[s] - self._published[s]) for s in ticks if s in self._decided]
        p50, p99, most = np.percentile(late_ms, [50, 99, 100]).round(2).tolist()
        return {
            "ticks": len(ticks),
            "without_proposal": sum(stamp not in self._proposed for stamp in ticks),
            "without_decision": sum(stamp not in self._decided for stamp in ticks),
            "tick_to_decision_ms": {"p50": p50, "p99": p99, "max": most},
        }

    @contextlib.contextmanager
    def _graph(self):
        from il_ros.nodes.runtime import process

        process.set_dds_profile()
        import rclpy
        from rclpy.experimental import EventsExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from rclpy.task import Future

        from il_ros.nodes.runtime.streams import message_class

        rclpy.init()
        node = rclpy.create_node("bench")
        latched = QoSProfile(depth=20, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        sensor = node.create_publisher(message_class(JOINT_STATE), "joint_states", 10)
        seen = np.zeros(len(JOINTS))

        def tick() -> None:
            stamp_ns = node.get_clock().now().nanoseconds
            if self._ticks.starts(stamp_ns):
                self._published[stamp_ns] = time.time()
            head = messages.header(stamp_ns)
            state = messages.make(JOINT_STATE, header=head, name=JOINTS, position=seen)
            sensor.publish(messages.encode(JOINT_STATE, state))

        def on_decision(raw: bytes) -> None:
            self._decided.setdefault(from_json(messages.decode(STRING, raw).data).stamp_ns, time.time())

        def on_proposal(raw: bytes) -> None:
            proposed = proposal.decode(raw, self._own.action_names, self._own.period_ns)
            if not proposed.releases:
                self._proposed[proposed.stamp_ns] = proposed.version

        def on_version(raw: bytes) -> None:
            message = json.loads(messages.decode(STRING, raw).data)
            self._verdicts.append({**message["verdict"], "at_s": message["at_s"]})

        def on_event(raw: bytes) -> None:
            self._events.append(json.loads(messages.decode(STRING, raw).data))

        for topic, kind, callback, qos in (
            ("trainer/progress", STRING, on_event, 1000),
            ("policy_server/version", STRING, on_version, latched),
            ("dagger_supervisor/decision", STRING, on_decision, 100),
            ("policy_server/proposal", proposal.TYPE, on_proposal, 100),
        ):
            node.create_subscription(message_class(kind), topic, callback, qos, raw=True)
        node.create_subscription(message_class(COMMAND), "command", lambda _: None, 10, raw=True)
        node.create_timer(1 / self._rate, tick)
        executor, never = EventsExecutor(), Future()
        executor.add_node(node)

        def spin(until, longest_s: float) -> None:
            end_s = time.monotonic() + longest_s
            while not until():
                if time.monotonic() > end_s:
                    raise TimeoutError(f"not within {longest_s:g} s; events: {self._events[-3:]}")
                executor.spin_until_future_complete(never, 0.05)

        try:
            yield spin
        finally:
            executor.shutdown(0)
            rclpy.shutdown()


if __name__ == "__main__":
    main()
