"""A simulated human that observes the policy through messages and intervenes.

The policy's proposal and the expert's advice for a tick arrive in either order; the human judges each tick
once, when both are known.
"""

from __future__ import annotations

import numpy as np

from il_ros.core.specs import Vector
from il_ros.interactive.dagger.human import SimulatedHuman

KEPT_TICKS = 40
"""Largest lag of one side behind the other, in ticks."""


class SimulatedIntervener:
    """`drives`: whether the human drives. `tremor` (A,): current noise on its commands, in their units."""

    def __init__(self, human: SimulatedHuman) -> None:
        self._human = human
        self._policy: dict[int, Vector] = {}
        self._advice: dict[int, Vector] = {}
        self.begin()

    def begin(self) -> None:
        """Start a new episode: the policy drives and stored messages are discarded."""
        self._human.begin()
        self._policy.clear()
        self._advice.clear()
        self.drives = False
        self.tremor: Vector | float = 0.0

    def policy(self, tick_ns: int, action: Vector) -> None:
        """Process the policy's action (A,) for a tick."""
        self._observe(self._policy, tick_ns, action)

    def advice(self, tick_ns: int, action: Vector) -> None:
        """Process the expert's action (A,) for a tick."""
        self._observe(self._advice, tick_ns, action)

    def _observe(self, side: dict[int, Vector], tick_ns: int, action: Vector) -> None:
        side[tick_ns] = np.asarray(action)
        while len(side) > KEPT_TICKS:
            del side[min(side)]
        if tick_ns in self._policy and tick_ns in self._advice:
            advice = self._advice.pop(tick_ns)
            proposed = self._human.propose(self._policy.pop(tick_ns), advice)
            self.drives = proposed is not None
            self.tremor = 0.0 if proposed is None else proposed - advice
