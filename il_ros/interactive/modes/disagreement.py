"""The distance between the policy's and the expert's action at each tick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from il_ros.core.specs import Vector
from il_ros.records.proposal import Proposal

MEMORY = 8  # largest lag of one source behind the other, in ticks
FRESH_PERIODS = 1.5


Difference = Callable[[Vector, Vector], Vector]
"""Returns the difference (A,) of two absolute actions (A,), in their units."""


class Disagreement:
    """Compares the first steps of two sources' proposals whose stamps differ by less than half a period.

    The disagreement is the root mean square of their `difference`. With a period of 0 nothing is compared.
    """

    def __init__(self, period_ns: int, sources: Sequence[str], difference: Difference = np.subtract) -> None:
        self._period_ns, self._difference = period_ns, difference
        self._open: dict[str, list[tuple[int, Vector]]] = {name: [] for name in sources}
        self.last: float | None = None
        self.ticks = 0
        self._sum = 0.0
        self._stamp_ns = 0

    @property
    def mean(self) -> float | None:
        """The mean over all compared ticks, None before the first."""
        return self._sum / self.ticks if self.ticks else None

    def at(self, stamp_ns: int) -> float | None:
        """Return the disagreement at a tick, or at the one before if that is the newest; otherwise None."""
        fresh = self.last is not None and abs(stamp_ns - self._stamp_ns) < FRESH_PERIODS * self._period_ns
        return self.last if fresh else None

    def observe(self, name: str, proposal: Proposal) -> float | None:
        """Process a proposal; return the disagreement if both proposals of its tick are known, else None."""
        if name not in self._open:
            return None
        (theirs,) = (queue for other, queue in self._open.items() if other != name)
        for place, (stamp_ns, action) in enumerate(theirs):
            if 2 * abs(stamp_ns - proposal.stamp_ns) < self._period_ns:
                del theirs[: place + 1]
                apart = self._difference(action, proposal.chunk[0])
                self.last, self._stamp_ns = float(np.sqrt(np.mean(apart**2))), stamp_ns
                self.ticks += 1
                self._sum += self.last
                return self.last
        mine = self._open[name]
        mine.append((proposal.stamp_ns, proposal.chunk[0]))
        del mine[:-MEMORY]
        return None

    def state(self) -> dict[str, Any]:
        """Return the fields of the status."""
        return {"disagreement": self.last, "disagreement_mean": self.mean, "ticks_compared": self.ticks}
