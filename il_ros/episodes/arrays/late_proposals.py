"""The expert's proposals that came too late for the decision of their tick, joined to it by stamp."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from il_ros.core import messages
from il_ros.episodes.bag.reader import BagMessage
from il_ros.records import proposal
from il_ros.records.decision import Decision, Numbers
from il_ros.records.labelling import EXPERT


@dataclass(frozen=True)
class ExpertStream:
    """Where a bag holds the expert's proposals, and under which action names (A) and period."""

    topic: str
    names: Sequence[str]
    period_ns: int


class LateProposals:
    """What the expert proposed for each tick; decoded only where a decision was made without it."""

    def __init__(self, recorded: Iterable[BagMessage], stream: ExpertStream | None) -> None:
        self._stream = stream
        stamped = [(messages.raw_stamp_ns(item.type, item.raw) or 0, item.raw) for item in recorded]
        stamped.sort(key=lambda pair: pair[0])
        self._stamps = [stamp_ns for stamp_ns, _ in stamped]
        self._raws = [raw for _, raw in stamped]

    def join(self, decision: Decision) -> Decision:
        """Return the decision with the expert's proposal for its tick, if there was one."""
        if decision.proposals.get(EXPERT) is not None:
            return decision
        found = self._at(decision.stamp_ns)
        return (
            decision if found is None else replace(decision, proposals={**decision.proposals, EXPERT: found})
        )

    def _at(self, tick_ns: int) -> Numbers | None:
        """Return the first step of the proposal nearest to the tick, within half a period as live."""
        if self._stream is None or not self._stamps:
            return None
        place = bisect_left(self._stamps, tick_ns)
        near = [index for index in (place - 1, place) if 0 <= index < len(self._stamps)]
        index = min(near, key=lambda index: abs(self._stamps[index] - tick_ns))
        if 2 * abs(self._stamps[index] - tick_ns) >= self._stream.period_ns:
            return None
        try:
            said = proposal.decode(self._raws[index], self._stream.names, self._stream.period_ns)
        except proposal.ProposalError:  # the supervisor refused it too, and recorded why
            return None
        if said.releases or said.source != EXPERT or not np.isfinite(said.chunk[0]).all():
            return None
        return tuple(said.chunk[0].tolist())
