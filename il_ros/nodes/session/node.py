"""Executable `session`: keys, gamepad buttons and a console that operate the whole loop.

Keys come from this terminal (also over SSH), buttons from `joy`; `il_ros.session.keys` defines their
commands. Other keys, such as those that drive the robot, are published on `~/keys`, and moments to label
later on `~/marks`. With `person` = simulated, a model of a person gives the commands. The node ends with the
session.
"""

from __future__ import annotations

import functools
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile
from rclpy.task import Future
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory

from il_ros.nodes.runtime import managed, terminal
from il_ros.nodes.runtime.diagnostics import Status
from il_ros.nodes.runtime.parameters import value
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.waiting import ServiceRefusedError, WaitError
from il_ros.nodes.session.console import Console
from il_ros.nodes.session.instruction import InstructionPublisher
from il_ros.nodes.session.parameters import declare_session
from il_ros.nodes.session.services import Services
from il_ros.nodes.teleop.consoles import CONFIRM_S, ConsoleLink
from il_ros.records import proposal, rating, statuses
from il_ros.records.decision import from_json
from il_ros.session import keys, takes
from il_ros.session.notice import Notice, NoticeKind
from il_ros.session.state import SessionEnd, SessionState, training_words
from il_ros.session.takes import Takes
from il_ros.session.updates import UPDATES, after_decision, after_rating, after_task
from il_ros.session.user_commands import (
    INSTRUCTION,
    REST,
    STOP,
    URGENT,
    Call,
    CommandPlan,
    after_call,
    automatic_command,
    plan,
    resume_time,
    unrecorded,
)

LOOK_EVERY_S = 0.02
TELL_AGAIN_S = 5.0
SHOW_EVERY_S = 0.1
DEEP = QoSProfile(depth=100)


class Session(managed.PlainNode):
    """Keys and messages in, service calls and a console out; the logic is in `il_ros.session`."""

    def __init__(self, screen: terminal.Terminal | None, **kwargs: Any) -> None:
        super().__init__("session", **kwargs)
        self.screen = screen
        chosen = declare_session(self)
        self._options, self._buttons, self._person = chosen.options, chosen.buttons, chosen.person
        self._contract, self._keyboard = chosen.contract, chosen.keyboard
        self._console = Console(self, screen)
        known = keys.key_help(
            at_moments=bool(self._options.moments),
            by_key=self._options.by_key,
            simulator=self._options.simulator,
            camera=self._console.camera,
            learns=self._options.learns,
            trainer=self._options.trainer,
            recorder=self._options.recorder,
            instructions=bool(self._options.instructions),
        )
        self._console.help_lines = (*([chosen.goal, ""] if chosen.goal else []), *known, *chosen.driving)
        self._no_keys = screen is None and self._person is None
        self._told_unrecorded_s = -TELL_AGAIN_S
        self._takes = Takes()
        self.state = SessionState(
            expert=self._options.driver, learns=self._options.learns, moments=len(self._options.moments)
        )
        self.ended: Future = Future()
        self._services_client = Services(self)
        self._instruction = InstructionPublisher(self, chosen.instruction_topic)
        self._link = ConsoleLink(self, watched=screen is not None)
        if screen is not None:
            screen.on_suspend = self._link.suspend
        self._queue: deque[str] = deque()
        self.busy = False  # a user command is running; others may be queued
        self._running = ""
        self._ended_for = ""  # the episode that has ended or is ending: no automatic end
        self._buttons_before: Sequence[int] = ()
        self._gamepad: tuple[str, ...] = ()  # its line of help, after the first message
        self._marks = self.create_publisher(String, "~/marks", DEEP)
        self._keys = self.create_publisher(String, "~/keys", DEEP)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(LOOK_EVERY_S, self._look, clock=steady)
        self.create_timer(SHOW_EVERY_S, lambda: self._console.show(self.state), clock=steady)
        self._listen()

    def start(self) -> None:
        """Show the keys; say the first instruction, if there are any."""
        self._console.help()
        if self._options.instructions:
            self.command(keys.TELL)
        if self._no_keys:
            self.get_logger().warning("no terminal: keys are unavailable; the gamepad's buttons work")

    def stop(self) -> None:
        """Keep the status line on the screen; name an unfinished training; write the report if `report` is set.

        Unless a person ended the session, the robot stops.
        """
        self._link.close(left=self.ended.done())
        self._console.leave(self.state)
        if self.state.training:
            later = f"; this trains it: {self.state.training_command}" if self.state.training_command else ""
            self._console.tell([Notice(f"{training_words(self.state)} ends unfinished{later}")])
        if value(self, "report"):
            self._console.report(Path(value(self, "report")))

    def status(self) -> Status:
        """Return the status line."""
        return Status(message=self._console.line(self.state, colour=False))

    def command(self, command: str) -> None:
        """Run a user command, after the countdown if there is one: at once if urgent, else after the queued ones."""
        made = takes.on_command(self._takes, command, self._options.takes, time.monotonic())
        if made is not None:
            self._take(made)
        else:
            self._command(command)

    def _command(self, command: str) -> None:
        if command == keys.VIEW:
            if not self._console.switch_view():
                self._console.tell([Notice("there is no camera image to show")])
            return
        if command == keys.HELP:
            self._console.help(*self._gamepad)
            return
        if command in URGENT:
            self.state = replace(self.state, ending=SessionEnd.NONE)  # the operator goes on
            self.executor.create_task(self._carry_out, plan(command, self.state, self._options))
            return
        if command in (self._running, *self._queue):
            return  # already running or queued
        self._queue.append(command)
        if not self.busy:
            self.busy = True
            self.executor.create_task(self._work)

    # ---- what comes in -----------------------------------------------------------------------------------

    def _listen(self) -> None:
        for topic in UPDATES:
            qos = DEEP if topic == "trainer/progress" else LATCHED
            self.create_subscription(String, topic, functools.partial(self._on_json, topic), qos)
        self.create_subscription(String, "dagger_supervisor/decision", self._on_decision, DEEP)
        self.create_subscription(Joy, "joy", self._on_joy, 10)
        if self._options.simulator:
            for name in ("success", "failed"):
                receive = functools.partial(self._on_task, name)
                self.create_subscription(Bool, f"task/{name}", receive, LATCHED)
        if topic := value(self, "judge_topic"):
            self.create_subscription(String, topic, self._on_rating, DEEP)
        if self._options.moments:
            self.create_subscription(JointTrajectory, "expert/proposal", self._on_driving, DEEP, raw=True)
        if self._person is not None:
            for source, topic in (("policy", "policy_server/proposal"), ("advice", "expert/advice")):
                receive = functools.partial(self._on_proposal, source)
                self.create_subscription(JointTrajectory, topic, receive, DEEP, raw=True)

    def _look(self) -> None:
        for key in self._console.pressed():
            command = keys.command_of(key)
            if command:
                self.command(command)
            elif not self._may_drive(key):
                self._console.tell([Notice(keys.no_function(key))])
            else:
                self._keys.publish(String(data=key))
                self._tell_unrecorded()
                self._resume()
        if self._options.takes.countdown_s > 0 or self._options.takes.takes:
            self._look_at_takes()
        self._poll_person()

    def _may_drive(self, key: str) -> bool:
        """Return whether a key drives the robot, or may do so: a node of a teleoperation device listens to the keys."""
        if self._keyboard is not None:
            return self._keyboard.has_function(key)
        return self._keys.get_subscription_count() > 0

    def _look_at_takes(self) -> None:
        """Advance countdown and reset phase."""
        now_s, options, state = time.monotonic(), self._options.takes, self.state
        # the end of an episode that is being discarded is known before the answer to the command
        discarded = state.discarding or state.discarded
        self._take(takes.step(self._takes, state.recording, state.last, discarded, options, now_s))
        self.state = replace(self.state, phase=takes.words(self._takes, options, now_s))

    def _take(self, made: takes.TakeStep) -> None:
        self._takes = made.takes
        self._console.tell([Notice(line) for line in made.lines])
        self._console.ring(made.bells)
        if made.command:
            self._command(made.command)

    def _on_joy(self, message: Joy) -> None:
        if self._buttons.commands and not self._gamepad:
            self._gamepad = (self._buttons.help(),)
            self._console.tell([Notice(line) for line in self._gamepad])
        for command in self._buttons.pressed(self._buttons_before, message.buttons):
            self.command(command)
        self._buttons_before = message.buttons

    def _on_json(self, topic: str, message: String) -> None:
        self.state, notices = UPDATES[topic](self.state, statuses.read(topic, message.data))
        self._console.tell(notices)
        if self.state.ending is SessionEnd.DUE:
            self.command(keys.END)

    def _on_decision(self, message: String) -> None:
        self.state, notices = after_decision(self.state, from_json(message.data))
        self._console.tell(notices)
        self._poll_person()
        self._notice_end()

    def _on_task(self, name: str, message: Bool) -> None:
        self.state = after_task(self.state, **{name: message.data})
        self._notice_end()

    def _on_rating(self, message: String) -> None:
        """Show how likely the success is there; a model that is sure of it ends the episode, and the robot rests."""
        said = rating.from_json(message.data)
        self.state = after_rating(self.state, said)
        ending = said.ends and said.episode == self.state.recording != self._ended_for
        if ending and not self.busy:
            self._ended_for = self.state.recording
            self.command(REST)

    def _on_proposal(self, source: str, raw: bytes) -> None:
        assert self._person is not None
        assert self._contract is not None
        proposed = proposal.decode(
            raw, self._contract.action_names, self._contract.period_ns, self._contract.groups
        )
        self._person.observe(source, proposed)

    def _on_driving(self, raw: bytes) -> None:
        assert self._contract is not None
        if not proposal.decode(
            raw, self._contract.action_names, self._contract.period_ns, self._contract.groups
        ).releases:
            self._tell_unrecorded()
            self._resume()

    def _tell_unrecorded(self) -> None:
        """Say that driving records nothing now, at most every few seconds."""
        text, now_s = unrecorded(self.state, self._options), time.monotonic()
        if text and now_s - self._told_unrecorded_s >= TELL_AGAIN_S:
            self._told_unrecorded_s = now_s
            self._console.tell([Notice(text, NoticeKind.FAILURE)])

    def _resume(self) -> None:
        """Resume simulated time that was paused at a recorded moment."""
        due_now = resume_time(self.state)
        if due_now.calls and not self.busy:
            self.executor.create_task(self._carry_out, due_now)

    def _poll_person(self) -> None:
        if self._person is None or self.busy or self.ended.done():
            return
        command = self._person.command(self.state, time.monotonic())
        if command:
            self.command(command)

    def _notice_end(self) -> None:
        """End the episode once its task is done, once per episode.

        Not during a user command: it may end the episode itself and takes precedence.
        """
        command = automatic_command(self.state, self._options)
        if command and not self.busy and self._ended_for != self.state.recording:
            self.command(command)

    # ---- what goes out -----------------------------------------------------------------------------------

    async def _work(self) -> None:
        """Run the queued user commands in order; must not raise."""
        try:
            while self._queue:
                self._running = self._queue.popleft()
                made = plan(self._running, self.state, self._options)
                if made.ends_episode:
                    self._ended_for = self.state.recording
                if self._running == keys.UNDO:
                    self.state = replace(self.state, discarding=self.state.recording or self.state.last)
                await self._carry_out(made)
                self.state = replace(self.state, ending=made.ending, discarding="")
                if made.end and not self.ended.done():
                    self.ended.set_result(0)
        finally:
            self.busy, self._running = False, ""

    async def _carry_out(self, made: CommandPlan) -> None:
        try:
            for call in made.calls:
                await self._call(call)
                self.state = after_call(self.state, call)
            self._console.tell([Notice(line) for line in made.lines])
        except ServiceRefusedError as error:
            self._console.tell([Notice(str(error), NoticeKind.FAILURE)])
        except WaitError as error:
            self._console.tell([Notice(f"refused: {error}", NoticeKind.FAILURE)])
        except Exception as error:  # an exception would stop the executor
            self.report_error("session", error)

    async def _call(self, call: Call) -> None:
        if call.name == INSTRUCTION:
            self._instruction.say(str(call.value))
            return
        if call.publish:
            self._marks.publish(String(data=str(call.value)))
            return
        if call.name == STOP and call.value:
            self._link.say_stop()  # names this console; the service confirms the stop
            await self._services_client.pause(CONFIRM_S)
        await self._services_client.call(call, value(self, "timeout_s"))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node in this terminal."""
    with terminal.keys_or_none(anywhere=True) as screen:
        return managed.main(functools.partial(Session, screen), args)


if __name__ == "__main__":
    sys.exit(main())
