"""Executable `dagger_supervisor`: the only node that commands the robot. Policy and expert send proposals.

The proposal of the source with authority passes one safety limiter; a record on `~/decision` follows every
command. The parameter `mode`, settable at run time, selects the arbitration rule (`il_ros.interactive`).
Services: `~/drive` (true lets the sources drive, false: at rest), `~/restart` (new generation, ramp from the
measured state), `~/estop` (true latches), `~/reset_estop`. The topic `~/estop` (std_msgs/Bool) and the consoles
(`~/console`) also latch the emergency stop, which stays latched across activations.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import QoSProfile
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from il_ros.control.supervisor.status import change, status
from il_ros.control.supervisor.status import to_json as status_json
from il_ros.control.supervisor.supervision import Supervision
from il_ros.core import codecs, messages
from il_ros.core.actions import command_difference
from il_ros.core.contract import Contract
from il_ros.core.tables import shown
from il_ros.interactive.modes.gated import Gated
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.contracts import declare_contract, load_contract
from il_ros.nodes.runtime.diagnostics import OK, WARN, Status
from il_ros.nodes.runtime.parameters import value
from il_ros.nodes.runtime.publishers import OtherPublishers, publisher_names
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.streams import RawSubscriptions, message_class, ros_time
from il_ros.nodes.supervisor.estop import EstopInputs
from il_ros.nodes.supervisor.modes import ModeParameters, RequestAnnouncer
from il_ros.nodes.supervisor.parameters import declare_supervision, options, sources, workspace
from il_ros.nodes.supervisor.plots import PlotTopics
from il_ros.nodes.supervisor.report import SupervisorReport
from il_ros.records import proposal, rating
from il_ros.records.decision import Decision, sent_alone, to_json

STRING = "std_msgs/msg/String"
SHALLOW = QoSProfile(depth=1)
DECISIONS = QoSProfile(depth=200)  # a recorder that is late for some seconds still gets all of them
# event handlers would keep a destroyed publisher in the graph until the executor runs
NO_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)
ACKNOWLEDGED_S = 0.5  # wait for the reliable subscribers of the last command
LOOKS_PER_PERIOD = 2  # how often the timer checks for an overdue decision; each check wakes the process


class DaggerSupervisor(managed.ManagedNode):
    """ROS shell of `Supervision`: proposals, measurements, time in; commands, decisions, status out."""

    def __init__(self, **kwargs: Any) -> None:
        self._supervision: Supervision | None = None
        self._report: SupervisorReport | None = None
        self._doubled = ""
        self._commands: list[tuple[Any, Any, slice]] = []
        self._told_latches, self._telling = 0, threading.Lock()
        super().__init__("dagger_supervisor", **kwargs)
        declare_contract(self)
        declare_supervision(self)
        self._modes = ModeParameters(self, self._check_mode, self._switch)
        self._estop = EstopInputs(self, self._latched, self._reset_estop)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._ros_ns = ros_time(self)
        self._others = OtherPublishers(self, "only one node may command the robot")
        self._closing: list[Callable[[], Any]] = []
        self._announced: tuple[Any, ...] = ()
        self._announcer = RequestAnnouncer(self)
        self._status_publisher = self.create_publisher(String, "~/status", LATCHED)
        self.create_service(Trigger, "~/restart", self._on_restart)
        self.create_service(SetBool, "~/drive", self._on_drive)

    # ---- lifecycle ---------------------------------------------------------------------------------------

    def configure(self) -> None:
        """Read the contract and the parameters; send nothing."""
        self._contract: Contract = load_contract(value(self, "contract"))
        for warning in self._contract.unit_warnings:
            self.get_logger().warning(shown(warning))
        try:
            difference = partial(command_difference, self._contract)
            self._memory = ModeMemory(self._contract.period_ns, difference, self._contract.groups)
            mode = make_mode(self._modes.options(), self._contract, value(self, "sources"), self._memory)
            self._supervision = Supervision(
                self._contract,
                sources(self),
                options(self, self._contract),
                self._estop.latch,
                mode,
                workspace(value(self, "contract"), self._contract),
            )
        except ValueError as error:
            raise managed.Refusal(str(error)) from error
        self._supervision.measured.publishers = partial(publisher_names, self)
        self._report = SupervisorReport()

    def activate(self) -> None:
        """Subscribe and start commanding; raises Refusal when another node publishes commands."""
        topics = [action.topic for action in self._contract.actions]
        other = self._others.before_publishing(topics)
        if other:
            raise managed.Refusal(other)
        supervision = self._supervision
        assert supervision is not None
        for action in self._contract.actions:
            publisher = self.create_publisher(
                message_class(action.type), action.topic, SHALLOW, event_callbacks=NO_EVENTS
            )
            encoder = codecs.command_encoder(action)
            self._commands.append((publisher, encoder, self._contract.action_slices[action.key]))
            self._closing.append(partial(self.destroy_publisher, publisher))
        self._decisions = self.create_publisher(String, "~/decision", DECISIONS)
        self._closing.append(partial(self.destroy_publisher, self._decisions))
        self._plots = PlotTopics(self, self._contract, value(self, "sources"))
        self._closing.append(self._plots.close)
        supervision.activate()
        self._closing.append(RawSubscriptions(self, supervision.measurements, self._on_measurement).close)
        for source in supervision.proposal_buffer.sources:
            self._closing.append(self._subscribe_proposals(source.name, source.topic))
        if topic := value(self, "judge_topic"):
            ratings = self.create_subscription(String, topic, self._on_rating, QoSProfile(depth=5))
            self._closing.append(partial(self.destroy_subscription, ratings))
        period_s = self._contract.period_ns / 1e9
        for seconds, callback in (
            (max(0.002, period_s / LOOKS_PER_PERIOD), self._on_timer),
            (1.0, self._announce),
            (0.2, partial(self._check_other_publishers, topics)),
        ):
            timer = self.create_timer(seconds, callback, clock=self._steady)
            self._closing.append(partial(self.destroy_timer, timer))
        if supervision.at_rest:
            self._tell_how_to_drive()
        self._announce()

    def deactivate(self) -> None:
        """Send a final stop command, then destroy publishers and subscriptions."""
        if self._commands and self._supervision is not None:
            self._send(self._supervision.finish(*self._times()))
            for publisher, _, _ in self._commands:  # destroyed at once, the stop could get lost
                publisher.wait_for_all_acked(Duration(seconds=ACKNOWLEDGED_S))
        self._commands.clear()
        while self._closing:
            self._closing.pop()()

    def suspended(self) -> None:
        """Stop the robot: the terminal that the nodes were started in was suspended."""
        self._estop.suspended()

    def destroy_node(self) -> None:
        """Destroy the node, after the thread of the emergency stop."""
        self._estop.close()
        super().destroy_node()

    def cleanup(self) -> None:
        """Drop the contract and all received data."""
        self.deactivate()
        self._supervision = self._report = None

    def status(self) -> Status:
        """Return authority, the state of each source, and statistics of the limiter and of the timing."""
        if self._report is None or self._supervision is None:
            return Status(*SupervisorReport.idle(self.state, self._others.found))
        without_subscriber = [
            action.topic
            for (publisher, _, _), action in zip(self._commands, self._contract.actions, strict=False)
            if not publisher.get_subscription_count()
        ]
        found = self._report.status(
            self._supervision, self.state, self._others.found, without_subscriber, *self._times()
        )
        return self._with_doubled_sources(found)

    def _with_doubled_sources(self, found: Status) -> Status:
        """Return the status, with a warning while a source's proposals have two publishers; log it once."""
        topics = (self.resolve_topic_name(s.topic) for s in self._supervision.proposal_buffer.sources)
        doubled = [topic for topic in topics if self.count_publishers(topic) > 1] if self._commands else []
        sentence = (
            f"more than one node publishes on {', '.join(doubled)}: stop all but one" if doubled else ""
        )
        if sentence and sentence != self._doubled:
            self.get_logger().error(sentence)
        self._doubled = sentence
        return Status(WARN, sentence, found.values) if sentence and found.level == OK else found

    # ---- what comes in -----------------------------------------------------------------------------------

    def _subscribe_proposals(self, name: str, topic: str) -> Callable[[], Any]:
        subscription = self.create_subscription(
            JointTrajectory, topic, partial(self._on_proposal, name), QoSProfile(depth=5), raw=True
        )
        return partial(self.destroy_subscription, subscription)

    def _on_proposal(self, name: str, raw: bytes) -> None:
        started_ns = time.perf_counter_ns()
        contract, supervision = self._contract, self._supervision
        if not self._commands:
            return  # queued before the node was deactivated
        self._answer_estop()  # in a flood of proposals its own task comes late
        try:
            proposed = proposal.decode(raw, contract.action_names, contract.period_ns, contract.groups)
        except proposal.ProposalError as error:
            supervision.fault(name, str(error))
            return
        decision = supervision.propose(name, proposed, *self._times())
        if decision is None:
            self._announce_change()  # a source may have released
        else:
            self._send(decision)
            self._report.add_latency(started_ns, time.perf_counter_ns())

    def _on_rating(self, message: String) -> None:
        mode, said = self._supervision.mode, rating.from_json(message.data)
        if isinstance(mode, Gated):
            mode.expect(said.stalled, said.why, said.stamp_ns)

    def _on_measurement(self, topic: str, raw: bytes, arrival_ns: int) -> None:
        if self._commands:
            self._send(self._supervision.measure(topic, raw, arrival_ns, time.monotonic_ns()))

    def _on_timer(self) -> None:
        now_ns, steady_ns = self._times()
        if now_ns and self._commands:  # simulated time begins with the first /clock
            self._send(self._supervision.tick(now_ns, steady_ns))

    # ---- what goes out -----------------------------------------------------------------------------------

    def _send(self, decision: Decision | None) -> None:
        """Publish the commands of all actions, or of none, then the decision record."""
        if decision is None:
            return
        sent = decision.sent
        if sent is not None:
            encoded = [
                (publisher, encode(sent[part], decision.sent_ns))
                for publisher, encode, part in self._commands
                if not math.isnan(sent[part.start])  # else its group has no command yet
            ]
            for publisher, raw in encoded:
                publisher.publish(raw)
        try:
            self._announce_change()  # before the decision, which lets a simulator in lockstep continue
        finally:
            record = messages.make(STRING, data=self._recorded(decision))
            self._decisions.publish(messages.encode(STRING, record))
        self._report.add_decision(decision, time.monotonic_ns())
        if self._plots.is_due(decision):
            self._plots.show(decision, self._supervision.mode.threshold)

    def _recorded(self, decision: Decision) -> str:
        """Return the record of a decision; what was sent is recorded also if the rest of it cannot be."""
        try:
            return to_json(decision)
        except (TypeError, ValueError) as error:
            self.report_error("record of a decision", error)
            return to_json(sent_alone(decision, f"the rest of its record cannot be written: {error}"))

    def _announce_change(self) -> None:
        if change(self._supervision) != self._announced:
            self._announce()

    def _announce(self) -> None:
        """Publish the status (authority, generation), and the request for the expert."""
        self._tell_latch()
        self._announcer.show(self._supervision.mode, self._supervision.reason)
        self._announced = change(self._supervision)
        record = status(self._supervision, self._contract, *self._times())
        self._status_publisher.publish(String(data=status_json(record)))

    def _check_other_publishers(self, topics: Sequence[str]) -> None:
        """Deactivate when another node publishes commands, and report its name."""
        other = self._others.beside_ours(topics)
        if other:
            self.report_error("stopped", managed.Refusal(other))
            self.trigger_deactivate()

    def _times(self) -> tuple[int, int]:
        return self._ros_ns(), time.monotonic_ns()

    # ---- mode --------------------------------------------------------------------------------------------

    def _check_mode(self, wanted: ModeOptions) -> None:
        if self._supervision is not None:
            make_mode(wanted, self._contract, value(self, "sources"), ModeMemory())

    def _switch(self) -> None:
        """Switch to the mode that the parameters select, from the next tick on."""
        if self._supervision is None:
            return
        wanted = self._modes.options()
        sources = [source.name for source in self._supervision.proposal_buffer.sources]
        self._supervision.switch(make_mode(wanted, self._contract, sources, self._memory))
        self.get_logger().info(f"mode {wanted.mode}, generation {self._supervision.generation}")
        self._announce()

    # ---- emergency stop and restart ----------------------------------------------------------------------

    def _latched(self) -> None:
        """Stop the robot in the executor's thread, ahead of what it has queued; called in another thread."""
        self._tell_latch()
        if self.executor is not None:
            self.executor.create_task(self._answer_estop)

    def _tell_latch(self) -> None:
        """Log once for each time why the emergency stop has latched."""
        with self._telling:  # called in two threads
            times, reason = self._estop.latch.last
            if times != self._told_latches:
                self._told_latches = times
                self.get_logger().error(shown(reason))

    def _answer_estop(self) -> None:
        """Send the stopping decision if the emergency stop latched since the last decision."""
        if self._commands and self._supervision.stop_due:
            self._send(self._supervision.answer_estop(*self._times()))

    def _reset_estop(self) -> str:
        if self._supervision is None:
            return self._estop.latch.reset(time.monotonic_ns())
        refused: str = self._supervision.reset_estop(time.monotonic_ns())
        self._announce()
        return refused

    def _on_restart(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if not self._commands:
            raise managed.Refusal(f"nothing to restart: the node is {self.state}")
        self._supervision.begin_episode()
        self._announce()
        response.success, response.message = True, f"generation {self._supervision.generation}"
        return response

    def _tell_how_to_drive(self) -> None:
        service = f"{self.get_fully_qualified_name()}/drive"
        self.get_logger().info(
            f"at rest; to let it drive: a key or button of the session, or "
            f'ros2 service call {service} std_srvs/srv/SetBool "{{data: true}}"'
        )

    def _on_drive(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if not self._commands:
            raise managed.Refusal(f"nothing to drive: the node is {self.state}")
        refused = self._supervision.drive(request.data)
        self._announce()
        response.success = not refused
        response.message = refused or ("at rest" if self._supervision.at_rest else "the sources may drive")
        return response


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return managed.main(DaggerSupervisor, args)


if __name__ == "__main__":
    sys.exit(main())
