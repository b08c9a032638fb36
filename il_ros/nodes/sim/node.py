"""Executable `sim`: a simulated robot with a task, on the same topics as a real one.

Commands come in on the task's command topics; sensors, `clock`, `task/success`, `task/failed` and
`task/episode` go out. `~/reset` begins the episode of parameter `seed` and increments it; parameter `state`,
if given, sets the start once. `~/pause` pauses time.
With `lockstep` every frame waits for the supervisor's decision, so a run depends only on its seed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from std_srvs.srv import SetBool, Trigger

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.tables import counted
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.diagnostics import OK, WARN, Status
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.publishers import OtherPublishers
from il_ros.nodes.runtime.streams import message_class
from il_ros.nodes.sim.frames import OWN_CLOCK, FramePublisher
from il_ros.nodes.sim.parameters import declare_pace, declare_task
from il_ros.records import decision, proposal
from il_ros.sim.pacing import Pace, Pacing

WARN_EVERY_S = 2.0
COMMAND_DEPTH = 1  # only the newest command counts
DECISION_DEPTH = 10


class Sim(managed.PlainNode):
    """Steps a task in (scaled) time or lockstep; see the module."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("sim", **kwargs)
        self.task = declare_task(self)
        declare_pace(self)
        self._paused = declare(
            self, "paused", False, "begin paused, until ~/pause with data: false", read_only=True
        )
        clock = declare(
            self,
            "publish_clock",
            True,
            "publish `clock`, /clock without a namespace, for nodes with use_sim_time",
            read_only=True,
        )
        reliability = declare(
            self, "sensor_reliability", "reliable", "QoS of the sensors; lockstep needs reliable ones",
            choices=("reliable", "best_effort"), read_only=True,
        )  # fmt: skip
        other = OtherPublishers(self, "only one node may publish it: stop one, or set publish_clock to false")
        refused = other.before_publishing([OWN_CLOCK]) if clock else ""
        if refused:
            raise managed.Refusal(refused)
        self._frames = FramePublisher(self, self.task, clock=clock, reliable=reliability == "reliable")
        self._commands: dict[str, Message] = {}
        self._episodes = 0
        self._refused = 0
        self._unanswered = 0
        self._measured = (time.monotonic(), 0)
        self._pacing = Pacing(self._pace(), time.monotonic())
        self._timer = self.create_timer(1.0, self._advance, clock=Clock(clock_type=ClockType.STEADY_TIME))
        for topic, kind in self.task.commands.items():
            self._subscribe(topic, kind, COMMAND_DEPTH, self._on_command)
        topic = declare(
            self, "decision_topic", "dagger_supervisor/decision", "decisions that lockstep waits for",
            read_only=True,
        )  # fmt: skip
        self._subscribe(topic, "std_msgs/msg/String", DECISION_DEPTH, self._on_decision)
        for answers in value(self, "lockstep_answers").split():
            self.create_subscription(
                message_class(proposal.TYPE),
                answers,
                partial(self._on_answer, answers),
                DECISION_DEPTH,
                raw=True,
            )
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/pause", self._on_pause)
        self.add_post_set_parameters_callback(self._on_parameters)
        try:
            self._reset()
        except (RuntimeError, ValueError) as error:  # no graphics for the first image
            raise managed.Refusal(f"parameter cameras: {error}") from error

    def status(self) -> Status:
        """Return the simulation speed and the number of late or unanswered steps."""
        then_s, then_ns = self._measured
        now_s, now_ns = time.monotonic(), self.task.time_ns
        self._measured = (now_s, now_ns)
        factor = (now_ns - then_ns) / 1e9 / max(now_s - then_s, 1e-9)
        unanswered = self._pacing.timeouts - self._unanswered
        self._unanswered += unanswered
        values = {
            "simulated seconds per second": factor,
            "simulated time [s]": now_ns / 1e9,
            "episodes": self._episodes,
            "late steps": self._pacing.late_steps,
            "lockstep time-outs": self._pacing.timeouts,
            "refused commands": self._refused,
        }
        if self._paused:
            return Status(OK, "paused", values)
        if unanswered:
            return Status(
                WARN, f"lockstep: no answer to {counted(unanswered, 'frame')} since the last report", values
            )
        wanted = value(self, "speed")
        if wanted and factor < 0.9 * wanted:
            return Status(
                WARN, f"slower than requested: {factor:.2f} of {wanted:g} simulated s per s", values
            )
        return Status(OK, "running", values)

    def stop(self) -> None:
        """Free the graphics."""
        self._timer.cancel()
        self.task.close()

    def _pace(self) -> Pace:
        period_s = self.task.control_period_ns / 1e9
        return Pace(
            period_s,
            value(self, "speed"),
            value(self, "lockstep"),
            value(self, "lockstep_timeout_s"),
            frozenset(value(self, "lockstep_answers").split()),
        )

    def _subscribe(self, topic: str, kind: str, depth: int, handle: Any) -> None:
        def receive(raw: bytes) -> None:
            try:
                message = messages.decode(kind, raw)
            except ValueError as error:
                self._refuse(f"{topic}: {error}")
                return
            handle(topic, message)

        self.create_subscription(message_class(kind), topic, receive, QoSProfile(depth=depth), raw=True)

    def _on_command(self, topic: str, message: Message) -> None:
        self._commands[topic] = message
        self._pacing.command(topic)
        self._advance_lockstep()

    def _on_decision(self, _topic: str, message: Message) -> None:
        if not self._pacing.pace.lockstep:
            return
        try:
            made = decision.from_json(message.data)
        except ValueError as error:
            self._refuse(str(error))
            return
        self._pacing.decision(made.stamp_ns, made.sent is not None)
        self._advance_lockstep()

    def _on_answer(self, topic: str, raw: bytes) -> None:
        self._pacing.answer(topic, messages.raw_stamp_ns(proposal.TYPE, raw) or 0)
        self._advance_lockstep()

    def _advance_lockstep(self) -> None:
        """Step at once after the last missing answer, so that lockstep adds no delay."""
        if self._pacing.pace.lockstep and self._pacing.answered:
            self._advance()

    def _advance(self) -> None:
        """Step if it is due, and schedule the next step."""
        if self._paused:
            self._timer.cancel()
            return
        if self._pacing.wait_s(time.monotonic()) == 0.0:
            self._step()
        self._wait()

    def _wait(self) -> None:
        wait_s = self._pacing.wait_s(time.monotonic())
        self._timer.timer_period_ns = max(1, round(wait_s * 1e9))
        self._timer.reset()

    def _step(self) -> None:
        if not self._pacing.step(time.monotonic()):
            pacing = self._pacing
            self.get_logger().warning(
                f"lockstep: the frame at {self.task.time_ns / 1e9:.3f} s got no answer within "
                f"{pacing.pace.timeout_s:g} s of wall time, {pacing.unanswered} is missing; going on "
                f"({pacing.timeouts} so far)",
                throttle_duration_sec=WARN_EVERY_S,
            )
        commands, self._commands = self._commands, {}
        try:
            self.task.step(commands)
        except ValueError as error:
            self._refuse(str(error))
            self.task.step({})
        self._pacing.frame(self.task.time_ns, time.monotonic())
        self._frames.publish()

    def _refuse(self, sentence: str) -> None:
        self._refused += 1
        self.get_logger().error(f"refused: {sentence}", throttle_duration_sec=WARN_EVERY_S)

    def _reset(self) -> int:
        """Begin the episode of parameter `seed`, publish its first frame, and return the seed.

        Raises ValueError, without publishing, when parameter `state` does not fit the task.
        """
        seed, state = value(self, "seed"), value(self, "state")
        self.task.reset(seed)
        if len(state):
            self.set_parameters([Parameter("state", Parameter.Type.DOUBLE_ARRAY, [])])
            self.task.restore(np.array(state))
        self._commands.clear()
        self.set_parameters([Parameter("seed", value=seed + 1)])
        self._frames.episode(seed, self._episodes)
        self._episodes += 1
        self._measured = (self._measured[0], self.task.time_ns)
        self._pacing.restart(self.task.time_ns, time.monotonic())
        self._frames.publish()
        if not self._paused:
            self._wait()
        return seed

    def _on_reset(self, _request: Any, response: Any) -> Any:
        try:
            response.message, response.success = f"seed {self._reset()}", True
        except ValueError as error:
            response.message, response.success = f"parameter state: {error}", False
        return response

    def _on_pause(self, request: Any, response: Any) -> Any:
        if self._paused and not request.data:
            self._pacing.resume(time.monotonic())
        self._paused = request.data
        self._advance()
        response.success, response.message = True, "paused" if self._paused else "running"
        return response

    def _on_parameters(self, changed: list[Parameter]) -> None:
        if {"speed", "lockstep", "lockstep_timeout_s"} & {parameter.name for parameter in changed}:
            self._pacing.change(self._pace(), time.monotonic())
            self._advance()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return managed.main(Sim, args)


if __name__ == "__main__":
    sys.exit(main())
