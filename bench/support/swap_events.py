"""Subscriptions of bench/swap.py during a session: training events, promotion decisions, and ticks."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from il_ros.core import contract, messages
from il_ros.records import proposal
from il_ros.records.decision import from_json

STRING, JOINTS = "std_msgs/msg/String", "sensor_msgs/msg/JointState"


class SwapEvents:
    """Spins in a thread and records messages with their arrival time."""

    def __init__(self, own: contract.Contract) -> None:
        self._contract = own
        self._first_s: dict[str, float] = {}
        self.events: list[dict] = []
        self.verdicts: list[dict] = []
        self._tick_ns: dict[int, float] = {}
        self._proposed: dict[int, str] = {}
        self._decided: set[int] = set()
        self._ended = threading.Event()

    @property
    def versions(self) -> list[str]:
        """The versions whose training began."""
        return [event["version"] for event in self.events if event["event"] == "began"]

    def start(self) -> None:
        """Start the thread."""
        self._began_s = time.time()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._ended.set()
        self._thread.join()

    def swap(self, name: str, root: Path) -> dict | None:
        """Return the duration of each phase of a version; None if it got no promotion decision."""
        of = {
            event["event"]: event["at_s"]
            for event in self.events
            if event.get("version") == name or event["job"] == f"training {name}"
        }
        noticed = [e for e in self.events if e["event"] == "noticed" and e["at_s"] <= of["began"]]
        verdict = next((v for v in self.verdicts if v["version"] == name), None)
        if verdict is None or not noticed or "announced" not in of:
            return None
        before_s = max(
            (e["at_s"] for e in self.events if e["event"] == "began" and e["at_s"] < of["began"]), default=0.0
        )
        ended = {  # the corrections first trained on for this version
            episode: (root / episode / "episode.json").stat().st_mtime
            for event in noticed
            if event["at_s"] > before_s
            for episode in event["episodes"]
        }
        ended = {name: at_s for name, at_s in ended.items() if at_s > self._began_s}
        if not ended:
            return None
        episode = max(ended)
        ended_s = ended[episode]
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
            "of_the_first": round(times[-1] - min(ended.values()), 2),
            "episodes": len(ended),
            **phases_s,
            "commands": round(self._first_s[name] - times[-1], 2) if name in self._first_s else None,
            "checks": checks,
        }

    def ticks(self) -> dict:
        """Return counts of all and of missed ticks, in total and during a training or a promotion check."""
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
        from il_ros.nodes.runtime import process

        process.set_dds_profile()
        import rclpy
        from rclpy.experimental import EventsExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from rclpy.task import Future

        from il_ros.nodes.runtime.streams import message_class

        own = self._contract
        rclpy.init()
        node = rclpy.create_node("bench")
        latched = QoSProfile(depth=20, durability=DurabilityPolicy.TRANSIENT_LOCAL)

        def on_event(raw: bytes) -> None:
            self.events.append(json.loads(messages.decode(STRING, raw).data))

        def on_version(raw: bytes) -> None:
            message = json.loads(messages.decode(STRING, raw).data)
            self.verdicts.append({**message["verdict"], "at_s": message["at_s"]})

        def on_joints(raw: bytes) -> None:
            self._tick_ns[messages.raw_stamp_ns(JOINTS, raw)] = time.time()

        def on_decision(raw: bytes) -> None:
            decision = from_json(messages.decode(STRING, raw).data)
            self._decided.add(decision.stamp_ns)
            if decision.authority == "policy":
                self._first_s.setdefault(decision.version, time.time())

        def on_proposal(raw: bytes) -> None:
            proposed = proposal.decode(raw, own.action_names, own.period_ns)
            if not proposed.releases:
                self._proposed[proposed.stamp_ns] = proposed.version

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
