"""Join decisions with the expert's proposals that arrived after them, by stamp."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from il_ros.core import messages
from il_ros.episodes.bag.reader import BagMessage
from il_ros.episodes.bag.topics import ExpertStream
from il_ros.records import proposal
from il_ros.records.decision import Decision, Numbers
from il_ros.records.labelling import EXPERT


class LateProposals:
    """The expert's proposals by tick; a proposal is decoded only if the tick's decision lacks it."""

    def __init__(self, recorded: Iterable[BagMessage], stream: ExpertStream | None) -> None:
        self._stream = stream
        stamped = []
        for item in recorded:
            try:
                stamped.append((messages.raw_stamp_ns(item.type, item.raw) or 0, item.raw))
            except messages.MessageError:  # no stamp: the supervisor also rejected it and recorded the reason
                continue
        stamped.sort(key=lambda pair: pair[0])
        self._stamps = [stamp_ns for stamp_ns, _ in stamped]
        self._raws = [raw for _, raw in stamped]

    def join(self, decision: Decision) -> Decision:
        """Return the decision with the expert's proposal for its tick added, if one was recorded."""
        if decision.proposals.get(EXPERT) is not None:
            return decision
        found = self._at(decision.stamp_ns)
        return (
            decision if found is None else replace(decision, proposals={**decision.proposals, EXPERT: found})
        )

    def _at(self, tick_ns: int) -> Numbers | None:
        """Return the first step of the nearest proposal within half a period of the tick, as when live."""
        if self._stream is None or not self._stamps:
            return None
        place = bisect_left(self._stamps, tick_ns)
        near = [index for index in (place - 1, place) if 0 <= index < len(self._stamps)]
        index = min(near, key=lambda index: abs(self._stamps[index] - tick_ns))
        if 2 * abs(self._stamps[index] - tick_ns) >= self._stream.period_ns:
            return None
        try:
            decoded = proposal.decode(self._raws[index], self._stream.names, self._stream.period_ns)
        except proposal.ProposalError:  # the supervisor also rejected it and recorded the reason
            return None
        if decoded.releases or decoded.source != EXPERT or not np.isfinite(decoded.chunk[0]).all():
            return None
        return tuple(decoded.chunk[0].tolist())
