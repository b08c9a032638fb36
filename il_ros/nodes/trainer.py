"""Executable `trainer`: trains policies from recorded episodes, beside the control loop and never in it.

`~/train` (Trigger) starts a training in a process of its own that takes only idle time; `~/cancel` ends it;
`~/evaluate` measures the newest policy in the embedded simulator. `~/progress` (String) tells of every epoch
and episode as JSON. A finished policy lies in `checkpoint`/vN, and its path is latched on `~/checkpoint`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger

from il_ros.nodes import runtime
from il_ros.nodes.diagnostics import ERROR, OK, Status
from il_ros.nodes.parameters import declare, value
from il_ros.policies.versions import versions
from il_ros.training.job import STOPPED, EvaluationPlan, Job, TrainingPlan

POLL_S = 0.1


class Trainer(runtime.PlainNode):
    """Runs one job at a time and tells how far it is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("trainer", **kwargs)
        declare(self, "root", "episodes", "folder of the recorded episodes")
        declare(self, "checkpoint", "checkpoint", "folder that receives the policies v1, v2, ...")
        declare(self, "contract", "", "contract, a file or a shipped name; empty: the recorded one")
        declare(self, "recipe", "", "recipe, a file or a shipped name; empty: ensemble, bc_cnn with cameras")
        declare(self, "changes", [], "changes of the recipe, key=value each")
        declare(self, "background", True, "leave the processor to whoever else wants it")
        declare(self, "task", "", "simulated task to evaluate on; empty: the one trained on")
        declare(self, "episodes", 20, "episodes of an evaluation", minimum=1, maximum=100_000)
        declare(self, "seed", 1_000_000, "first seed of an evaluation", minimum=0)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._progress = self.create_publisher(String, "~/progress", 10)
        self._checkpoint = self.create_publisher(String, "~/checkpoint", latched)
        for name, answer in (("train", self._train), ("evaluate", self._evaluate), ("cancel", self._cancel)):
            self.create_service(Trigger, f"~/{name}", answer)
        self._job: Job | None = None
        self._what = ""
        self._training: tuple[TrainingPlan, str] | None = None
        self._status = Status(OK, "waiting for ~/train")
        self.create_timer(POLL_S, self._poll, clock=Clock(clock_type=ClockType.STEADY_TIME))
        trained = versions(self._versions)
        if trained:
            self._announce(trained[-1])

    def status(self) -> Status:
        """Return what the job is at, or how the last one ended."""
        return self._status

    def stop(self) -> None:
        """End the running job."""
        if self._job is not None:
            self._job.close()
            self._job = None

    @property
    def _versions(self) -> Path:
        return Path(value(self, "checkpoint"))

    def _train(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._refuse_if_busy()
        plan = TrainingPlan(
            root=Path(value(self, "root")),
            versions=self._versions,
            contract=value(self, "contract"),
            recipe=value(self, "recipe"),
            changes=tuple(value(self, "changes")),
            background=value(self, "background"),
        )
        version = plan.next_version()
        self._begin(plan.command(version), f"training {version}")
        self._training = (plan, version)
        response.success, response.message = True, version
        return response

    def _evaluate(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._refuse_if_busy()
        trained = versions(self._versions)
        if not trained:
            raise runtime.Refusal(f"nothing to evaluate: {self._versions} holds no trained policy")
        plan = EvaluationPlan(
            checkpoint=trained[-1],
            task=value(self, "task"),
            episodes=value(self, "episodes"),
            seed=value(self, "seed"),
            background=value(self, "background"),
        )
        self._begin(plan.command(), f"evaluating {trained[-1].name}")
        response.success, response.message = True, trained[-1].name
        return response

    def _cancel(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._job is None:
            raise runtime.Refusal("nothing to cancel")
        self._job.interrupt()
        response.success, response.message = True, f"{self._what}: ends soon"
        return response

    def _refuse_if_busy(self) -> None:
        if self._job is not None:
            raise runtime.Refusal(f"busy: {self._status.message}")

    def _begin(self, command: list[str], what: str) -> None:
        self._job, self._what, self._training = Job(command), what, None
        self._status = Status(OK, what)
        self.get_logger().info(what)

    def _poll(self) -> None:
        if self._job is None:
            return
        events, status = self._job.poll()
        for event in events:
            self._tell(event)
            self._status = Status(OK, f"{self._what}: {event['event']}", _shown(event))
        if status is not None:
            job, self._job = self._job, None
            job.close()
            self._end(status, job.last_words)

    def _end(self, status: int, last_words: str) -> None:
        """Say how the job ended; a trained policy gets its place first, then the news."""
        if status == 0:
            self._status = Status(OK, f"{self._what}: done", self._status.values)
            self.get_logger().info(self._status.message)
            if self._training is not None:
                plan, version = self._training
                self._announce(plan.publish(version))
        elif status in STOPPED:
            self._tell({"event": "cancelled"})
            self._status = Status(OK, f"{self._what}: cancelled")
        else:
            self._tell({"event": "failed", "reason": last_words})
            self._status = Status(ERROR, f"{self._what} failed: {last_words}")
            self.get_logger().error(self._status.message)

    def _announce(self, run: Path) -> None:
        self._checkpoint.publish(String(data=str(run.resolve())))

    def _tell(self, event: dict[str, Any]) -> None:
        self._progress.publish(String(data=json.dumps({"job": self._what, **event})))


def _shown(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event's numbers and words, for diagnostics."""
    return {
        key: item for key, item in event.items() if isinstance(item, (int, float, str)) and key != "event"
    }


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return runtime.main(Trainer, args)


if __name__ == "__main__":
    sys.exit(main())
