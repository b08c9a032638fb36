"""Executable `conductor`: runs simulated episodes one after another, unattended, and counts the successes.

One episode: pause the simulator, restart the supervisor, reset to the episode's seed, start the recorder,
run until success, failure, the time limit in simulated time, or one second after the scripted expert has
given up; pause, mark and stop. With `per_round` the trainer trains after that many episodes, and the next
episode begins after the policy server's verdict.
`~/progress` (String, JSON, latched) reports each outcome; the parameter `result` names a file for all.
The process ends after the last episode: exit code 0 when all could run, otherwise 1 with the reason.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rcl_interfaces.srv import SetParameters
from rclpy.qos import QoSProfile
from rclpy.task import Future
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from il_ros.core import atomic, messages
from il_ros.core.tables import counted, say, shown
from il_ros.nodes.conductor.giving_up import GivingUp
from il_ros.nodes.conductor.rounds import Rounds
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.diagnostics import Status
from il_ros.nodes.runtime.parameters import declare
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.streams import message_class
from il_ros.nodes.runtime.waiting import WaitError, Waiting, parameters
from il_ros.records import proposal
from il_ros.records.decision import NOBODY, from_json
from il_ros.records.trials import SIGNS, Trial, Trials

RETRY_S = 0.2
SHOWN_WITHIN_S = 1.0


class Conductor(managed.PlainNode):
    """Runs `episodes` trials over the graph; see the module."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("conductor", **kwargs)
        count = declare(self, "episodes", 1, "episodes to run", minimum=1, maximum=1_000_000, read_only=True)
        seed = declare(
            self, "seed", 0, "seed of the first episode; counted up for each next one", read_only=True
        )
        self._limit_s = declare(
            self,
            "time_limit_s",
            20.0,
            "simulated time after which an episode fails",
            unit="s",
            minimum=0.1,
            read_only=True,
        )
        self._record = declare(self, "record", True, "record every episode", read_only=True)
        self._result = declare(self, "result", "", "JSON file for the outcomes; empty: none", read_only=True)
        self._timeout_s = declare(
            self, "timeout_s", 90.0, "longest wait for a service, the simulator, or a policy that is still "
            "loading", unit="s", minimum=0.1, read_only=True,
        )  # fmt: skip
        self._answered = declare(
            self, "first_decision", True, "begin only after a decision with authority on the first frame; "
            "false for contracts whose ticks come from a timer, which stops while paused",
            read_only=True,
        )  # fmt: skip
        answers = declare(
            self,
            "answers",
            "",
            "topics, separated by spaces, that must also answer the first frame",
            read_only=True,
        )
        self._answers = dict.fromkeys(answers.split(), 0)
        self.trials = Trials(count, seed)
        if self._result:
            try:
                atomic.require_own(Path(self._result), *SIGNS)
            except OSError as error:
                raise managed.Refusal(f"result: {error}") from error
        self.ended: Future = Future()
        self._waiting = Waiting(self)
        self._rounds = Rounds(self, self._waiting)
        self._giving_up = GivingUp(self)
        self._simulated_ns = 0
        self._success: bool | None = None
        self._failed = False
        self._decided_ns = 0
        self._progress = self.create_publisher(String, "~/progress", LATCHED)
        self.create_subscription(Clock, "/clock", self._on_clock, QoSProfile(depth=1))
        self.create_subscription(Bool, "task/success", self._on_success, LATCHED)
        self.create_subscription(Bool, "task/failed", self._on_failed, LATCHED)
        self.create_subscription(
            String, "dagger_supervisor/decision", self._on_decision, QoSProfile(depth=10)
        )
        # in this order: see Waiting.call
        self._reset = self.create_client(Trigger, "sim/reset")
        self._set_sim = self.create_client(SetParameters, "sim/set_parameters")
        self._pause = self.create_client(SetBool, "sim/pause")
        self._restart = self.create_client(Trigger, "dagger_supervisor/restart")
        self._start = self.create_client(Trigger, "recorder/start")
        self._stop = self.create_client(Trigger, "recorder/stop")
        self._set_recorder = self.create_client(SetParameters, "recorder/set_parameters")
        for topic in self._answers:
            self.create_subscription(
                message_class(proposal.TYPE),
                topic,
                partial(self._on_answer, topic),
                QoSProfile(depth=10),
                raw=True,
            )

    def start(self) -> None:
        """Begin with the first episode."""
        self.executor.create_task(self._conduct)

    def status(self) -> Status:
        """Return the number of finished episodes."""
        values = {"episodes done": len(self.trials.done), "successes": self.trials.successes}
        return Status(
            message=f"{len(self.trials.done)} of {counted(self.trials.planned, 'episode')}", values=values
        )

    async def _conduct(self) -> None:
        """Run all trials; must not raise, because an exception would stop the executor."""
        try:
            while (seed := self.trials.next_seed) is not None:
                self.trials = self.trials.after(await self._run(seed))
                self._report_progress()
                done = len(self.trials.done)
                if self._rounds.over(done):
                    result = await self._rounds.improve(self.trials.done[-1].episode, self._timeout_s)
                    self.get_logger().info(shown(f"after {counted(done, 'episode')}: {result}"))
            self.ended.set_result(0)
        except Exception as error:
            seed = self.trials.next_seed
            self.report_error(
                f"episode with seed {seed}" if seed is not None else "after the last episode",
                managed.Refusal(str(error)) if isinstance(error, WaitError) else error,
            )
            self.ended.set_result(1)

    async def _run(self, seed: int) -> Trial:
        began_s = time.monotonic()
        await self._call(self._pause, SetBool.Request(data=True))
        recorded = await self._prepare(seed)
        start_ns = self._simulated_ns
        await self._call(self._pause, SetBool.Request(data=False))
        outcome, reason = await self._outcome(start_ns)
        end_ns = self._simulated_ns
        await self._call(self._pause, SetBool.Request(data=True))
        if self._record:
            await self._call(self._set_recorder, parameters(outcome=outcome))
            await self._call(self._stop, Trigger.Request())
        return Trial(seed, outcome, reason, (end_ns - start_ns) / 1e9, time.monotonic() - began_s, recorded)

    def _ended_or_later(self, start_ns: int, until_ns: int) -> bool:
        return bool(self._ending(start_ns)) or self._simulated_ns >= until_ns

    async def _outcome(self, start_ns: int) -> tuple[str, str]:
        """Wait for the end of the running episode; return its outcome and reason."""
        while True:
            next_ns = self._simulated_ns + 1_000_000_000
            await self._waiting.until(
                partial(self._ended_or_later, start_ns, next_ns),
                self._timeout_s,
                "the simulator's next simulated second (is a proposal or a decision missing?)",
            )
            if ending := self._ending(start_ns):
                return ending

    def _ending(self, start_ns: int) -> tuple[str, str] | None:
        """Return outcome and reason of the running episode, None while it continues."""
        if self._success:
            return "success", "the task succeeded"
        if self._failed:
            return "failure", "the task can no longer be completed"
        if self._giving_up.over(start_ns, self._simulated_ns):
            return "failure", "the expert has given up"
        if self._simulated_ns >= start_ns + round(self._limit_s * 1e9):
            return "failure", f"not within {self._limit_s:g} s"
        return None

    async def _prepare(self, seed: int) -> str:
        """Reset all nodes to the start of an episode; return its recording's name.

        A paused simulator publishes each first frame once, which a node that is still loading or discovering
        misses: no decision follows, or the recorder refuses because of silent streams. Therefore retry until
        `timeout_s`.
        """
        deadline_s = time.monotonic() + self._timeout_s
        while True:
            try:
                await self._begin(seed)
                if not self._record:
                    return ""
                await self._call(self._set_recorder, parameters(outcome="unmarked", seed=seed))
                return (await self._call(self._start, Trigger.Request())).message
            except WaitError:
                if time.monotonic() > deadline_s:
                    raise
                await self._waiting.pause(RETRY_S)

    async def _begin(self, seed: int) -> None:
        await self._call(self._set_sim, parameters(seed=seed))
        # before the reset: the first frame is answered at once, from the robot's new state
        await self._waiting.call(self._restart, Trigger.Request(), self._timeout_s, again=True)
        self._success = None  # discard the previous episode's status
        before_ns = self._simulated_ns
        await self._call(self._reset, Trigger.Request())
        await self._waiting.until(
            lambda: self._success is False, SHOWN_WITHIN_S, f"task/success false after the reset to {seed}"
        )
        if self._answered:
            await self._waiting.until(
                lambda: self._decided_ns > before_ns,
                SHOWN_WITHIN_S,
                "a decision for the first frame (is there a proposal?)",
            )
        if self._answers:
            await self._waiting.until(
                lambda: min(self._answers.values()) > before_ns,
                SHOWN_WITHIN_S,
                f"a proposal for the first frame on each of {', '.join(self._answers)}",
            )

    async def _call(self, client: Any, request: Any) -> Any:
        return await self._waiting.call(client, request, self._timeout_s)

    def _on_clock(self, message: Clock) -> None:
        self._simulated_ns = message.clock.sec * 1_000_000_000 + message.clock.nanosec
        self._waiting.notify()

    def _on_success(self, message: Bool) -> None:
        self._success = message.data
        self._waiting.notify()

    def _on_decision(self, message: String) -> None:
        decision = from_json(message.data)
        if decision.authority != NOBODY:
            self._decided_ns = decision.stamp_ns
            self._waiting.notify()

    def _on_answer(self, topic: str, raw: bytes) -> None:
        self._answers[topic] = messages.raw_stamp_ns(proposal.TYPE, raw) or 0
        self._waiting.notify()

    def _on_failed(self, message: Bool) -> None:
        self._failed = message.data
        self._waiting.notify()

    def _report_progress(self) -> None:
        self._progress.publish(String(data=self.trials.progress()))
        if self._result:
            atomic.write_text(Path(self._result), self.trials.to_json())
        say(self.trials.words(), flush=True)  # after the file, which others read when they see the line


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return managed.main(Conductor, args)


if __name__ == "__main__":
    sys.exit(main())
