"""Epochs: what was proposed before a handover doesn't count after it."""

from __future__ import annotations

from collections.abc import Iterable

from il_ros.records.proposal import Proposal


class Generations:
    """Counts handovers and restarts, and tells which proposals belong to the present epoch.

    Who comes new is taken at its word. Who had been proposing before the epoch began, in vain or not, has
    chunks and memories of another time, and must first name the new epoch; sources without memory name none.
    """

    def __init__(self) -> None:
        self.number = 1
        self._fresh_from_ns = 0
        self._required: dict[str, int] = {}

    def begin(self, from_ns: int, proposing: Iterable[str]) -> None:
        """Begin the next epoch at the tick `from_ns`; `proposing`: the sources that proposed before it."""
        self.number += 1
        self._fresh_from_ns = from_ns
        self._required |= dict.fromkeys(proposing, self.number)

    def admits(self, name: str, proposal: Proposal) -> bool:
        """Tell whether the proposal of source `name` was made in the present epoch."""
        required = self._required.get(name, 0)
        old = proposal.generation is not None and proposal.generation < required
        return not old and proposal.stamp_ns >= self._fresh_from_ns
