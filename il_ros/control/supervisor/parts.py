"""What is decided for each action group at a tick, and what of it is recorded for the whole robot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from il_ros.control.supervisor.proposal_buffer import replaced
from il_ros.core.specs import ActionGroup
from il_ros.records.decision import GroupDecision, Numbers
from il_ros.records.proposal import Proposal


class TargetOrigin(Enum):
    """How the target of a decision was obtained."""

    NONE = auto()
    PROPOSED = auto()
    CONTINUED = auto()
    REPEATED = auto()


@dataclass(frozen=True)
class Target:
    """The target of a decision: `values` (A,) or None, their origin, and a remark for the decision's reason."""

    values: Numbers | None
    origin: TargetOrigin
    remark: str = ""


class GroupPart(NamedTuple):
    """What is decided for one action group: the source in authority and why, its target, and its proposal, if any."""

    group: ActionGroup
    source: str
    reason: str
    target: Target
    proposal: Proposal | None

    def record(self, disagreement: float | None, uncertainty: float | None) -> GroupDecision:
        """Return the part of the decision's record; `disagreement` of policy and expert, the policy's `uncertainty`."""
        version = "" if self.proposal is None else self.proposal.version
        return GroupDecision(self.group.columns, self.source, self.reason, version, disagreement, uncertainty)


def joined_target(parts: Sequence[GroupPart]) -> Numbers | None:
    """Return the targets of all groups in one vector (A,), NaN in groups without one; None without any."""
    if len(parts) == 1:
        return parts[0].target.values
    joined: Numbers | None = None
    for part in parts:
        if part.target.values is not None:
            joined = replaced(joined, part.target.values, part.group)
    return joined


def joined_proposal(parts: Sequence[GroupPart]) -> Proposal | None:
    """Return the proposal whose version and uncertainty are the decision's: one with a version, if there is one."""
    found = [part.proposal for part in parts if part.proposal is not None]
    return next((each for each in found if each.version), next(iter(found), None))


def with_targets(
    proposals: dict[str, Numbers | None], parts: Sequence[GroupPart]
) -> dict[str, Numbers | None]:
    """Return what each source proposed for the tick, of those in authority their target, unless it was repeated."""
    for part in parts:
        values, repeated = part.target.values, part.target.origin is TargetOrigin.REPEATED
        if values is None:
            continue
        if len(parts) == 1:
            proposals[part.source] = None if repeated else values
            continue
        known = replaced(
            proposals[part.source], (math.nan,) * len(values) if repeated else values, part.group
        )
        proposals[part.source] = None if all(map(math.isnan, known)) else known
    return proposals


def oldest_s(proposals: Sequence[Proposal], time_ns: int) -> float | None:
    """Return the age at a time of the oldest observation that the proposals were computed from, None without any."""
    seen_ns = min((proposal.seen_ns for proposal in proposals), default=None)
    return None if seen_ns is None else max(0.0, (time_ns - seen_ns) / 1e9)
