"""A simulated human who looks on while a policy drives: both sides of each tick are put together for it.

What the policy proposes and what the human would do come as messages, in either order; each tick that both
have spoken about is judged once.
"""

from __future__ import annotations

import numpy as np

from il_ros.core.specs import Vector
from il_ros.interactive.dagger.human import SimulatedHuman

KEPT_TICKS = 40
"""So many ticks one side may be behind the other."""


class SimulatedIntervener:
    """`drives` says whether the human wants to; `tremor` (A,) is how far its hand is off just now."""

    def __init__(self, human: SimulatedHuman) -> None:
        self._human = human
        self._policy: dict[int, Vector] = {}
        self._advice: dict[int, Vector] = {}
        self.begin()

    def begin(self) -> None:
        """Let go, and forget what was heard: an episode begins."""
        self._human.begin()
        self._policy.clear()
        self._advice.clear()
        self.drives = False
        self.tremor: Vector | float = 0.0

    def policy(self, tick_ns: int, action: Vector) -> None:
        """Hear what the policy would do at a tick (A,)."""
        self._hear(self._policy, tick_ns, action)

    def advice(self, tick_ns: int, action: Vector) -> None:
        """Hear what the human would do at a tick (A,)."""
        self._hear(self._advice, tick_ns, action)

    def _hear(self, side: dict[int, Vector], tick_ns: int, action: Vector) -> None:
        side[tick_ns] = np.asarray(action)
        while len(side) > KEPT_TICKS:
            del side[min(side)]
        if tick_ns in self._policy and tick_ns in self._advice:
            advice = self._advice.pop(tick_ns)
            proposed = self._human.propose(self._policy.pop(tick_ns), advice)
            self.drives = proposed is not None
            self.tremor = 0.0 if proposed is None else proposed - advice
