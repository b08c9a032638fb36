"""The workspace: a box that the tool does not leave.

A step is taken only if the tool stays in the box during the step and while it brakes afterwards; otherwise the joints
brake, which the step before has shown to end within the box. A tool that starts outside the box may only come nearer.
"""

from __future__ import annotations

from collections.abc import Mapping

from il_ros.control.limiter.safety import Motion, SafetyLimiter
from il_ros.control.limiter.urdf import Chain, Point
from il_ros.core.contract import Contract
from il_ros.core.safety import WorkspaceSpec

TOLERANCE_M = 1e-6
LONGEST_STOP = 200
"""Largest number of braking steps that are looked at; a slower joint counts as stopping there."""


class Workspace:
    """The box of a contract's `safety`, for the joints of `chain`.

    Raises ValueError when a joint of the chain is not commanded by a position action, or when its joints are in several
    action groups: a command of one would depend on the other's, which may be unknown.
    """

    def __init__(self, contract: Contract, spec: WorkspaceSpec, chain: Chain) -> None:
        places = {
            name: (action.key, index)
            for action in contract.actions
            if action.is_position
            for index, name in enumerate(action.names)
        }
        missing = [name for name in chain.drivers if name not in places]
        if missing:
            raise ValueError(
                f"safety.workspace: no position action commands joint '{missing[0]}' between the base and "
                f"'{spec.tool}'; the actions command: {', '.join(places) or 'none'}"
            )
        if not chain.drivers:
            raise ValueError(f"safety.workspace: no joint moves '{spec.tool}'")
        self._places = {name: places[name] for name in chain.drivers}
        self._spec, self._chain = spec, chain
        self._period_s = contract.period_ns / 1e9
        self.keys = frozenset(key for key, _ in self._places.values())
        """The action keys that move the tool."""
        moving = [group.name for group in contract.groups if self.keys & set(group.keys)]
        if len(moving) > 1:
            raise ValueError(
                f"safety.workspace: the joints that move '{spec.tool}' are in the groups {' and '.join(moving)}; "
                "put their actions in one group"
            )

    def tool(self, motions: Mapping[str, Motion]) -> Point:
        """Return the position of the tool (m) at the commands of some motions."""
        return self._chain.tool(
            {name: motions[key].sent[index] for name, (key, index) in self._places.items()}
        )

    def allows(
        self, before: Mapping[str, Motion], after: Mapping[str, Motion], limiters: Mapping[str, SafetyLimiter]
    ) -> bool:
        """Return whether a step may be taken: the tool stays in the box until it stands still again."""
        most = self._outside(before) + TOLERANCE_M
        stopping = {key: after[key] for key in self.keys}
        for _ in range(LONGEST_STOP):
            if self._outside(stopping) > most:
                return False
            if not any(any(motion.speed) for motion in stopping.values()):
                return True
            stopping = {key: limiters[key].brake(motion, self._period_s) for key, motion in stopping.items()}
        return self._outside(stopping) <= most

    def _outside(self, motions: Mapping[str, Motion]) -> float:
        """Return how far the tool is outside the box, in m; 0 inside."""
        ends = zip(self.tool(motions), self._spec.lower, self._spec.upper, strict=True)
        return max(max(0.0, low - value, value - high) for value, low, high in ends)
