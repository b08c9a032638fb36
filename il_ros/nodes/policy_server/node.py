"""Executable `policy_server`: a trained policy proposes at the contract's ticks.

Lifecycle: configure loads the checkpoint and checks the contract; activate warms the policy up and starts
proposing. A policy that is slow for the rate computes in a thread, beside the streams (`proposing.py`). A remote
policy (docs/remote_policies.md) always does: without an answer in time there is no proposal.

Promotion: a thread examines each checkpoint announced on the topic `candidates`. It must load, have no larger
error than the driving policy on held-out episodes, compute fast enough, and may first run in shadow. A
promoted policy takes control between two ticks; every tick has its own chunk, so none is missed or mixed. An
unconfigured node, which had no policy, starts with the first promoted one; until the checkpoint is there, it
waits for that.

Roll-back: when interventions per minute rise above those of the previous versions, or when `~/rollback`
(Trigger) is called, the previous version takes control: at once if it had control before, otherwise once it is
loaded. The same happens when the version in control is rolled back in its version.json (`il-ros policy
rollback`). Refused and rolled-back versions are not examined again.

`~/version` (String, latched) reports every verdict as JSON: "version" (in control), "policy" (the same with
folder, time and completeness of its training), "before" (previous versions, a roll-back takes the last),
"verdict" (version, state, reason, checks), "driving" (seconds and interventions by version), "at_s". The
version's version.json has the same data.

`~/reload` (Trigger) loads the checkpoint that the parameter `checkpoint` names, without promotion, in the
same thread. `~/version` reports when it is in control, or why it cannot be and the old one continues. A
refused or rolled-back version may take control in this way; its state does not change.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from il_ros.control.computing_time import ComputingTime
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.synchroniser import Observation
from il_ros.core.tables import listed
from il_ros.interactive.promotion.examination import Verdict
from il_ros.interactive.promotion.loading import UnfitError, loaded, warm_up
from il_ros.nodes.policy_server.candidates import (
    LEAVE_S,
    Candidate,
    Candidates,
    declare_promotion,
    run_of,
)
from il_ros.nodes.policy_server.inference import InferenceThread
from il_ros.nodes.policy_server.proposing import (
    Computation,
    PolicyProposer,
    declare_execution,
    declare_inference,
)
from il_ros.nodes.policy_server.versions import Versions
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.contracts import declare_contract, load_contract
from il_ros.nodes.runtime.diagnostics import WARN, Status
from il_ros.nodes.runtime.generation import GenerationListener
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.proposer import declare_tick
from il_ros.nodes.runtime.publishers import SoleUse
from il_ros.policies import lineage
from il_ros.policies.uncertainty import ChunkUse, PolicyAnswer
from il_ros.policies.window import TickWindow
from il_ros.records.proposal import Answer

Seen = tuple[Mapping[str, np.ndarray[Any, Any]], ...]
"""What a policy sees: the values of the last ticks by key, oldest first."""
Result = tuple[PolicyAnswer, Vector]
"""What a policy computed, and the first steps (K, A) of its chunk that were committed already."""


_WAITING = "no policy yet: waiting for the first one"


class PolicyServer(managed.ManagedNode):
    """Loads a checkpoint and proposes the policy's chunk at every tick."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("policy_server", **kwargs)
        declare(self, "checkpoint", "", "folder of the checkpoint; `~/reload` reads it again")
        declare_contract(self)
        declare(self, "device", "cpu", "where the policy computes: cpu, cuda or cuda:N", read_only=True)
        declare(
            self, "threads", 1, "threads of the policy's computation", minimum=1, maximum=64, read_only=True
        )
        source = "name of this source in its proposals"
        self._source: str = declare(self, "source", "policy", source, read_only=True)
        declare_tick(self)
        declare_inference(self)
        declare_execution(self)
        declare(
            self, "way", -1, "which way to do the task is taken, of a policy that keeps several apart (recipe moe): "
            "0, 1, ...; -1: the policy chooses for each chunk", minimum=-1, maximum=63,
        )  # fmt: skip
        self._read_way()
        self.add_post_set_parameters_callback(self._read_way)
        declare_promotion(self)
        self._policy: Any = None
        self._admitted: tuple[Any, Path] | None = None  # the first promoted policy, for the next configure
        self._was_configured = False
        self._newest: Any = None  # the last observation that was answered
        self._heard: tuple[str, ...] = ()  # what was logged of its texts
        self._window: TickWindow | None = None  # what the policy sees: policies keep no memory of their own
        self._before: tuple[int, Vector] | None = None  # the tick and the chunk of the last answer
        self._resets = 0  # how often the last answer was dropped or the policy replaced
        self._proposer: PolicyProposer | None = None
        self._thread = InferenceThread(self._deliver, value(self, "threads"))
        self._times: WeakKeyDictionary[Any, ComputingTime] = WeakKeyDictionary()  # by policy
        self._generation: GenerationListener | None = None
        self.create_service(Trigger, "~/reload", self._reload)
        self._sole = SoleUse(
            self, ["~/version"], "two policy servers contradict each other, stop one of them"
        )
        self._versions = Versions(self, self._swap, lambda run, why: self._candidates.request(run, why))
        self._candidates = Candidates(
            self, lambda: self._policy, self._wanted, self._on_verdict, self._versions.known
        )

    def start(self) -> None:
        """Configure and activate if `autostart` is set, unless a trainer is still to make the first policy."""
        if self._awaits_first:
            if value(self, "autostart"):
                self.get_logger().info(f"{_WAITING}, which takes control when it passes promotion")
            return
        super().start()

    def configure(self) -> None:
        """Load the checkpoint; raises Refusal when it is unreadable or was trained with another contract."""
        if self._admitted is not None:
            (self._policy, run), self._admitted = self._admitted, None
        else:
            self._policy, run = self._load()
            self._versions.begin(self._policy, run)
        self._was_configured = True

    def activate(self) -> None:
        """Warm up, then start proposing; raises Refusal while the policy still computes an earlier answer."""
        if not self._thread.settle(LEAVE_S):
            raise managed.Refusal(
                f"an inference has not ended within {LEAVE_S:g} s; activate again when it has"
            )
        self._before = None
        self._window = TickWindow(self._policy.history, self._policy.contract.period_ns)
        times = self._times_of(self._policy)
        times.add(*warm_up(self._policy))
        self._generation = GenerationListener(self, self._on_generation, self._window.begin)
        optional = self._policy.may_lack
        self._proposer = PolicyProposer(
            self, self._policy.contract, self._source, self._prepare, self._thread, times, optional
        )

    def deactivate(self) -> None:
        """Stop proposing; an answer that is being computed is dropped."""
        if self._proposer is not None:
            self._proposer.close()
            self._generation.close()
        self._proposer = self._generation = None

    def cleanup(self) -> None:
        """Release the policy."""
        self.deactivate()
        self._versions.close()
        self._policy = self._newest = None

    def stop(self) -> None:
        """Stop the node and wait for a running examination and inference."""
        self._candidates.close()
        self._versions.end()
        super().stop()
        self._thread.close(LEAVE_S)

    def status(self) -> Status:
        """Return the proposer's status with the policy's version."""
        named = {"checkpoint": value(self, "checkpoint"), **self._versions.values}
        named["examining"] = self._candidates.examining
        if self._policy is not None and self._newest is not None:
            named["beyond the demonstrations"] = self._beyond_shown()
        if self._policy is not None and self._policy.waits:
            self._tell_news()
            named |= self._policy.server
        if self._proposer is None:
            why = _WAITING if self._awaits_first else f"{self.state}: not proposing"
            return self._sole.status(Status(WARN, why, named))
        status = self._proposer.status()
        return self._sole.status(Status(status.level, status.message, named | dict(status.values)))

    @property
    def _awaits_first(self) -> bool:
        if self._was_configured or self._admitted is not None:
            return False
        return lineage.is_awaited(value(self, "checkpoint"), value(self, "candidates"))

    def _wanted(self) -> Contract | None:
        return load_contract(value(self, "contract")) if value(self, "contract") else None

    def _load(self) -> tuple[Any, Path]:
        """Return the checkpoint's policy and its run's folder.

        Raises Refusal when it is unreadable or its contract differs.
        """
        wanted, folder = self._wanted(), self._found()
        import torch  # takes a second, so only when a policy is loaded

        torch.set_num_threads(value(self, "threads"))
        try:
            policy = loaded(folder, wanted, None, value(self, "device"))
        except UnfitError as error:
            raise managed.Refusal(str(error)) from error
        return policy, run_of(folder.resolve())

    def _found(self) -> Path:
        """Return the folder of the parameter's checkpoint; raises Refusal when there is none."""
        path = value(self, "checkpoint")
        if not path:
            raise managed.Refusal("parameter checkpoint is empty: give the folder of a trained policy")
        try:
            return lineage.find_policy(Path(path))
        except ValueError as error:
            raise managed.Refusal(str(error)) from error

    def _times_of(self, policy: Any) -> ComputingTime:
        """Return the computing times of a policy's answers, also of one that had control before."""
        limit_s = value(self, "inference_share") * policy.contract.period_ns / 1e9
        return self._times.setdefault(policy, ComputingTime(limit_s, waits=policy.waits))

    def _read_way(self, _changed: Sequence[Parameter] = ()) -> None:
        """Keep the parameter's value, which each tick needs; None: the policy chooses."""
        way: int = value(self, "way")
        self._way = way if way >= 0 else None

    def _deliver(self, callback: Callable[[], None]) -> None:
        """Have `callback` called by the executor; called in the thread of the inference."""
        executor = self.executor
        if executor is not None:
            executor.create_task(self._guard(callback, "inference"))

    def _prepare(self, observation: Observation) -> Computation:
        """Return the computation of an answer, by the policy that is in control now, from the last ticks."""
        assert self._window is not None
        policy, seen = self._policy, self._window.push(observation.tick_ns, observation.values)
        if policy.waits:
            self._tell_news()

        def begin(committed: Vector) -> Callable[[], Result]:
            """`committed`: of the policy itself, while it drives; else no step of them is executed."""
            assert self._proposer is not None
            current = policy is self._policy and self._proposer.version == policy.version
            driving = self._generation.authority == self._source
            committed = committed[: policy.horizon - 1 if current and driving else 0]
            return partial(_parts, policy, seen, committed, observation.tick_ns, self._way)

        return Computation(begin, partial(self._answer, policy, observation, seen, self._resets))

    def _answer(
        self, policy: Any, observation: Observation, seen: Seen, resets: int, result: Result
    ) -> Answer:
        """Return the answer of what `policy` computed; it may have been replaced or reset meanwhile."""
        given, committed = result
        chunk = given.commands
        current = resets == self._resets
        if given.own is None and current:
            given = self._with_disagreement(observation.tick_ns, given, len(committed))
        if current:
            self._newest = observation.values
            self._before = (observation.tick_ns, chunk)
            self._candidates.shadow.push(seen, chunk, committed)
        return Answer(
            chunk, policy.version, None, given.uncertainty, uncertainties=given.uncertainties, way=given.way
        )

    def _with_disagreement(self, tick_ns: int, given: PolicyAnswer, committed: int) -> PolicyAnswer:
        """Return the answer with the uncertainty that its chunk's distance to the one before says, if there is one.

        `committed`: the number of its first steps that are those of the chunk before.
        """
        policy = self._policy
        if self._before is None or policy.horizon < 2:
            return given
        before_ns, before = self._before
        ticks = round((tick_ns - before_ns) / policy.contract.period_ns)
        if ticks < 1:
            return given
        own, by_group = policy.uncertainty_model.of_chunks(
            before,
            given.commands,
            ChunkUse(ticks, committed),
            policy.difference,
            policy.form.columns_by_group,
        )
        return given._replace(own=own, own_by_group=by_group)

    def _tell_news(self) -> None:
        """Log what happened to the connection of a remote policy."""
        for good, text in self._policy.news():
            (self.get_logger().info if good else self.get_logger().warning)(text)

    def _beyond_shown(self) -> str:
        """Return what the newest observation has beyond the demonstrations, farthest first; log texts, each once."""
        try:
            beyond = self._policy.beyond_shown(self._newest)
        except ValueError:  # it belongs to the policy before
            return ""
        heard = self._policy.heard(self._newest)
        for line in heard:
            if line not in self._heard:
                self.get_logger().warning(line)
        self._heard = heard
        farthest = sorted(beyond, key=lambda name: -beyond[name])
        return listed([f"{name} by {beyond[name]:.2g} scales" for name in farthest])

    def _on_generation(self, from_ns: int) -> None:
        """Drop the last chunk after a handover or restart at a tick: the next one does not continue it.

        Proposals carry no generation, so the first ones after a restart are accepted even if they answer a tick
        before the status arrived.
        """
        self._forget_chunk()
        if self._proposer is not None:
            self._proposer.interrupt_chunks(from_ns)

    def _forget_chunk(self) -> None:
        """Have the next chunk compared with none before it."""
        self._before = None
        self._resets += 1

    def _swap(self, policy: Any, keep: bool) -> None:
        """Replace the policy between two ticks; the new one sees the same past ticks at once.

        `keep`: propose what the one before is computing, under its version.
        """
        if self._policy is None:
            return  # the first policy: the node is configured with it
        self._policy = policy
        if self._window is not None:
            self._window.lengthen(policy.history)
            keys = {spec.key for spec in policy.contract.observations}
            self._window.require(keys - set(policy.may_lack))
        self._forget_chunk()
        if self._proposer is not None:
            self._proposer.another_policy(self._times_of(policy), policy.may_lack)
            if not keep:
                self._proposer.discard()

    def _on_verdict(self, candidate: Candidate, verdict: Verdict) -> None:
        """Act on a candidate's verdict; runs between two ticks."""
        if self._policy is None and (self._was_configured or candidate.requested):
            return  # a user cleaned the node up; it must be configured again first
        if verdict.refused:
            self._versions.refuse(candidate.run, verdict.refused, verdict.checks, lasting=verdict.lasting)
            return
        first = self._policy is None
        why = candidate.requested or "promoted"
        self._times_of(verdict.policy).add(*verdict.seconds)
        self._versions.admit(verdict.policy, candidate.run, why, verdict.checks)
        if first:
            self._admitted = verdict.policy, candidate.run
            self.start()  # depending on `autostart`

    def _reload(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Load the checkpoint in a thread; raises Refusal without a checkpoint or a policy to replace."""
        if self._policy is None:
            raise managed.Refusal(f"nothing to swap: the node is {self.state}; configure it first")
        folder = self._found()
        self._candidates.request(folder, "reloaded")
        response.success, response.message = (
            True,
            f"loading {folder}; ~/version reports when it is in control",
        )
        return response


def _parts(policy: Any, seen: Seen, committed: Vector, seed: int, way: int | None) -> Result:
    """Return what a policy computes; raises Refusal on an invalid input or output. It may run in another thread."""
    try:
        given: PolicyAnswer = policy.act_in_parts(
            seen, committed if len(committed) else None, seed=seed, way=way
        )
    except ValueError as error:
        raise managed.Refusal(str(error)) from error
    return given, committed


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return managed.main(PolicyServer, args)


if __name__ == "__main__":
    sys.exit(main())
