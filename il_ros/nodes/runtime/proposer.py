"""The ROS shell of all sources of proposals: policy server, scripted expert, teleoperation.

Messages → observation at a tick → the source's answer → one proposal on `~/proposal`, stamped with the tick.
A source that stops proposing releases authority once, with a proposal without steps.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from trajectory_msgs.msg import JointTrajectory

from il_ros.control.supervisor.frozen import FrozenCameras
from il_ros.control.supervisor.latency import Latency
from il_ros.core.contract import Contract
from il_ros.core.specs import ObservationSpec
from il_ros.core.synchroniser import NoObservation, Observation, Synchroniser
from il_ros.core.tables import shown
from il_ros.nodes.runtime.diagnostics import ERROR, OK, WARN, Status
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.publishers import SoleUse, publisher_names
from il_ros.nodes.runtime.shell import Refusal
from il_ros.nodes.runtime.streams import TickedStreams, ros_time
from il_ros.records import proposal
from il_ros.records.proposal import Answer

AnswerTick = Callable[[Observation], "Answer | None"]
"""Returns what to propose, or None to stay silent; raises Refusal when it cannot answer."""

WARN_EVERY_S = 2.0
FROZEN_S = 0.5  # sensor noise changes every frame, even of a static scene
QUIET_S = 1.0  # time without a tick after which the status warns
START_S = 1.0  # after the first tick: streams begin one after the other, which is not worth a warning
BEAT_S, BEATS = 0.1, 20  # period and number of the beats that measure how late this process is
LATE_S = 0.25


def declare_tick(node: Node) -> None:
    """Declare the parameters of every proposer."""
    declare(
        node, "frozen_s", -1.0, "time after which a camera with bitwise equal frames counts as frozen, which "
        "stops the proposals; 0: no check; below 0: 0.5 s, or 0 with use_sim_time, because a static rendered "
        "scene repeats bit for bit", unit="s", read_only=True,
    )  # fmt: skip
    declare(
        node,
        "tick",
        "contract",
        "what starts a tick: the contract's trigger stream (a timer if it names none), or always a timer",
        choices=("contract", "timer"),
        read_only=True,
    )


class _Lag:
    """Measures how late a node's callbacks run, by the steady clock."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._last_s: float | None = None
        self._late_s: deque[float] = deque(maxlen=BEATS)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(BEAT_S, self._beat, clock=steady)

    @property
    def late_s(self) -> float:
        """The largest delay of a callback in the last two seconds; 0 before the first beats."""
        waiting_s = 0.0 if self._last_s is None else time.monotonic() - self._last_s - BEAT_S
        return max([*self._late_s, waiting_s, 0.0])

    def close(self) -> None:
        """End the measurement."""
        self._node.destroy_timer(self._timer)

    def _beat(self) -> None:
        now_s = time.monotonic()
        if self._last_s is not None:
            self._late_s.append(now_s - self._last_s - BEAT_S)
        self._last_s = now_s


class Proposer:
    """Publishes the answer of `source` at each tick, which the contract's trigger or a timer starts.

    `observations`: those that `answer` needs; default: all of the contract's. `optional`: the keys of those that may be
    missing, as one whose camera is frozen is; the proposal and the status name them. Without an observation nothing is
    proposed, and a warning every two seconds gives the reasons, or says that this process is overloaded. In the
    first second, while the streams begin, only the status says so. A chunk with NaN or infinity in a group that it
    covers is an error and is not proposed. A group that an answer covers no more is released. Call `close` to end.
    """

    def __init__(
        self,
        node: Node,
        contract: Contract,
        source: str,
        answer: AnswerTick,
        observations: Sequence[ObservationSpec] | None = None,
        optional: Collection[str] = (),
    ) -> None:
        self._node, self._contract, self._source, self._answer = node, contract, source, answer
        self._now_ns = ros_time(node)
        self._names, self._period_ns = contract.action_names, contract.period_ns
        needed = contract.observations if observations is None else observations
        self._synchroniser = Synchroniser(needed, partial(publisher_names, node), optional)
        self._frozen = FrozenCameras(needed, frozen_limit_s(node))
        self._counts: Counter[str] = Counter()
        self._status = Status(WARN, "no tick yet")
        self._ticked_s = time.monotonic()
        self._first_tick_s: float | None = None
        self._lag = _Lag(node)
        self._closed = False
        self._groups = tuple(group.name for group in contract.groups)
        self._proposed_ns = 0  # the newest tick proposed for, 0 after releasing
        self._proposed: tuple[str, ...] = ()  # the groups that the newest proposal covers
        self._latency = Latency(("observation age", "inference", "publish"))
        depth = min(
            2, len(contract.groups)
        )  # a release of one group and a proposal for another, one after the other
        self._publisher = node.create_publisher(JointTrajectory, "~/proposal", QoSProfile(depth=depth))
        self._sole = SoleUse(
            node, ["~/proposal"], "two sources of one name contradict each other, stop one of them"
        )
        triggered = value(node, "tick") == "contract"
        self._streams = TickedStreams(
            node, contract, self._synchroniser, triggered, self.tick, self._refused_by_stamp
        )

    def close(self) -> None:
        """Release authority; destroy subscriptions, timer and publisher."""
        self.release()
        self._closed = True
        self._streams.close()
        self._lag.close()
        self._node.destroy_publisher(self._publisher)

    def release(self, groups: Sequence[str] = ()) -> None:
        """Publish a releasing proposal at once, if there were proposals since the last release.

        `groups`: release only these; empty: all.
        """
        released = [group for group in self._proposed if not groups or group in groups]
        if released:
            self._release(released)
            self._proposed = tuple(group for group in self._proposed if group not in released)
            self._proposed_ns = self._proposed_ns if self._proposed else 0

    def _release(self, groups: Sequence[str]) -> None:
        stamp_ns = max(self._now_ns(), self._proposed_ns)
        some = () if len(groups) == len(self._groups) else groups
        self._publish(proposal.releasing(self._source, stamp_ns, self._contract.action_size, some))

    def _publish(self, proposed: proposal.Proposal) -> None:
        contract = self._contract
        self._publisher.publish(
            proposal.encode(proposed, contract.action_names, contract.period_ns, contract.groups)
        )

    def at_once(self) -> None:
        """Propose now, not at the next tick, so that a takeover is immediate."""
        now_ns = self._now_ns()
        if now_ns > 0:  # simulated time begins with the first /clock
            self.tick(now_ns)

    def status(self) -> Status:
        """Return the result of the last tick, counts of all ticks, latencies of the last thousand."""
        values: dict[str, Any] = {f"ticks {name}": count for name, count in sorted(self._counts.items())}
        values |= {
            f"{topic} stamped more than 1 s ahead": count
            for topic, count in self._synchroniser.ahead.items()
            if count
        }
        values |= self._latency.summary()
        return self._sole.status(self._ticking(values))

    def _ticking(self, values: Mapping[str, Any]) -> Status:
        quiet_s = time.monotonic() - self._ticked_s
        if quiet_s > QUIET_S:
            trigger = self._streams.trigger
            cause = f"nothing on '{trigger}'" if trigger else "the node's clock does not advance"
            return Status(WARN, f"no tick for {quiet_s:.0f} s: {cause}", values)
        return Status(self._status.level, self._status.message, values)

    def tick(self, tick_ns: int) -> None:
        """Answer one tick: publish one proposal stamped `tick_ns`, or record why there is none.

        A tick that was queued before `close` is not answered.
        """
        if self._closed:
            return
        self._ticked_s = time.monotonic()
        if self._first_tick_s is None:
            self._first_tick_s = self._ticked_s
        observation = self._synchroniser.sample(tick_ns)
        if isinstance(observation, NoObservation):
            starting = self._ticked_s - self._first_tick_s < START_S
            self._silent("without observation", WARN, self._why_none(observation), log=not starting)
            return
        frozen = self._frozen.reasons(observation)
        if frozen:
            needed = [why for key, why in frozen.items() if key not in self._synchroniser.optional]
            if needed:
                self._silent("frozen", ERROR, f"not proposed: {'; '.join(needed)}")
                return
            observation = observation.without(frozen)
        self._respond(observation)

    def _respond(self, observation: Observation) -> None:
        """Propose the source's answer to an observation."""
        started_ns = time.perf_counter_ns()
        try:
            answer = self._answer(observation)
        except Refusal as refusal:
            self._silent("refused", ERROR, f"not proposed: {refusal}")
            return
        if answer is None:
            self.release()
            self._silent("silent by choice", OK, "silent by choice")
            return
        inference_s = (time.perf_counter_ns() - started_ns) / 1e9
        if self._finite(answer):
            self._propose(observation.tick_ns, observation, answer, inference_s)

    def _finite(self, answer: Answer) -> bool:
        """Return whether a chunk is finite; record the first value that is not."""
        wrong = not_finite(answer, self._contract)
        if wrong:
            self._silent("not finite", ERROR, wrong)
        return not wrong

    def _propose(
        self, tick_ns: int, observed: Observation, answer: Answer, inference_s: float | None = None
    ) -> None:
        """Publish an answer as the proposal for a tick; release the action groups that it no longer covers.

        `observed`: what it was computed from. `inference_s`: how long that took; None: the rest of an earlier answer.
        """
        started_ns = time.perf_counter_ns()
        covered = answer.groups or self._groups
        left = [group for group in self._proposed if group not in covered]
        if left:
            self._release(left)
        if observed.missing:
            answer = replace(answer, missing=tuple(observed.missing))
        self._publish(proposal.proposing(self._source, tick_ns, answer))
        self._proposed_ns, self._proposed = tick_ns, covered
        self._counts["answered"] += 1
        self._status = self._proposing(observed.missing)
        age_s = (self._now_ns() - observed.tick_ns) / 1e9 + max(observed.ages_s.values(), default=0.0)
        publish_s = (time.perf_counter_ns() - started_ns) / 1e9
        self._latency.add((age_s, math.nan if inference_s is None else inference_s, publish_s))

    def _proposing(self, missing: Mapping[str, str]) -> Status:
        """Return the status after a proposal; count and log the optional observations that are missing."""
        if not missing:
            return Status(OK, "proposing")
        for key in missing:
            self._counts[f"without {key}"] += 1
        text = f"proposing without optional observations: {'; '.join(missing.values())}"
        self._node.get_logger().warning(shown(text), throttle_duration_sec=WARN_EVERY_S)
        return Status(WARN, text)

    def _refused_by_stamp(self, sentence: str) -> None:
        self._counts["refused by stamp"] += 1
        self._node.get_logger().warning(shown(sentence), throttle_duration_sec=WARN_EVERY_S)

    def _why_none(self, missing: NoObservation) -> str:
        late_s = self._lag.late_s
        if missing.untimely and late_s > LATE_S:
            return (
                f"overloaded: this process handles messages {late_s:.2f} s late, so that the tick has no "
                "observation; lower the rate, use fewer or smaller cameras, or a faster machine"
            )
        return "no observation: " + "; ".join(missing.reasons)

    def _silent(self, count: str, level: bytes, message: str, *, log: bool = True) -> None:
        self._counts[count] += 1
        self._status = Status(level, message)
        logger = self._node.get_logger()
        if level == WARN and log:
            logger.warning(shown(message), throttle_duration_sec=WARN_EVERY_S)
        elif level == ERROR and log:
            logger.error(shown(message), throttle_duration_sec=WARN_EVERY_S)


def frozen_limit_s(node: Node) -> float:
    """Return the time after which a camera counts as frozen (s), see `declare_tick`; 0: no check."""
    given: float = value(node, "frozen_s")
    if given >= 0:
        return given
    return 0.0 if value(node, "use_sim_time") else FROZEN_S


def not_finite(answer: Answer, contract: Contract) -> str:
    """Return a sentence that names the first non-finite value in the groups that an answer covers, "" without one."""
    wrong = ~np.isfinite(answer.chunk)
    for group in contract.groups if answer.groups else ():
        if group.name not in answer.groups:
            wrong[:, group.index] = False
    if not wrong.any():
        return ""
    step, column = np.argwhere(wrong)[0]
    value = answer.chunk[step, column]
    return f"not proposed: {contract.action_names[column]} is {value} at step {step} of the chunk"
