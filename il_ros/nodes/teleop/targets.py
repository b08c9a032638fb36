"""Base class of the teleoperation nodes (node `expert`), which need only the robot's measured state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from il_ros.core.actions import References
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.synchroniser import Observation
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.contracts import declare_contract, load_contract
from il_ros.nodes.runtime.diagnostics import Status
from il_ros.nodes.runtime.parameters import declare
from il_ros.nodes.runtime.proposer import Proposer, declare_tick
from il_ros.records.proposal import Answer


class Teleop(managed.PlainNode):
    """Proposals of a person. Subclasses return each tick's target from `target`, or None for no proposal.

    Only the observations that measure commanded joints are needed: a stale camera must not stop
    teleoperation. A package of one's own registers its subclass in il_ros.devices; see examples/.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("expert", **kwargs)
        declare_tick(self)
        self.contract: Contract = load_contract(declare_contract(self))
        source = declare(self, "source", "expert", "name of this source in its proposals", read_only=True)
        self.set_up()
        self._references = References(self.contract)
        self._proposer = Proposer(self, self.contract, source, self._answer, self._references.specs)

    @classmethod
    def main(cls, args: Sequence[str] | None = None) -> int:
        """Run the node until a signal; return the exit code."""
        return managed.main(cls, args)

    def set_up(self) -> None:
        """Declare parameters, create the core, subscribe; raises ParameterError. Subclasses override."""

    def target(self, measured: Vector, tick_ns: int) -> Vector | None:
        """Return the target action (A,) at a tick, or None; `measured` (A,): the robot's state, NaN where unknown.

        Numbers of groups that are not among `groups` do not count.
        """
        raise NotImplementedError

    def groups(self) -> tuple[str, ...]:
        """Return the action groups of the last target that the person drives; empty: all."""
        return ()

    def status(self) -> Status:
        """Return the proposer's status."""
        return self._proposer.status()

    def release(self, groups: Sequence[str] = ()) -> None:
        """Release authority over `groups` (empty: all) at once, before the next tick."""
        self._proposer.release(groups)

    def take_over(self) -> None:
        """Propose at once, before the next tick."""
        self._proposer.at_once()

    def stop(self) -> None:
        """Release authority and stop proposing."""
        self._proposer.close()

    def _answer(self, observation: Observation) -> Answer | None:
        target = self.target(self._references.measured(observation.values), observation.tick_ns)
        return None if target is None else Answer(target[np.newaxis], groups=self.groups())
