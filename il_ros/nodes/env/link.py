"""The graph's side of `ros_env`: ticks and what they show, proposals, services; every wait has a time-out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory

from il_ros.core import messages
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.synchroniser import NoObservation, Observation, Synchroniser
from il_ros.nodes.runtime import managed, retry  # noqa: F401 - runtime sets Fast DDS's profile, before any node
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.streams import RawSubscriptions
from il_ros.records import proposal
from il_ros.records.decision import Decision, from_json
from il_ros.records.ticks import Ticks

LEAVING_S = 5.0
IDLE_ROUNDS = 20  # of the executor, one event each; some, as of /clock, are none of ours


class RosEnvError(RuntimeError):
    """The graph isn't as an environment needs it; the text says what is missing."""


class Link:
    """One node with an executor of its own, spun only while something is waited for.

    `seen`: what the newest tick showed, or why it showed nothing. `ticks` counts them. `success` and `failed`
    are the newest words on those topics, None before. `decision` is the supervisor's newest.
    """

    def __init__(
        self, contract: Contract, name: str, namespace: str, simulated: bool, lockstep: bool, source: str
    ) -> None:
        self.contract, self.source = contract, source
        self._lockstep = lockstep
        self.seen: Observation | NoObservation | None = None
        self.ticks = 0
        self.success: bool | None = None
        self.failed: bool | None = None
        self.decision: Decision | None = None
        self._waiting: tuple[Callable[[], object], Future] | None = None
        self._heard = 0
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node(
            name,
            context=self._context,
            namespace=namespace,
            use_global_arguments=False,
            parameter_overrides=[Parameter("use_sim_time", value=simulated)],
        )
        self._executor = EventsExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._synchroniser = Synchroniser(contract.observations)
        self._ticks = Ticks(contract.period_ns)
        topics = dict(self._synchroniser.topics)
        if contract.trigger is not None:
            topics[contract.trigger] = contract.topics[contract.trigger]
        else:
            self.node.create_timer(contract.period_ns / 1e9, lambda: self._tick(self.now_ns))
        self._streams = RawSubscriptions(self.node, topics, self._receive)

    @property
    def in_line(self) -> bool:
        """Whether no subscription is about to be replaced, which would lose a message."""
        return self._streams.in_line

    @property
    def now_ns(self) -> int:
        """The node's clock."""
        return self.node.get_clock().now().nanoseconds

    @property
    def seen_all(self) -> bool:
        """Whether the newest tick showed something of every stream."""
        return isinstance(self.seen, Observation)

    def listen(self, success: str, failed: str, decisions: str, proposals: str) -> None:
        """Subscribe to the task's words, where there are any, and to decisions; propose on `proposals`."""
        self._words = sum(map(bool, (success, failed)))
        if success:
            self.node.create_subscription(Bool, success, self._on_success, LATCHED)
        if failed:
            self.node.create_subscription(Bool, failed, self._on_failed, LATCHED)
        self._decisions = self.node.create_subscription(
            String, decisions, self._on_decision, QoSProfile(depth=10)
        )
        self._proposals = self.node.create_publisher(JointTrajectory, proposals, QoSProfile(depth=1))

    def ready(self, timeout_s: float) -> None:
        """Wait until the supervisor hears our proposals; raises RosEnvError when others make them."""
        topic = self._proposals.topic_name
        self.until(self._proposals.get_subscription_count, timeout_s, f"a supervisor that listens to {topic}")
        # both ways: the answer to the very first proposal must not be lost
        self.until(self._decisions.get_publisher_count, timeout_s, "a supervisor that tells its decisions")
        with contextlib.suppress(RosEnvError):  # one that has just left is still known for a moment
            self.until(lambda: not self._others(topic), min(timeout_s, LEAVING_S), "leaving")
        self.alone()

    def alone(self) -> None:
        """Raise RosEnvError when others make proposals on our topic, too: one source, one program.

        Ask again at every step: another program may come later, or be discovered later than we begin.
        """
        topic = self._proposals.topic_name
        if self.node.count_publishers(topic) > 1:  # the names cost more, and are there for the error alone
            names = ", ".join(self._others(topic)) or "another program"
            raise RosEnvError(f"{names} proposes on {topic}, too; one source, one program")

    def forget_words(self) -> None:
        """Forget what the task has said of success and failure: it will say it anew."""
        self.success = self.failed = None

    def next_tick(self, ticks: int, timeout_s: float, answered_ns: int = 0) -> None:
        """Wait for a tick after the count `ticks`, and for all that belongs to it.

        That is the decision on the tick that was answered, if one was, and in lockstep the task's words,
        which are said anew with each frame. Raises RosEnvError when it is not there in time.
        """

        def arrived() -> bool:
            words = sum(word is not None for word in (self.success, self.failed))
            told = not self._lockstep or words == self._words
            decision = self.decision
            decided = not answered_ns or (decision is not None and decision.stamp_ns >= answered_ns)
            return self.ticks > ticks and told and decided

        what = "the next tick, with a decision for the last one" if answered_ns else "a first tick"
        self.until(arrived, timeout_s, what)

    def propose(self, action: Vector, tick_ns: int) -> None:
        """Say what should be done at a tick; the supervisor decides."""
        self._publish(proposal.Proposal(self.source, tick_ns, action[None], version=self.node.get_name()))

    def release(self) -> None:
        """Say that nothing more will be proposed."""
        if self.now_ns > 0:
            size = self.contract.action_size
            self._publish(proposal.releasing(self.source, self.now_ns, size))

    def until(self, condition: Callable[[], object], timeout_s: float, what: str) -> None:
        """Spin until the condition holds; raises RosEnvError naming `what` when it doesn't in time."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise RosEnvError(f"{what}: not within {timeout_s:g} s")
            arrived = Future()
            self._waiting = (condition, arrived)
            # the graph's changes, such as a new subscriber, wake nobody: look again after a moment
            self._executor.spin_until_future_complete(arrived, min(left_s, 0.05))
            self._waiting = None

    def drain(self) -> None:
        """Take in all that has arrived by now."""
        idle = 0
        while idle < IDLE_ROUNDS:
            before = self._heard
            self._executor.spin_once(0)
            idle = 0 if before != self._heard else idle + 1

    def call(self, client: Any, request: Any, timeout_s: float, *, again: bool = False) -> Any:
        """Return a service's answer; RosEnvError when it is absent, silent or says no.

        `again`: it may be asked for again; `il_ros.nodes.runtime.retry` says when.
        """
        name, what = client.service_name, f"answer of service {client.service_name}"
        self.until(client.service_is_ready, timeout_s, f"service {name}")
        for wait_s in retry.waits_s(request, timeout_s, again=again):
            answer = client.call_async(request)
            with contextlib.suppress(RosEnvError):
                self.until(answer.done, wait_s, what)
                break
            client.remove_pending_request(answer)  # what was asked last is to be over when we go on
        else:
            raise RosEnvError(f"{what}: not within {timeout_s:g} s")
        if (refusal := retry.refusal(answer.result())) is not None:
            raise RosEnvError(f"service {name} refused: {refusal}")
        return answer.result()

    def close(self) -> None:
        """Let go and leave the graph; a second call does nothing."""
        if not self._context.ok():
            return
        self.release()
        self._streams.close()
        self._executor.remove_node(self.node)
        self.node.destroy_node()
        self._executor.shutdown()
        rclpy.shutdown(context=self._context)

    def _others(self, topic: str) -> list[str]:
        """Return the names of the others who publish there."""
        names = sorted(info.node_name for info in self.node.get_publishers_info_by_topic(topic))
        if self.node.get_name() in names:
            names.remove(self.node.get_name())  # once: a second one of this very name is another
        return names

    def _publish(self, said: proposal.Proposal) -> None:
        raw = proposal.encode(said, self.contract.action_names, self.contract.period_ns)
        self._proposals.publish(raw)

    def _receive(self, topic: str, raw: bytes, arrival_ns: int) -> None:
        if topic in self._synchroniser.topics:
            stamp_ns = self._synchroniser.push(topic, raw, arrival_ns)
        else:
            stamp_ns = messages.raw_stamp_ns(self.contract.topics[topic], raw) or arrival_ns
        if topic == self.contract.trigger and self._ticks.starts(stamp_ns):
            self._tick(stamp_ns)
        self._notice()

    def _tick(self, tick_ns: int) -> None:
        self.seen = self._synchroniser.sample(tick_ns)
        self.ticks += 1
        self._notice()

    def _on_success(self, message: Bool) -> None:
        self.success = message.data
        self._notice()

    def _on_failed(self, message: Bool) -> None:
        self.failed = message.data
        self._notice()

    def _on_decision(self, message: String) -> None:
        self.decision = from_json(message.data)
        self._notice()

    def _notice(self) -> None:
        self._heard += 1
        if self._waiting is not None:
            condition, arrived = self._waiting
            if not arrived.done() and condition():
                arrived.set_result(None)
