"""The ROS side of `ros_env`: ticks and observations, proposals, services; every wait has a time-out."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path
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
from il_ros.core.plugins import PluginError
from il_ros.core.specs import Vector
from il_ros.core.synchroniser import NoObservation, Observation, Synchroniser
from il_ros.nodes.runtime import managed, retry  # noqa: F401 - runtime sets Fast DDS's profile, before any node
from il_ros.nodes.runtime.publishers import UNKNOWN, SimulatedTime
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.streams import RawSubscriptions
from il_ros.records import proposal
from il_ros.records.decision import Decision, from_json
from il_ros.records.ticks import Ticks, TriggerStamps
from il_ros.sim.tasks.task import task_class, task_names

LEAVING_S = 5.0
NAME_S = 2.0  # a publisher is discovered before the name of its node
TELL_AFTER_S = 3.0  # nodes that run are found sooner
IDLE_ROUNDS = 20  # executor rounds of one event each; some events, as of /clock, are not counted


class RosEnvError(RuntimeError):
    """The ROS graph lacks something that the environment needs; the message names it."""


class Link:
    """One node with its own executor, which spins only during waits.

    `clock`: the topic of simulated time, "": the time of the system.
    `seen`: the newest tick's observation, or why there is none. `ticks`: the number of ticks. `success` and
    `failed`: the newest values of those topics, None before the first. `decision`: the newest decision.
    """

    def __init__(
        self, contract: Contract, name: str, namespace: str, clock: str, lockstep: bool, source: str
    ) -> None:
        self.contract, self.source = contract, source
        self._lockstep = lockstep
        self.seen: Observation | NoObservation | None = None
        self.ticks = 0
        self.success: bool | None = None
        self.failed: bool | None = None
        self.decision: Decision | None = None
        self._waiting: tuple[Callable[[], object], Future] | None = None
        self._received = 0
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node(
            name,
            context=self._context,
            namespace=namespace,
            use_global_arguments=False,
            cli_args=["--ros-args", "-r", f"/clock:={clock}"] if clock else None,
            parameter_overrides=[Parameter("use_sim_time", value=bool(clock))],
        )
        self._time = SimulatedTime(self.node)
        self._executor = EventsExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._synchroniser = Synchroniser(contract.observations)
        self._ticks, self._stamps = Ticks(contract.period_ns), TriggerStamps()
        topics = dict(self._synchroniser.topics)
        if contract.trigger is not None:
            topics[contract.trigger] = contract.topics[contract.trigger]
        else:
            self.node.create_timer(contract.period_ns / 1e9, lambda: self._tick(self.now_ns))
        self._streams = RawSubscriptions(self.node, topics, self._receive)

    @property
    def up_to_date(self) -> bool:
        """Whether no subscription is about to be replaced, which would lose a message."""
        return self._streams.up_to_date

    @property
    def now_ns(self) -> int:
        """The node's clock in nanoseconds."""
        return self.node.get_clock().now().nanoseconds

    @property
    def seen_all(self) -> bool:
        """Whether the newest tick has a complete observation."""
        return isinstance(self.seen, Observation)

    def listen(self, success: str, failed: str, decisions: str, proposals: str) -> None:
        """Subscribe to decisions and to the task's status topics (if not ""); publish on `proposals`."""
        self._status_topics = sum(map(bool, (success, failed)))
        if success:
            self.node.create_subscription(Bool, success, self._on_success, LATCHED)
        if failed:
            self.node.create_subscription(Bool, failed, self._on_failed, LATCHED)
        self._decisions = self.node.create_subscription(
            String, decisions, self._on_decision, QoSProfile(depth=10)
        )
        self._proposals = self.node.create_publisher(JointTrajectory, proposals, QoSProfile(depth=1))

    def ready(self, timeout_s: float) -> None:
        """Wait until the supervisor receives our proposals; raises RosEnvError if another node sends some.

        Raises RosEnvError with the command that starts the nodes when there is no supervisor.
        """
        topic = self._proposals.topic_name
        told_s = min(timeout_s, TELL_AFTER_S)
        with contextlib.suppress(RosEnvError):
            self.until(self._proposals.get_subscription_count, told_s, "a supervisor")
        if not self._proposals.get_subscription_count():
            domain = os.environ.get("ROS_DOMAIN_ID") or "0"
            missing = (
                f"no supervisor subscribes to {topic} on ROS domain {domain}: start the nodes in another "
                f"terminal with the same ROS_DOMAIN_ID: {self._command()}"
            )
            self.node.get_logger().warning(f"waiting up to {timeout_s:g} s: {missing}")
            try:
                self.until(self._proposals.get_subscription_count, timeout_s - told_s, "a supervisor")
            except RosEnvError:
                raise RosEnvError(missing) from None
        # both directions: the decision on the first proposal must not be lost
        self.until(
            self._decisions.get_publisher_count, timeout_s, "a supervisor that publishes its decisions"
        )
        with contextlib.suppress(RosEnvError):  # a publisher that has just left remains known for a moment
            self.until(lambda: not self._others(topic), min(timeout_s, LEAVING_S), "leaving")
        self.check_sole_proposer()

    def _command(self) -> str:
        """Return the command that starts the nodes for this contract."""
        task = self._simulated_task()
        words = ["--task", task] if task else ["--sim", "false", "--task", "NAME", "--contract", "FILE"]
        return shlex.join(["il-ros", "run", "env", *words, *(["--speed", "0"] if self._lockstep else [])])

    def _simulated_task(self) -> str:
        """Return the task whose contract has a name like ours, "" if there is none."""
        for name in task_names():
            with contextlib.suppress(PluginError):
                if self.contract.name.startswith(Path(task_class(name).contract).stem):
                    return name
        return ""

    def check_sole_proposer(self) -> None:
        """Raise RosEnvError when another node publishes on our proposal topic.

        Check at every step: another program may start, or be discovered, later.
        """
        topic = self._proposals.topic_name
        if self.node.count_publishers(topic) > 1:  # looking up names costs more, so only for the error
            with contextlib.suppress(RosEnvError):
                self.until(lambda: UNKNOWN not in self._others(topic), NAME_S, "the other's name")
            known = [name for name in self._others(topic) if name != UNKNOWN]
            names = ", ".join(known) or "another program"
            raise RosEnvError(f"{names} also proposes on {topic}; a source must have one publisher")

    def reset_task_status(self) -> None:
        """Discard success and failure, which the next frame publishes again."""
        self.success = self.failed = None

    def next_tick(self, ticks: int, timeout_s: float, answered_ns: int = 0) -> None:
        """Wait for a tick after the count `ticks`, and for the messages that belong to it.

        These are the decision on the tick `answered_ns`, unless 0, and in lockstep the task's status, which
        each frame publishes again. Raises RosEnvError after `timeout_s`.
        """

        def arrived() -> bool:
            received = sum(status is not None for status in (self.success, self.failed))
            complete = not self._lockstep or received == self._status_topics
            decision = self.decision
            decided = not answered_ns or (decision is not None and decision.stamp_ns >= answered_ns)
            return self.ticks > ticks and complete and decided

        what = "the next tick, with a decision for the last one" if answered_ns else "a first tick"
        self.until(arrived, timeout_s, what)

    def propose(self, action: Vector, tick_ns: int) -> None:
        """Propose an action (A,) for a tick."""
        self._publish(proposal.Proposal(self.source, tick_ns, action[None], version=self.node.get_name()))

    def release(self) -> None:
        """Publish a releasing proposal: no more will follow."""
        if self.now_ns > 0:
            size = self.contract.action_size
            self._publish(proposal.releasing(self.source, self.now_ns, size))

    def until(self, condition: Callable[[], object], timeout_s: float, what: str) -> None:
        """Spin until the condition holds; raises RosEnvError naming `what` after `timeout_s`."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                clock = self._time.twice() or self._time.missing() or self._time.awaited()
                raise RosEnvError(f"{what}: not within {timeout_s:g} s{clock and '; '}{clock}")
            arrived = Future()
            self._waiting = (condition, arrived)
            # graph changes, such as a new subscriber, wake no callback: poll
            self._executor.spin_until_future_complete(arrived, min(left_s, 0.05))
            self._waiting = None

    def drain(self) -> None:
        """Process all messages that have arrived."""
        idle = 0
        while idle < IDLE_ROUNDS:
            before = self._received
            self._executor.spin_once(0)
            idle = 0 if before != self._received else idle + 1

    def call(self, client: Any, request: Any, timeout_s: float, *, again: bool = False) -> Any:
        """Return a service's response; raises RosEnvError when it is absent, silent or refuses.

        `again`: the request may be repeated; see `il_ros.nodes.runtime.retry`.
        """
        name, what = client.service_name, f"answer of service {client.service_name}"
        self.until(client.service_is_ready, timeout_s, f"service {name}")
        for wait_s in retry.waits_s(request, timeout_s, again=again):
            answer = client.call_async(request)
            with contextlib.suppress(RosEnvError):
                self.until(answer.done, wait_s, what)
                break
            client.remove_pending_request(answer)  # only the last request may be pending
        else:
            raise RosEnvError(f"{what}: not within {timeout_s:g} s")
        if (refusal := retry.refusal(answer.result())) is not None:
            raise RosEnvError(f"service {name} refused: {refusal}")
        return answer.result()

    def close(self) -> None:
        """Release authority and destroy the node; a second call does nothing."""
        if not self._context.ok():
            return
        self.release()
        self._streams.close()
        self._executor.remove_node(self.node)
        self.node.destroy_node()
        self._executor.shutdown()
        rclpy.shutdown(context=self._context)

    def _others(self, topic: str) -> list[str]:
        """Return the names of the other nodes that publish on `topic`."""
        names = sorted(info.node_name for info in self.node.get_publishers_info_by_topic(topic))
        if self.node.get_name() in names:
            names.remove(self.node.get_name())  # once: a second node may have the same name
        return names

    def _publish(self, proposed: proposal.Proposal) -> None:
        raw = proposal.encode(proposed, self.contract.action_names, self.contract.period_ns)
        self._proposals.publish(raw)

    def _receive(self, topic: str, raw: bytes, arrival_ns: int) -> None:
        if topic in self._synchroniser.topics:
            stamp_ns = self._synchroniser.push(topic, raw, arrival_ns)
        else:
            stamp_ns = messages.raw_stamp_ns(self.contract.topics[topic], raw) or arrival_ns
        if topic == self.contract.trigger:
            if wrong := self._stamps.refusal(stamp_ns, arrival_ns):
                self.node.get_logger().warning(f"a message of '{topic}' starts no tick: {wrong}")
            elif self._ticks.starts(stamp_ns):
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
        self._received += 1
        if self._waiting is not None:
            condition, arrived = self._waiting
            if not arrived.done() and condition():
                arrived.set_result(None)
