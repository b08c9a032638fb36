"""Executable `action_client`: forwards one action's commands to an action server, such as a gripper's.

The supervisor stays the only node that commands the robot: this one follows its decisions. While a source has
authority, a command that changed becomes a goal. Without authority (emergency stop, hold, rest) and when the
supervisor is silent, the goal is cancelled and none is sent.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile
from std_msgs.msg import String

from il_ros.control.goals import GoalStream
from il_ros.core.contract import Contract
from il_ros.core.specs import ActionSpec, Vector
from il_ros.core.tables import counted, shown
from il_ros.nodes.action_client.kinds import KINDS, GoalKind, HowToReach, action_class
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.contracts import declare_contract, load_contract
from il_ros.nodes.runtime.diagnostics import ERROR, OK, WARN, Status
from il_ros.nodes.runtime.parameters import CONFIGURE, declare, value
from il_ros.nodes.runtime.shell import Refusal
from il_ros.records import decision
from il_ros.records.decision import NOBODY

DECISIONS = "dagger_supervisor/decision"
LOOK_EVERY_S = 0.05
QUEUE = QoSProfile(depth=100)
_ENDINGS = {
    GoalStatus.STATUS_SUCCEEDED: "reached",
    GoalStatus.STATUS_CANCELED: "cancelled",
    GoalStatus.STATUS_ABORTED: "aborted by the server",
}


class ActionClientNode(managed.ManagedNode):
    """Sends goals for the contract's action `action` to the action server `server`."""

    def __init__(self, name: str = "action_client", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        declare_contract(self)
        self._declare()
        self._client: Any = None
        self._made_for: tuple[str, str] | None = None
        self._subscription: Any = None
        self._timer: Any = None
        self._stream: GoalStream | None = None
        self._number = 0
        """Count of goals; the answer to an earlier one is not of interest any more."""
        self._asked = False
        self._handle: Any = None
        self._counts = {"goals": 0, "goals refused": 0, "goals cancelled": 0}
        self._feedback: dict[str, Any] = {}
        self._ending, self._refusal = "", ""

    def _declare(self) -> None:
        def at_configure(name: str, default: Any, description: str, **options: Any) -> None:
            declare(self, name, default, description, read_at=CONFIGURE, **options)

        at_configure("action", "", "key of the contract's action whose commands are forwarded")
        at_configure("kind", "gripper_command", "type of the action server", choices=tuple(KINDS))
        at_configure("server", "", "name of the action server, such as gripper_controller/gripper_cmd")
        at_configure(
            "least_change", 0.001, "a command that differs by no more from the last goal is no new goal",
            unit="unit of the action", minimum=0.0,
        )  # fmt: skip
        at_configure("least_s", 0.1, "least time between goals", unit="s", minimum=0.0, maximum=60.0)
        at_configure(
            "timeout_s", 0.5, "silence of the supervisor after which the goal is cancelled",
            unit="s", minimum=0.05, maximum=60.0,
        )  # fmt: skip
        at_configure(
            "max_effort", 0.0, "of a gripper's goal; 0: the server's own", unit="N or Nm", minimum=0.0
        )
        at_configure(
            "within_s",
            0.2,
            "time in which a trajectory reaches the command",
            unit="s",
            minimum=0.001,
            maximum=60.0,
        )

    def configure(self) -> None:
        """Read the contract; raises Refusal when the action cannot be forwarded."""
        self.contract: Contract = load_contract(value(self, "contract"))
        self._kind: GoalKind = KINDS[value(self, "kind")]
        self._action: ActionSpec = self._forwarded()
        self._place = self.contract.action_slices[self._action.key]
        self._reach = HowToReach(value(self, "max_effort"), value(self, "within_s"))
        server = value(self, "server")
        if not server:
            raise Refusal("parameter server is empty: give the name of the action server")
        try:
            kind = action_class(self._kind.type)
        except ValueError as error:
            raise Refusal(str(error)) from error
        if self._made_for != (self._kind.type, server):  # the executor may still hold events of an old client
            self._client, self._made_for = ActionClient(self, kind, server), (self._kind.type, server)
        self._goal = kind.Goal

    def activate(self) -> None:
        """Follow the supervisor's decisions."""
        self._stream = GoalStream(
            value(self, "least_change"), value(self, "least_s"), value(self, "timeout_s")
        )
        self._subscription = self.create_subscription(String, DECISIONS, self._on_decision, QUEUE)
        # steady clock: /clock can stop
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(LOOK_EVERY_S, self._look, clock=steady)

    def deactivate(self) -> None:
        """Cancel the goal, and follow no longer."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._stream is not None:
            self._stream.stop("this node is not active", time.monotonic())
            self._cancel()
        self._stream = None

    def cleanup(self) -> None:
        """Release the decisions; the client stays for the next configuration."""
        self.deactivate()

    def status(self) -> Status:
        """Return what happens to the commands."""
        values: dict[str, Any] = {**self._counts, "last goal": self._ending or "none yet", **self._feedback}
        stream = self._stream
        if self.state != "active" or stream is None:
            return Status(WARN, f"{self.state}: nothing is forwarded", values)
        if not self._client.server_is_ready():
            return Status(
                ERROR, f"there is no action server {value(self, 'server')} ({self._kind.type})", values
            )
        if self._refusal:
            return Status(ERROR, self._refusal, values)
        if stream.stopped:
            return Status(WARN, f"no goals: {stream.stopped}", values)
        if self._ending == _ENDINGS[GoalStatus.STATUS_ABORTED]:
            return Status(WARN, "the last goal was aborted by the server", values)
        return Status(OK, "forwarding", values)

    def _forwarded(self) -> ActionSpec:
        key = value(self, "action")
        try:
            action = self.contract.action(key)
        except KeyError as error:
            raise Refusal(f"parameter action is '{key}': {error.args[0]}") from error
        if action.is_velocity:
            raise Refusal(f"action '{key}' commands velocities; {self._kind.type} takes positions")
        if action.size > self._kind.most:
            raise Refusal(f"action '{key}' has {counted(action.size, 'number')}; {self._kind.type} takes one")
        return action

    def _on_decision(self, message: String) -> None:
        stream, now_s = self._stream, time.monotonic()
        if stream is None:
            return
        made = decision.from_json(message.data)
        if made.sent is not None and len(made.sent) != self.contract.action_size:
            raise Refusal(
                f"a decision has {counted(len(made.sent), 'number')}, contract '{self.contract.name}' "
                f"{self.contract.action_size}: the supervisor has another contract"
            )
        authority, reason = made.authority_at(self._place.start)
        if authority == NOBODY or made.sent is None:
            stream.stop(reason, now_s)
        else:
            stream.command(made.sent[self._place], now_s)
        self._step(now_s)

    def _look(self) -> None:
        if self._stream is not None:
            self._stream.look(time.monotonic())
            self._step(time.monotonic())

    def _step(self, now_s: float) -> None:
        """Cancel the goal if there may be none, or send the next one."""
        stream = self._stream
        assert stream is not None
        if stream.stopped:
            self._cancel()
            return
        goal = stream.due(now_s)
        if goal is None or self._asked or not self._client.server_is_ready():
            return
        self._send(goal)
        stream.sent(goal, now_s)

    def _send(self, values: Vector) -> None:
        goal = self._goal()
        self._kind.fill(goal, self._action, values, self._reach)
        self._number += 1
        self._asked = True
        self._counts["goals"] += 1
        number = self._number
        future = self._client.send_goal_async(
            goal, feedback_callback=lambda each: self._on_feedback(number, each)
        )
        future.add_done_callback(self._guard(lambda done: self._on_answer(number, done.result()), "goal"))

    def _on_answer(self, number: int, handle: Any) -> None:
        """The server accepted or refused a goal; an accepted one takes the place of the former goal there."""
        self._asked = False
        if not handle.accepted:
            self._counts["goals refused"] += 1
            self._refusal = f"{value(self, 'server')} refused the last goal"
            self.get_logger().error(shown(self._refusal), throttle_duration_sec=5.0)
            if self._stream is not None:
                self._stream.refused()
            return
        self._refusal, self._handle, self._ending = "", handle, "under way"
        result = handle.get_result_async()
        result.add_done_callback(self._guard(lambda done: self._on_result(number, done.result()), "result"))
        if self._stream is None or self._stream.stopped:
            self._cancel()  # the robot was stopped in the meantime

    def _on_feedback(self, number: int, message: Any) -> None:
        if number == self._number:
            self._feedback = dict(self._kind.feedback(message.feedback))

    def _on_result(self, number: int, answer: Any) -> None:
        if number != self._number:
            return  # of a goal that the next one replaced
        self._handle = None
        self._ending = _ENDINGS.get(answer.status, f"ended with status {answer.status}")

    def _cancel(self) -> None:
        """Cancel the goal that is under way, if there is one; a server then keeps the position."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._counts["goals cancelled"] += 1
            handle.cancel_goal_async()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return managed.main(ActionClientNode, args)


if __name__ == "__main__":
    sys.exit(main())
