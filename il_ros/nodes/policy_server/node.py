"""Executable `policy_server`: a trained policy proposes, at the contract's ticks.

Lifecycle: configure loads the checkpoint and checks the contract, activate warms the policy up and begins to
propose. Checkpoints announced on the topic `candidates` go through a gate, in a thread beside the ticks: each
must load, err no more than the driving policy on episodes it didn't learn from, compute fast enough, and may
run in shadow first. One that passes is swapped in between two ticks: every tick has a chunk of its own, so
none is missed or mixed. A node that isn't configured, because there was no policy yet, begins with the first
that passes. When interventions per minute rise against the versions before, or `~/rollback` (Trigger) is
called, the version before has control again at once. What was refused or rolled back stays out.
`~/version` (String, latched) tells every verdict as JSON: "version" (in control now), "before" (where a
roll-back leads, last first out), "verdict" (version, state, reason, checks), "driving" (seconds and
interventions by version), "at_s". The same is in the version's version.json.
`~/reload` (Trigger) is a person's order: the checkpoint that the parameter `checkpoint` names now, without
the gate. It is loaded in the same thread and swapped in like the others; `~/version` tells when it is in
control, or why it can't be and the old one goes on. So one that was refused or rolled back may drive; its
state stays what it was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from std_srvs.srv import Trigger

from il_ros.core.contract import Contract
from il_ros.core.synchroniser import Observation
from il_ros.interactive.promotion.examination import Verdict
from il_ros.interactive.promotion.loading import UnfitError, loaded, warm_up
from il_ros.nodes.policy_server.candidates import Candidate, Candidates, declare_promotion, run_of
from il_ros.nodes.policy_server.versions import Versions
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.contracts import declare_contract, load_contract
from il_ros.nodes.runtime.diagnostics import WARN, Status
from il_ros.nodes.runtime.generation import GenerationListener
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.proposer import Identity, Proposer, declare_tick
from il_ros.policies.disagreement import chunk_disagreement


class PolicyServer(managed.ManagedNode):
    """Loads a checkpoint and answers every tick with the policy's chunk."""

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
        declare_promotion(self)
        self._policy: Any = None
        self._admitted: tuple[Any, Path] | None = None  # a first policy, waiting to be configured with
        self._was_configured = False
        self._uncertainty: float | None = None  # of the last answer
        self._before: tuple[int, np.ndarray[Any, Any]] | None = None  # its tick and its chunk
        self._proposer: Proposer | None = None
        self._generation: GenerationListener | None = None
        self.create_service(Trigger, "~/reload", self._reload)
        self._versions = Versions(self, self._swap)
        self._candidates = Candidates(
            self, lambda: self._policy, self._wanted, self._on_verdict, self._versions.known
        )

    def configure(self) -> None:
        """Load the checkpoint; raises Refusal when it can't be read or was trained under another contract."""
        if self._admitted is not None:
            (self._policy, run), self._admitted = self._admitted, None
        else:
            self._policy, run = self._load()
            self._versions.begin(self._policy, run)
        self._was_configured = True

    def activate(self) -> None:
        """Warm up, then begin to propose."""
        self._before = None
        warm_up(self._policy)
        self._generation = GenerationListener(self, self._begin_afresh)
        self._proposer = Proposer(self, self._policy.contract, self._answer, self._identity)

    def deactivate(self) -> None:
        """Cease to propose."""
        if self._proposer is not None:
            self._proposer.close()
            self._generation.close()
        self._proposer = self._generation = None

    def cleanup(self) -> None:
        """Let go of the policy."""
        self.deactivate()
        self._versions.close()
        self._policy = None

    def stop(self) -> None:
        """Let go, and wait for an examination that runs."""
        self._candidates.close()
        super().stop()

    def status(self) -> Status:
        """Return the proposer's, with the policy's version."""
        named = {"checkpoint": value(self, "checkpoint"), **self._versions.values}
        named["examining"] = self._candidates.examining
        if self._proposer is None:
            return Status(WARN, f"{self.state}: not proposing", named)
        status = self._proposer.status()
        return Status(status.level, status.message, named | dict(status.values))

    def _wanted(self) -> Contract | None:
        return load_contract(value(self, "contract")) if value(self, "contract") else None

    def _load(self) -> tuple[Any, Path]:
        """Return the checkpoint's policy and its run's folder.

        Raises Refusal when it can't be read or its contract differs.
        """
        wanted, folder = self._wanted(), self._found()
        import torch  # a second; only where a policy is really loaded

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
        from il_ros.policies import checkpoint

        try:
            return checkpoint.find(Path(path))
        except ValueError as error:
            raise managed.Refusal(str(error)) from error

    def _answer(self, observation: Observation) -> np.ndarray[Any, Any]:
        try:
            chunk, uncertainty = self._policy.act_with_uncertainty(observation.values)
        except ValueError as error:  # what the policy can't take or must not say
            raise managed.Refusal(str(error)) from error
        self._uncertainty = (
            self._against_foresight(observation.tick_ns, chunk) if uncertainty is None else uncertainty
        )
        self._before = (observation.tick_ns, chunk)
        self._candidates.shadow.cast(observation.values, chunk)
        return chunk

    def _against_foresight(self, tick_ns: int, chunk: np.ndarray[Any, Any]) -> float | None:
        """Return the doubt that a chunk's departure from the one before shows; None: nothing to compare."""
        if self._before is None:
            return None
        before_ns, before = self._before
        ticks = round((tick_ns - before_ns) / self._policy.contract.period_ns)
        apart = chunk_disagreement(before, chunk, ticks, self._policy.normaliser.actions.scale)
        uncertainty: float | None = self._policy.uncertainty_model.calibrated(apart)
        return uncertainty

    def _identity(self) -> Identity:
        assert self._generation is not None
        generation = self._generation.generation if hasattr(self._policy, "reset") else None
        return Identity(self._source, self._policy.version, generation, self._uncertainty)

    def _begin_afresh(self) -> None:
        """Forget what came before a handover or restart; a policy without memory has only its last chunk.

        Such a one names no epoch either, so that its first answers after a restart count, even those to a
        tick that came before the news of it.
        """
        self._before = None
        if hasattr(self._policy, "reset"):
            self._policy.reset()

    def _swap(self, policy: Any) -> None:
        """Let another policy answer from the next tick on; no tick sees half of each."""
        if self._policy is None:
            return  # the first one: the node is configured with it
        self._policy = policy
        self._begin_afresh()

    def _on_verdict(self, candidate: Candidate, verdict: Verdict) -> None:
        """A candidate's examination is over; this runs between two ticks."""
        if self._policy is None and (self._was_configured or candidate.wanted):
            return  # a person has taken it out of service; its time comes when it is configured and announced
        if verdict.refused:
            self._versions.refuse(candidate.run, verdict.refused, verdict.checks, lasting=verdict.lasting)
            return
        first = self._policy is None
        why = "reloaded" if candidate.wanted else "passed the gate"
        self._versions.admit(verdict.policy, candidate.run, why, verdict.checks)
        if first:
            self._admitted = verdict.policy, candidate.run
            self.start()  # as far as `autostart` says

    def _reload(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Have it loaded beside the ticks; raises Refusal when there is nothing to load or to swap."""
        if self._policy is None:
            raise managed.Refusal(f"nothing to swap: the node is {self.state}; configure it first")
        folder = self._found()
        self._candidates.want(folder)
        response.success, response.message = True, f"loading {folder}; ~/version tells when it is in control"
        return response


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return managed.main(PolicyServer, args)


if __name__ == "__main__":
    sys.exit(main())
