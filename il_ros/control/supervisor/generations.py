"""Generations: proposals from before a handover are not used after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from il_ros.core.specs import WHOLE
from il_ros.records.proposal import Proposal


class Generations:
    """Counts handovers and restarts, and checks which proposals belong to the current generation.

    The first proposal of a new source is accepted. A source that proposed before the generation began, with
    or without authority, may hold outdated chunks or state, so its proposals must carry the new generation.
    Proposals of sources without state carry no generation and are accepted, if what they observed is not older than
    the generation: a slow policy may answer a tick of this generation from an observation of the one before.
    A handover of one action group is a new generation for this group alone: in the others, the proposals of the one
    before are still used. `groups`: their names.
    """

    def __init__(self, groups: Sequence[str] = (WHOLE,)) -> None:
        self.number = 1
        self.from_ns = 0
        """The tick at which the newest generation of all groups at once began."""
        self._fresh_from_ns = dict.fromkeys(groups, 0)
        self._required: dict[str, dict[str, int]] = {group: {} for group in groups}

    def begin(self, from_ns: int, proposing: Mapping[str, Iterable[str]]) -> None:
        """Start the next generation at the tick `from_ns`.

        `proposing`: the groups that it concerns, and in each the sources that proposed before it.
        """
        self.number += 1
        if proposing.keys() == self._required.keys():
            self.from_ns = from_ns
        for group, names in proposing.items():
            self._fresh_from_ns[group] = from_ns
            self._required[group] |= dict.fromkeys(names, self.number)

    def admits(self, group: str, name: str, proposal: Proposal) -> bool:
        """Return whether the proposal of source `name` belongs to the current generation of a group."""
        required = self._required[group].get(name, 0)
        old = proposal.generation is not None and proposal.generation < required
        from_ns = proposal.seen_ns if required else proposal.stamp_ns
        return not old and from_ns >= self._fresh_from_ns[group]
