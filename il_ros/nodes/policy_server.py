"""Executable `policy_server`: a trained policy proposes, at the contract's ticks.

Lifecycle: configure loads the checkpoint and checks the contract, activate warms the policy up and begins to
propose. `~/reload` (Trigger) loads the checkpoint that the parameter `checkpoint` names now and swaps it in
between two ticks; when it can't be loaded the old one goes on, and the answer says why.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from std_srvs.srv import Trigger

from il_ros import contract as contracts
from il_ros.nodes import runtime
from il_ros.nodes.contracts import declare_contract, load_contract
from il_ros.nodes.diagnostics import WARN, Status
from il_ros.nodes.epoch import EpochListener
from il_ros.nodes.parameters import declare, value
from il_ros.nodes.proposer import Identity, Proposer, declare_tick
from il_ros.policies.disagreement import chunk_disagreement
from il_ros.synchroniser import Observation

WARM_UP_CALLS = 5  # the first calls allocate and choose kernels


class PolicyServer(runtime.ManagedNode):
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
        self._policy: Any = None
        self._doubt: float | None = None  # of the last answer
        self._before: tuple[int, np.ndarray[Any, Any]] | None = None  # its tick and its chunk
        self._proposer: Proposer | None = None
        self._epoch: EpochListener | None = None
        self.create_service(Trigger, "~/reload", self._reload)

    def configure(self) -> None:
        """Load the checkpoint; raises Refusal when it can't be read or was trained under another contract."""
        self._policy = self._load()

    def activate(self) -> None:
        """Warm up, then begin to propose."""
        self._before = None
        self._warm_up(self._policy)
        self._epoch = EpochListener(self, self._begin_afresh)
        self._proposer = Proposer(self, self._policy.contract, self._answer, self._identity)

    def deactivate(self) -> None:
        """Cease to propose."""
        if self._proposer is not None:
            self._proposer.close()
            self._epoch.close()
        self._proposer = self._epoch = None

    def cleanup(self) -> None:
        """Let go of the policy."""
        self.deactivate()
        self._policy = None

    def status(self) -> Status:
        """Return the proposer's, with the policy's version."""
        if self._proposer is None:
            return Status(WARN, f"{self.state}: not proposing", {"checkpoint": value(self, "checkpoint")})
        status = self._proposer.status()
        named = {"checkpoint": value(self, "checkpoint"), "version": self._policy.version}
        return Status(status.level, status.message, named | dict(status.values))

    def _load(self) -> Any:
        """Return the checkpoint's policy; raises Refusal when it can't be read or its contract differs."""
        path = value(self, "checkpoint")
        if not path:
            raise runtime.Refusal("parameter checkpoint is empty: give the folder of a trained policy")
        wanted = load_contract(value(self, "contract")) if value(self, "contract") else None
        import torch  # a second; only where a policy is really loaded

        from il_ros.policies import checkpoint

        torch.set_num_threads(value(self, "threads"))
        try:
            return checkpoint.load(path, wanted, value(self, "device"))
        except (ValueError, RuntimeError, OSError) as error:  # RuntimeError: a device that is not there
            raise runtime.Refusal(str(error)) from error

    def _warm_up(self, policy: Any) -> None:
        """Let the policy answer made-up observations, so that the first tick is not the slow one."""
        made_up = {
            spec.key: np.array("") if spec.kind == "text" else np.zeros(spec.shape, spec.dtype)
            for spec in policy.contract.observations
        }
        for _ in range(WARM_UP_CALLS):
            policy.act(made_up)

    def _answer(self, observation: Observation) -> np.ndarray[Any, Any]:
        try:
            chunk, doubt = self._policy.act_with_doubt(observation.values)
        except ValueError as error:  # what the policy can't take or must not say
            raise runtime.Refusal(str(error)) from error
        self._doubt = self._against_foresight(observation.tick_ns, chunk) if doubt is None else doubt
        self._before = (observation.tick_ns, chunk)
        return chunk

    def _against_foresight(self, tick_ns: int, chunk: np.ndarray[Any, Any]) -> float | None:
        """Return the doubt that a chunk's departure from the one before shows; None: nothing to compare."""
        if self._before is None:
            return None
        before_ns, before = self._before
        ticks = round((tick_ns - before_ns) / self._policy.contract.period_ns)
        return chunk_disagreement(before, chunk, ticks, self._policy.normaliser.actions.scale)

    def _identity(self) -> Identity:
        assert self._epoch is not None
        epoch = self._epoch.epoch if hasattr(self._policy, "reset") else None
        return Identity(self._source, self._policy.version, epoch, self._doubt)

    def _begin_afresh(self) -> None:
        """Forget what came before a handover or restart; a policy without memory has only its last chunk.

        Such a one names no epoch either, so that its first answers after a restart count, even those to a
        tick that came before the news of it.
        """
        self._before = None
        if hasattr(self._policy, "reset"):
            self._policy.reset()

    def _reload(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Swap the policy: this runs between two ticks, so no tick sees half of each."""
        if self._policy is None:
            raise runtime.Refusal(f"nothing to swap: the node is {self.state}; configure it first")
        policy = self._load()
        different = contracts.differences(self._policy.contract, policy.contract)
        if different:
            raise runtime.Refusal("the new checkpoint has another contract:\n  " + "\n  ".join(different))
        self._warm_up(policy)
        before, self._policy = self._policy.version, policy
        self._before = None
        response.success, response.message = True, f"version {policy.version} (was {before})"
        self.get_logger().info(f"reloaded: {response.message}")
        return response


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return runtime.main(PolicyServer, args)


if __name__ == "__main__":
    sys.exit(main())
