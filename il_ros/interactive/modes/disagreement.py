"""The distance between the policy's and the expert's action at each tick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from il_ros.core.specs import ActionGroup, Vector
from il_ros.records.proposal import Proposal

MEMORY = 8  # largest lag of one source behind the other, in ticks
FRESH_PERIODS = 1.5


Difference = Callable[[Vector, Vector], Vector]
"""Returns the difference (A,) of two absolute actions (A,), in their units."""


class Disagreement:
    """Compares the first steps of two sources' proposals whose stamps differ by less than half a period.

    The disagreement is the root mean square of their `difference`, over the numbers that both propose. With a period of
    0 nothing is compared. `group`: compare the numbers of this action group only.
    """

    def __init__(
        self,
        period_ns: int,
        sources: Sequence[str],
        difference: Difference = np.subtract,
        group: ActionGroup | None = None,
    ) -> None:
        self._period_ns, self._difference, self._group = period_ns, difference, group
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
        if name not in self._open or not self._covered(proposal):
            return None
        (theirs,) = (queue for other, queue in self._open.items() if other != name)
        for place, (stamp_ns, action) in enumerate(theirs):
            if 2 * abs(stamp_ns - proposal.stamp_ns) < self._period_ns:
                del theirs[: place + 1]
                apart = self._compared(self._difference(action, proposal.chunk[0]))
                if not len(apart):
                    return None
                self.last, self._stamp_ns = float(np.sqrt(np.mean(apart**2))), stamp_ns
                self.ticks += 1
                self._sum += self.last
                return self.last
        mine = self._open[name]
        mine.append((proposal.stamp_ns, proposal.chunk[0]))
        del mine[:-MEMORY]
        return None

    def _covered(self, proposal: Proposal) -> bool:
        return self._group is None or not proposal.groups or self._group.name in proposal.groups

    def _compared(self, apart: Vector) -> Vector:
        """Return the differences that count: of the group, or of what both sources propose."""
        if self._group is not None:
            return apart[self._group.index]
        known = np.isfinite(apart)
        return apart if known.all() else apart[known]

    def state(self) -> dict[str, Any]:
        """Return the fields of the status."""
        return {"disagreement": self.last, "disagreement_mean": self.mean, "ticks_compared": self.ticks}
