"""Join decisions with the expert's proposals that arrived after them, by stamp."""

from __future__ import annotations

import math
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
        """Return the decision with the expert's proposal for its tick added, if one was recorded.

        With several action groups, it is added in the groups that the decision has no proposal for.
        """
        known = decision.proposals.get(EXPERT)
        if known is not None and not any(map(math.isnan, known)):
            return decision
        for index in self._near(decision.stamp_ns, several=bool(decision.groups)):
            known = _completed(known, self._read(index))
        return (
            decision if known is None else replace(decision, proposals={**decision.proposals, EXPERT: known})
        )

    def _near(self, tick_ns: int, *, several: bool) -> list[int]:
        """Return the nearest proposal within half a period of the tick, as when live; `several`: all, nearest first."""
        if self._stream is None:
            return []
        period_ns = self._stream.period_ns
        first, last = (bisect_left(self._stamps, tick_ns + side * period_ns // 2) for side in (-1, 1))
        found = [i for i in range(first, last + 1) if i < len(self._stamps) and self._close(i, tick_ns)]
        found.sort(key=lambda index: abs(self._stamps[index] - tick_ns))
        return found if several else found[:1]

    def _close(self, index: int, tick_ns: int) -> bool:
        assert self._stream is not None
        return 2 * abs(self._stamps[index] - tick_ns) < self._stream.period_ns

    def _read(self, index: int) -> Numbers | None:
        """Return the first step of a proposal, NaN in groups that it does not cover; None if it has none."""
        assert self._stream is not None
        stream = self._stream
        try:
            decoded = proposal.decode(self._raws[index], stream.names, stream.period_ns, stream.groups)
        except proposal.ProposalError:  # the supervisor also rejected it and recorded the reason
            return None
        if decoded.releases or decoded.source != EXPERT:
            return None
        covered = [g for g in stream.groups if not decoded.groups or g.name in decoded.groups]
        places = [place for group in covered for place in group.columns] or range(len(stream.names))
        if not np.isfinite(decoded.chunk[0, places]).all():
            return None
        return tuple(decoded.chunk[0].tolist())


def _completed(known: Numbers | None, found: Numbers | None) -> Numbers | None:
    """Return the numbers of a proposal, and where they are NaN those of another."""
    if known is None or found is None:
        return found if known is None else known
    return tuple(other if math.isnan(one) else one for one, other in zip(known, found, strict=True))
