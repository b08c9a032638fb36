"""How far policy and expert are apart, tick by tick."""

from __future__ import annotations

from typing import Any

import numpy as np

from il_ros.control.proposal import Proposal
from il_ros.interactive.experience import EXPERT, POLICY
from il_ros.specs import Vector

MEMORY = 8  # ticks that one source may be behind the other


def distance(a: Vector, b: Vector) -> float:
    """Return the root mean square of the difference of two actions (A,), in their units."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


class Disagreement:
    """Joins the first steps of both sources' proposals by tick: stamps within half a control period."""

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._open: dict[str, list[tuple[int, Vector]]] = {POLICY: [], EXPERT: []}
        self.last: float | None = None
        self.ticks = 0
        self._sum = 0.0

    @property
    def mean(self) -> float | None:
        """The mean over all ticks joined, None before the first."""
        return self._sum / self.ticks if self.ticks else None

    def hear(self, name: str, proposal: Proposal) -> float | None:
        """Take a proposal in; return its tick's disagreement when this completes the tick, else None."""
        if name not in self._open:
            return None
        theirs = self._open[EXPERT if name == POLICY else POLICY]
        for place, (stamp_ns, action) in enumerate(theirs):
            if 2 * abs(stamp_ns - proposal.stamp_ns) < self._period_ns:
                del theirs[: place + 1]
                self.last = distance(action, proposal.chunk[0])
                self.ticks += 1
                self._sum += self.last
                return self.last
        mine = self._open[name]
        mine.append((proposal.stamp_ns, proposal.chunk[0]))
        del mine[:-MEMORY]
        return None

    def state(self) -> dict[str, Any]:
        """Return what the status shows."""
        return {"disagreement": self.last, "disagreement_mean": self.mean, "ticks_compared": self.ticks}
