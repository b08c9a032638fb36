"""Executable `trainer`: trains policies from recorded episodes, in a process apart from the control loop.

`~/train` (Trigger) starts a training from scratch in a process that takes only idle time, and pauses while
the supervisor's decisions come late; `~/cancel` ends it; `~/evaluate` measures the newest policy in the
embedded simulator. With the parameter `watch` the node starts trainings by itself: after an episode with an
intervention, or after enough new labels, it trains on all episodes, from the weights of the newest good
version, in a resident process (importing torch takes longer than the training).
`~/progress` (String) reports every step as JSON: "event", "job", "at_s" (time.time()) and
    noticed (episodes, discarded, labels not yet trained on, train_after), damaged (episode, reason),
    poor (episode, reason), queued (why), began (version, parent, why), start, epoch, done, paused, resumed, cancelled,
    failed (reason), announced (version).
A finished policy is saved in `checkpoint`/vN, with its lineage in version.json. Its path is latched on
`~/checkpoint`, from which the policy server takes candidates for promotion.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from std_msgs.msg import String
from std_srvs.srv import Trigger

from il_ros.core.tables import shown
from il_ros.episodes.catalogue import Omission
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.diagnostics import ERROR, OK, WARN, Status
from il_ros.nodes.runtime.parameters import settle, value
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.trainer.parameters import declare_all, evaluation_plan, training_plan
from il_ros.nodes.trainer.watch import LoadThrottle, Watcher
from il_ros.policies import lineage
from il_ros.policies.versions import begin_next, publish, versions
from il_ros.training.trainer import job as jobs
from il_ros.training.trainer.job import STOPPED, Job
from il_ros.training.trainer.plans import Plan
from il_ros.training.trainer.resident import Resident, ResidentJob

POLL_S = 0.05


class Trainer(managed.PlainNode):
    """Runs one job at a time and reports its progress."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("trainer", **kwargs)
        declare_all(self)
        self._progress = self.create_publisher(String, "~/progress", 10)
        self._checkpoint = self.create_publisher(String, "~/checkpoint", LATCHED)
        for name, answer in (("train", self._train), ("evaluate", self._evaluate), ("cancel", self._cancel)):
            self.create_service(Trigger, f"~/{name}", answer)
        self._job: Job | ResidentJob | None = None
        self._what = self._by_hand = ""
        self._warned: set[tuple[str, str]] = set()
        self._training: tuple[Path, str] | None = None  # its folder until it is published; its version
        self._status = Status(OK, "waiting for ~/train")
        self.create_timer(POLL_S, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._throttle = LoadThrottle(self, self._pause, self._report_event)
        newest = lineage.newest_good(self._versions)
        if newest is not None:
            self._announce(newest)
        self._resident: Resident | None = None
        self._watcher: Watcher | None = None
        if value(self, "watch"):
            self._resident = Resident(value(self, "background"))
            self._resident.warm_up()
            self._watcher = Watcher(self, self._learn, self._report_event)
            settle(self, ("root", "background"), "with watch it is read at the start")

    def status(self) -> Status:
        """Return the job's progress or the last result; a warning while episodes are damaged."""
        status = self._status
        values = {**status.values, **self._throttle.values}
        if self._watcher is None:
            return Status(status.level, status.message, values)
        values |= self._watcher.values
        if self._watcher.damaged and status.level == OK:
            return Status(WARN, f"{status.message}; not trained on: {self._watcher.damaged}", values)
        return Status(status.level, status.message, values)

    def stop(self) -> None:
        """End the running job and the resident process; name a training that stays unfinished."""
        if self._job is not None:
            if self._training is not None:
                self.get_logger().warning(
                    shown(f"{self._what} ends unfinished; this trains it: {self._by_hand}")
                )
            self._job.close()
            self._job = None
        if self._resident is not None:
            self._resident.close()

    @property
    def _versions(self) -> Path:
        return Path(value(self, "checkpoint"))

    def _train(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._refuse_if_busy()
        start = None
        if self._watcher is not None and not self._watcher.by_itself:
            start = lineage.newest_good(self._versions, without=self._watcher.discarded)
        response.success, response.message = True, self._begin_training(start, "requested")
        return response

    def _learn(self, why: str, discarded: frozenset[str]) -> bool:
        """Train on all episodes from the newest good weights; return False while another job runs."""
        if self._job is not None:
            return False
        self._begin_training(lineage.newest_good(self._versions, without=discarded), why)
        return True

    def _begin_training(self, start: Path | None, why: str) -> str:
        version, run = begin_next(self._versions)
        plan = training_plan(self, start, version, run)
        self._begin(plan, f"training {version}")
        self._by_hand = plan.by_hand(self._versions / version)
        self._training = (run, version)
        parent = "" if start is None else start.name
        began = {"event": "began", "version": version, "parent": parent, "why": why}
        self._report_event(began | {"command": self._by_hand})
        self.get_logger().info(f"training {version} from {parent or 'scratch'}: {why}")
        return version

    def _evaluate(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._refuse_if_busy()
        trained = versions(self._versions)
        if not trained:
            raise managed.Refusal(f"nothing to evaluate: {self._versions} holds no trained policy")
        self._begin(evaluation_plan(self, trained[-1]), f"evaluating {trained[-1].name}")
        response.success, response.message = True, trained[-1].name
        return response

    def _cancel(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._job is None:
            raise managed.Refusal("nothing to cancel")
        self._job.interrupt()
        response.success, response.message = True, f"{self._what}: ends soon"
        return response

    def _refuse_if_busy(self) -> None:
        if self._job is not None:
            raise managed.Refusal(f"busy: {self._status.message}")

    def _begin(self, plan: Plan, what: str) -> None:
        self._job = jobs.begin(plan) if self._resident is None else self._resident.begin(plan)
        self._what, self._training = what, None
        self._status = Status(OK, what)
        if self._throttle.throttle.paused:
            self._job.pause(True)

    def _pause(self, paused: bool) -> None:
        if self._job is not None:
            self._job.pause(paused)

    def _poll(self) -> None:
        if self._job is None:
            return
        events, status = self._job.poll()
        for event in events:
            self._report_event(event)
            self._warn(event)
            self._status = Status(OK, f"{self._what}: {event['event']}", _shown(event))
        if status is not None:
            job, self._job = self._job, None
            job.close()
            self._end(status, jobs.reason_of(status, job.last_line))

    def _warn(self, event: dict[str, Any]) -> None:
        """Log once which episodes are not trained on; one that is being recorded is expected."""
        log = self.get_logger()
        poor: dict[str, str] = {}
        for name, reason in event.get("left_out", {}).items():
            unfinished = self._watcher is not None and self._watcher.unfinished == name
            kind = Omission(event.get("omissions", {}).get(name, Omission.UNUSABLE))
            expected = unfinished or kind in (Omission.BEING_RECORDED, Omission.DISCARDED)
            if expected or (name, reason) in self._warned:
                continue
            self._warned.add((name, reason))
            if kind is Omission.POOR:
                poor[name] = reason
                continue
            # an episode without corrections is not a fault
            write = log.info if kind is Omission.NO_FRAMES else log.warning
            write(shown(f"not trained on: {name}: {reason}"))
        if poor:
            name, reason = next(iter(poor.items()))
            text = f"not trained on: {len(poor)} poor (parameter poor); {name}: {reason}"
            log.warning(shown(text))
        for note in event.get("notes", ()):
            log.info(shown(note))
        for warning in event.get("warnings", ()):
            if ("", warning) not in self._warned:  # every training begins with the same ones
                self._warned.add(("", warning))
                log.warning(shown(warning))

    def _end(self, status: int, reason: str) -> None:
        """Report how the job ended; publish a trained policy before announcing it."""
        if status == 0:
            self._status = Status(OK, f"{self._what}: done", self._status.values)
            self.get_logger().info(self._status.message)
            if self._training is not None:
                self._announce(publish(*self._training))
        elif status in STOPPED:
            self._report_event({"event": "cancelled"})
            self._status = Status(OK, f"{self._what}: cancelled")
        else:
            self._report_event({"event": "failed", "reason": reason})
            self._status = Status(ERROR, f"{self._what} failed: {reason}")
            self.get_logger().error(shown(self._status.message))

    def _announce(self, run: Path) -> None:
        self._checkpoint.publish(String(data=str(run.resolve())))
        self._report_event({"event": "announced", "version": run.name})

    def _report_event(self, event: dict[str, Any]) -> None:
        self._progress.publish(String(data=json.dumps({"job": self._what, "at_s": time.time(), **event})))


def _shown(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event's numbers and strings for the diagnostics."""
    return {
        key: item for key, item in event.items() if isinstance(item, (int, float, str)) and key != "event"
    }


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return managed.main(Trainer, args)


if __name__ == "__main__":
    sys.exit(main())
