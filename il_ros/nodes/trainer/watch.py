"""The trainer's inputs: new episodes under the root, and the lateness of the control loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String

from il_ros.core.tables import shown
from il_ros.episodes.decisions import summary
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.shell import Refusal
from il_ros.nodes.trainer.parameters import learns_recorded
from il_ros.policies import lineage
from il_ros.records.decision import decode
from il_ros.records.labelling import BY_MODE, DRIVEN
from il_ros.training.trainer.throttle import Throttle, ThrottleLimits
from il_ros.training.trainer.watcher import EpisodeWatcher, RetrainTrigger

LOOK_S = 0.25

Report = Callable[[dict[str, Any]], None]


class Watcher:
    """Watches the root, calls `begin(why, discarded)` when a training is due, and reports events.

    `begin` returns False while another job runs; the training then stays queued.
    """

    def __init__(self, node: Node, begin: Callable[[str, frozenset[str]], bool], report: Report) -> None:
        self._node, self._begin, self._report = node, begin, report
        rule = DRIVEN if learns_recorded(value(node, "recipe")) else BY_MODE
        self._watcher = EpisodeWatcher(Path(value(node, "root")), poor=value(node, "poor"), rule=rule)
        after = value(node, "train_after")
        self.by_itself = after > 0
        """Whether it starts trainings; otherwise it only reports."""
        self._trigger = RetrainTrigger(max(1, after))
        self._queued = ""
        self._newest: Path | None = None
        node.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def values(self) -> dict[str, Any]:
        """Values for the diagnostics: due training, unfinished and damaged episodes."""
        damaged = {f"damaged {name}": reason for name, reason in self._watcher.damaged.items()}
        return {"due": self._trigger.due(), "unfinished episode": self._watcher.unfinished} | damaged

    @property
    def discarded(self) -> frozenset[str]:
        """Names of the discarded episodes."""
        return self._watcher.discarded

    @property
    def unfinished(self) -> str:
        """Name of the episode that seems to be recording, "" if none."""
        return self._watcher.unfinished

    @property
    def damaged(self) -> str:
        """Sentence about the unusable episodes, "" if none."""
        return "; ".join(f"{name}: {reason}" for name, reason in self._watcher.damaged.items())

    def _look(self) -> None:
        newest = lineage.newest_good(Path(value(self._node, "checkpoint")))
        learnt = frozenset() if newest is None else lineage.read(newest).episodes
        news = self._watcher.look()  # after what may raise an error: each change is told once
        if news or newest != self._newest:
            self._newest = newest
            self._trigger.take(news, learnt)
            if newest is not None:
                self._trigger.newest(newest.name, learnt, self._watcher.discarded)
        for name, reason in news.damaged:
            self._node.get_logger().error(shown(f"not trained on, damaged: {name}: {reason}"))
            self._report({"event": "damaged", "episode": name, "reason": reason})
        for name, reason in news.poor:
            text = f"not trained on (parameter poor): {name} is poor: {reason}"
            self._node.get_logger().warning(shown(text))
            self._report({"event": "poor", "episode": name, "reason": reason})
        if news.finished or news.discarded:
            found = {
                name: {"labelled": count.labelled, "interventions": count.interventions}
                for name, count in news.finished
            }
            for name, count in news.finished:
                if count.left_out:
                    self._node.get_logger().warning(f"{name}: not counted: {summary(count.left_out)}")
            wait = {"labels": self._trigger.labelled, "train_after": value(self._node, "train_after")}
            self._report({"event": "noticed", "episodes": found, "discarded": list(news.discarded), **wait})
        due = self._trigger.due()
        if not due or not self.by_itself:
            return
        if self._begin(due, self._watcher.discarded):
            self._trigger.begun()
            self._queued = ""
        elif due != self._queued:
            self._queued = due
            self._report({"event": "queued", "why": due})


class LoadThrottle:
    """Calls `pause(bool)` to pause or resume the training by the lateness of the supervisor's decisions."""

    def __init__(self, node: Node, pause: Callable[[bool], None], report: Report) -> None:
        self._node, self._pause, self._report = node, pause, report
        topic = declare(
            node, "supervisor_decisions", "dagger_supervisor/decision", "supervisor's decisions; the "
            "training pauses while they are late; empty: never", read_only=True,
        )  # fmt: skip
        given = {
            "pause_above": declare(
                node, "throttle.pause_above", 0.5, "lateness of decisions above which the training pauses",
                unit="tick periods", minimum=0.01, maximum=10.0, read_only=True,
            ),
            "resume_below": declare(
                node, "throttle.resume_below", 0.25, "lateness below which it resumes", unit="tick periods",
                minimum=0.01, maximum=10.0, read_only=True,
            ),
            "longest_s": declare(
                node, "throttle.longest_s", 5.0, "longest pause; lateness beyond it has another "
                "cause", unit="s", minimum=0.1, maximum=3600.0, read_only=True,
            ),
        }  # fmt: skip
        try:
            self.throttle = Throttle(ThrottleLimits(**given))
        except ValueError as error:
            raise Refusal(f"parameters throttle.*: {error}") from error
        if topic:
            self._subscription = node.create_subscription(
                String, topic, self._on_decision, QoSProfile(depth=50), raw=True
            )
            node.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def values(self) -> dict[str, Any]:
        """Values for the diagnostics."""
        return {"lateness [periods]": self.throttle.lateness, "pauses": self.throttle.pauses}

    def _on_decision(self, raw: bytes) -> None:
        decision = decode(raw)
        before = self.throttle.paused
        self._after(before, self.throttle.observe(decision.stamp_ns, decision.sent_ns, time.monotonic()))

    def _look(self) -> None:
        before = self.throttle.paused
        self._after(before, self.throttle.update(time.monotonic()))

    def _after(self, before: bool, now: bool) -> None:
        if before == now:
            return
        self._pause(now)
        self._report({"event": "paused" if now else "resumed", "pauses": self.throttle.pauses})
