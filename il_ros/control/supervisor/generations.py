"""Generations: proposals from before a handover are not used after it."""

from __future__ import annotations

from collections.abc import Iterable

from il_ros.records.proposal import Proposal


class Generations:
    """Counts handovers and restarts, and checks which proposals belong to the current generation.

    The first proposal of a new source is accepted. A source that proposed before the generation began, with
    or without authority, may hold outdated chunks or state, so its proposals must carry the new generation.
    Proposals of sources without state carry no generation and are accepted.
    """

    def __init__(self) -> None:
        self.number = 1
        self._fresh_from_ns = 0
        self._required: dict[str, int] = {}

    def begin(self, from_ns: int, proposing: Iterable[str]) -> None:
        """Start the next generation at the tick `from_ns`; `proposing`: the sources that proposed before it."""
        self.number += 1
        self._fresh_from_ns = from_ns
        self._required |= dict.fromkeys(proposing, self.number)

    def admits(self, name: str, proposal: Proposal) -> bool:
        """Return whether the proposal of source `name` belongs to the current generation."""
        required = self._required.get(name, 0)
        old = proposal.generation is not None and proposal.generation < required
        return not old and proposal.stamp_ns >= self._fresh_from_ns
