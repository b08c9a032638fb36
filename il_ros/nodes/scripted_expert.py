"""Executable `scripted_expert`: a simulated task's scripted expert proposes, as node `expert`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from il_ros.nodes import runtime
from il_ros.nodes.contracts import declare_contract, load_contract
from il_ros.nodes.diagnostics import Status
from il_ros.nodes.parameters import declare
from il_ros.nodes.proposer import Identity, Proposer, declare_tick
from il_ros.sim.experts import make_expert
from il_ros.synchroniser import Observation


class ScriptedExpert(runtime.PlainNode):
    """Proposes what the expert of parameter `task` would do at each tick of `contract`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("expert", **kwargs)
        declare_tick(self)
        contract = load_contract(declare_contract(self))
        task = declare(
            self, "task", "", "task whose expert acts: reach, push, pick_place or drive", read_only=True
        )
        self._identity = Identity(declare(self, "source", "expert", "name of this source in its proposals"))
        try:
            self._expert = make_expert(task)
        except (KeyError, ValueError) as error:
            raise runtime.Refusal(f"parameter task: {error}") from error
        self._proposer = Proposer(self, contract, self._answer, lambda: self._identity)

    def status(self) -> Status:
        """Return the proposer's."""
        return self._proposer.status()

    def stop(self) -> None:
        """Let go and cease to propose."""
        self._proposer.close()

    def _answer(self, observation: Observation) -> np.ndarray[Any, Any]:
        return self._expert.act(observation.values)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return runtime.main(ScriptedExpert, args)


if __name__ == "__main__":
    sys.exit(main())
