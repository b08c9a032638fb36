"""Rest: the robot moves only after a person has let it."""

from __future__ import annotations

from collections.abc import Sequence

from il_ros.control.supervisor.arbitration import Absences, Arbitration, by_priority
from il_ros.records.decision import NOBODY

AT_REST = "at rest until a person lets it drive"


class Rest:
    """Whether the sources may drive.

    `wanted`: the robot is at rest at the start and after an emergency stop, and stays so until a person lets it
    drive. `manual`: the sources that may drive at rest, because a person drives by them.
    """

    def __init__(self, wanted: bool, manual: Sequence[str] = ()) -> None:
        self._wanted, self._manual = wanted, frozenset(manual)
        self.active = wanted
        """Whether the robot is at rest."""

    def begin(self) -> None:
        """Go to rest, if that is wanted at a start."""
        self.active |= self._wanted

    def choose(self, absences: Absences) -> Arbitration:
        """Return the arbitration at rest: a manual source, or none."""
        winner = by_priority({name: absent for name, absent in absences.items() if name in self._manual})
        return Arbitration(winner, AT_REST if winner == NOBODY else "")
