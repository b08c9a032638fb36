"""Proposals of a policy that may take longer than a tick: it computes beside the streams.

A fast policy answers a tick at once, in the thread that receives the messages: passing an observation to another
thread and its answer back costs more than the inference. A slow one computes in a thread, always from the newest
observation. Every tick that begins meanwhile is answered with the rest of the last chunk, so the supervisor gets one
proposal per tick; steps that have passed are left out. Such a proposal carries the tick that its chunk observed. The
steps that will be executed meanwhile are given to the policy, whose chunk continues them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from rclpy.node import Node

from il_ros.control.chunks.execution import ALONE, MEASURED, ChunkPlayer, Execution
from il_ros.control.computing_time import ComputingTime
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.synchroniser import Observation
from il_ros.core.tables import counted
from il_ros.nodes.policy_server.inference import Computed, InferenceThread, computed
from il_ros.nodes.runtime.diagnostics import ERROR, WARN
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.proposer import Proposer
from il_ros.nodes.runtime.shell import Refusal
from il_ros.records.proposal import Answer

AUTO, INLINE, THREAD = "auto", "inline", "thread"
LATE_PERIODS = 1.5
"""An answer that is no later than this after its tick is proposed for it: the supervisor waits as long."""


def declare_inference(node: Node) -> None:
    """Declare where a policy computes."""
    declare(
        node, "inference", AUTO, "where the policy computes: inline, in the thread that receives the messages; in a "
        "thread beside it; or by its measured time", choices=(AUTO, INLINE, THREAD), read_only=True,
    )  # fmt: skip
    declare(
        node, "inference_share", 0.25, "computing time up to which auto computes inline", unit="tick periods",
        minimum=0.001, maximum=1.0, read_only=True,
    )  # fmt: skip


def declare_execution(node: Node) -> None:
    """Declare how chunks are played."""
    declare(
        node, "execute", 1, "ticks from one computation to the next, meanwhile its chunk is played; 1: at every tick",
        unit="ticks", minimum=1, maximum=1000, read_only=True,
    )  # fmt: skip
    declare(
        node, "ensemble", ALONE, "0 or more: the chunks that reach a tick are averaged, with weights "
        "exp(-ensemble * i), i = 0 for the oldest; below 0: the newest chunk alone", minimum=-1.0, maximum=100.0,
        read_only=True,
    )  # fmt: skip
    declare(
        node, "commit", MEASURED, "steps of the last chunk that the next one begins with: those that are played while "
        "it is computed; -1: as many as the measured computing time covers", unit="ticks", minimum=-1, maximum=1000,
        read_only=True,
    )  # fmt: skip


class Computation(NamedTuple):
    """An answer in three parts; the last two may raise Refusal.

    `begin(committed)` is called when the computation begins, in the thread of the node's executor, with the first steps
    (K, A) of the chunk that are decided already. What it returns uses nothing that others change, so that it may be
    called in any thread. `answer(result)` makes the answer of its result, in the thread of the executor.
    """

    begin: Callable[[Vector], Callable[[], Any]]
    answer: Callable[[Any], Answer]


class _Job(NamedTuple):
    """A computation for an observation. `times`: those of its policy; `began_s`: steady time when the tick began."""

    observation: Observation
    computation: Computation
    times: ComputingTime
    began_s: float


class PolicyProposer(Proposer):
    """A proposer whose answer may be computed in `thread`, which must be idle; `times`: those of its policy.

    `optional`: the keys of observations that the policy may lack.

    `prepare(observation)` is called at every tick that has an observation, in the executor's thread.
    """

    def __init__(
        self,
        node: Node,
        contract: Contract,
        source: str,
        prepare: Callable[[Observation], Computation],
        thread: InferenceThread,
        times: ComputingTime,
        optional: Collection[str] = (),
    ) -> None:
        self._prepare, self._thread, self._times = prepare, thread, times
        self._where = value(node, "inference")
        self._running: _Job | None = None
        self._waiting: _Job | None = None
        self._last: tuple[Observation, Answer] | None = None
        """The newest answer, whose chunk goes on while the next one is computed."""
        execution = Execution(value(node, "execute"), value(node, "ensemble"), value(node, "commit"))
        self._chunks = ChunkPlayer(contract, execution)
        self._newest_ns = self._answered_ns = 0
        self._proposed_last: Answer | None = None
        """What was proposed for the newest answered tick."""
        self._first_ns: int | None = None
        """The first tick for which anything was proposed since all was dropped."""
        super().__init__(node, contract, source, lambda observation: None, optional=optional)

    @property
    def beside(self) -> bool:
        """Whether the next answer is computed in the thread."""
        return self._where == THREAD or self._times.waits or (self._where == AUTO and self._times.beside)

    @property
    def version(self) -> str:
        """The policy whose chunk is played; "" before the first answer."""
        return self._last[1].version if self._last is not None else ""

    def discard(self) -> None:
        """Drop all that was observed and computed so far; a running computation ends without effect."""
        self._running = self._waiting = self._last = None
        self._newest_ns = self._answered_ns = 0
        self._first_ns = None
        self._chunks.clear()

    def interrupt_chunks(self, from_ns: int) -> None:
        """Have a new chunk computed at the next tick, after a handover at the tick `from_ns`.

        To a source that proposed nothing before it, a handover is the first one: what it proposes is played.
        """
        if self._first_ns is None or self._first_ns >= from_ns:
            self._chunks.renew()
        else:
            self._chunks.interrupt(from_ns)

    def another_policy(self, times: ComputingTime, optional: Collection[str]) -> None:
        """Go on with a policy of these computing times and optional observations.

        The observation that waits for the one before is dropped.
        """
        self._times, self._synchroniser.optional = times, frozenset(optional)
        self._waiting = None
        self._chunks.renew()

    def close(self) -> None:
        """Release authority and destroy what it uses, as `Proposer`; a running computation ends without effect."""
        self.discard()
        super().close()

    def _respond(self, observation: Observation) -> None:
        if observation.tick_ns < self._newest_ns:  # the clock was set back
            self.discard()
        self._newest_ns = observation.tick_ns
        computation = self._prepare(observation)
        if not self._chunks.due(observation.tick_ns):
            self._continue(observation)
            return
        job = _Job(observation, computation, self._times, time.monotonic())
        if self._thread.busy:
            self._counts["not computed"] += self._waiting is not None
            self._waiting = job
            self._continue(observation)
        else:
            self._begin(job)

    def _committed(self, tick_ns: int) -> Vector:
        """Return the steps (K, A) that are played before a chunk computed from now on for a tick can be there."""
        ticks = math.ceil(self._times.expected_s * 1e9 / self._contract.period_ns) if self.beside else 0
        steps, proposed = self._chunks.committed(tick_ns, ticks), self._proposed_last
        if len(steps) and tick_ns == self._answered_ns and proposed is not None:
            if proposed.version != self.version:
                return steps[:0]
            steps = np.concatenate([proposed.chunk[:1], steps[1:]])  # perhaps of the chunk before this one
        return steps

    def _begin(self, job: _Job) -> None:
        compute = job.computation.begin(self._committed(job.observation.tick_ns))
        self._chunks.begin(job.observation.tick_ns)
        if self.beside:
            self._running = job
            self._thread.run(compute, partial(self._on_computed, job))
        else:
            self._finish(job, computed(compute))

    def _on_computed(self, job: _Job, outcome: Computed) -> None:
        """Propose what the thread has computed, and have it compute for the newest observation that waits."""
        try:
            if self._running is job:
                self._running = None
                self._finish(job, outcome)
        finally:
            waiting, self._waiting = self._waiting, None
            if waiting is not None and not self._closed:
                self._begin(waiting)

    def _finish(self, job: _Job, outcome: Computed) -> None:
        """Propose an answer for the newest tick, or from the next one on if that has its proposal already."""
        job.times.add(outcome.seconds)
        try:
            if outcome.error is not None:
                raise outcome.error
            answer = job.computation.answer(outcome.value)
        except Refusal as refusal:
            self._silent("refused", ERROR, f"not proposed: {refusal}")
            return
        if not self._finite(answer):
            return
        observation = job.observation
        self._last = observation, answer
        answered = self._newest_ns <= self._answered_ns
        next_ns = self._newest_ns + answered * self._contract.period_ns
        self._chunks.add(observation.tick_ns, answer.chunk, next_ns)
        if answered:
            return  # meanwhile, with the chunk before
        left = self._chunks.left(self._newest_ns)
        if left is answer.chunk and self._newest_ns == observation.tick_ns:
            self._propose(self._newest_ns, observation, answer, outcome.seconds)
            return
        if len(left):
            self._propose(self._newest_ns, observation, _rest(answer, left, observation), outcome.seconds)
            return
        passed_s = time.monotonic() - job.began_s
        if passed_s <= LATE_PERIODS * self._contract.period_ns / 1e9:
            self._propose(observation.tick_ns, observation, answer, outcome.seconds)
            return
        covered_s = len(answer.chunk) * self._contract.period_ns / 1e9
        self._silent("without a step left", ERROR, no_step_left(covered_s, outcome.seconds, passed_s))

    def _continue(self, observation: Observation) -> None:
        """Propose the rest of the last chunk for a tick for which nothing is computed, or not yet."""
        if self._last is None:
            return  # the first answer is proposed when it comes
        seen, answer = self._last
        left = self._chunks.left(observation.tick_ns)
        if len(left):
            self._counts["continued"] += 1
            self._propose(observation.tick_ns, seen, _rest(answer, left, seen))
        else:
            ended = (
                f"its last chunk of {counted(len(answer.chunk), 'step')} has ended, and the next is not there"
            )
            self._silent("without a step left", WARN, ended)

    def _propose(
        self, tick_ns: int, observed: Observation, answer: Answer, inference_s: float | None = None
    ) -> None:
        super()._propose(tick_ns, observed, answer, inference_s)
        self._answered_ns, self._proposed_last = tick_ns, answer
        if self._first_ns is None:
            self._first_ns = tick_ns


def no_step_left(covered_s: float, computed_s: float, passed_s: float) -> str:
    """Return why an answer is not proposed whose chunk covers `covered_s`: it was there after `passed_s`.

    `computed_s` of it were the computation; the rest is the computer's load.
    """
    if computed_s < covered_s:
        return (
            f"not proposed: an answer was there after {passed_s:.3f} s, and its chunk covers {covered_s:.3f} s, so no "
            f"step is left; its computation took only {computed_s:.3f} s: the computer is overloaded"
        )
    return (
        f"not proposed: an answer took {computed_s:.3f} s to compute, and its chunk covers {covered_s:.3f} s, so no "
        f"step is left; train with a longer horizon (more than twice the computing time), lower the contract's "
        f"rate, or use a faster policy or device"
    )


def _rest(answer: Answer, left: Vector, observed: Observation) -> Answer:
    """Return an answer with the steps (K, A) that are left of its chunk, and the tick that it observed."""
    return replace(answer, chunk=left, observed_ns=observed.tick_ns)
