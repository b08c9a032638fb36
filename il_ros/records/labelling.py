"""The label of a recorded decision: one explicit rule per mode.

| mode      | authority        | label                                     |
|-----------|------------------|-------------------------------------------|
| priority  | policy           | none                                      |
| priority  | another source   | the command sent                          |
| expert    | expert           | the command sent                          |
| policy    | policy           | none                                      |
| shadow    | expert           | the command sent                          |
| dagger    | expert           | the command sent                          |
| dagger    | policy, none     | the expert's proposal, if it was queried  |
| hg_dagger | expert           | the command sent                          |
| hg_dagger | policy           | none                                      |
| gated     | as hg_dagger     |                                           |

The policy's own commands are never labels, because training on them would reinforce its errors.
The label of an expert in authority is the command *sent*, after the safety limiter.
Without authority, only dagger gives a label. Decisions from before modes existed count as 'priority'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from il_ros.records.decision import MODES as MODES
from il_ros.records.decision import NOBODY, Decision, Numbers

EXPERT, POLICY = "expert", "policy"
"""Names of the two sources with a fixed meaning; further sources may have any name."""


class NoLabel(str, Enum):
    """The kind of reason why a tick has no label; a sentence accompanies it."""

    NO_AUTHORITY = "no_authority"
    BY_RULE = "by_rule"
    NO_COMMAND = "no_command"
    EXPIRED = "expired"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Rule:
    """A labelling rule: `choose` returns the label of a decision or None. `name` is part of cache names."""

    name: str
    choose: Callable[[Decision], Numbers | None]


def label(mode: str, decision: Decision) -> Numbers | None:
    """Return the label (A,) of a decision, None without one.

    Raises ValueError when the mode is unknown.
    """
    if mode not in MODES:
        raise ValueError(f"mode '{mode}' is not known; one of: {', '.join(MODES)}")
    if mode == "policy":
        return None
    if decision.authority == EXPERT or (mode == "priority" and decision.authority not in (NOBODY, POLICY)):
        return decision.sent
    return decision.proposals.get(EXPERT) if mode == "dagger" and decision.queried else None


BY_MODE = Rule("by_mode", lambda decision: label(decision.mode or "priority", decision))
"""The table above, by the mode of each decision."""

DRIVEN = Rule("driven", lambda decision: None if decision.authority == NOBODY else decision.sent)
"""The command of every decision with authority, in any mode: for inspection of episodes, not for training."""
