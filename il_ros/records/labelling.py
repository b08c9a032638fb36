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

Under a contract with several action groups, the rule applies to each group with its own authority: while a person
corrects one arm, only that arm's numbers are a label. The numbers of the other groups are NaN.
"""

from __future__ import annotations

import math
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
    """A labelling rule: `choose` returns the label (A,) of a decision, or None; NaN in groups without a label.

    `name` is part of cache names.
    """

    name: str
    choose: Callable[[Decision], Numbers | None]


def label(mode: str, decision: Decision) -> Numbers | None:
    """Return the label (A,) of a decision, None without one in any group; NaN in groups without a label.

    Raises ValueError when the mode is unknown.
    """
    if mode not in MODES:
        raise ValueError(f"mode '{mode}' is not known; one of: {', '.join(MODES)}")
    return _by_group(decision, lambda authority: _label(mode, authority, decision))


def _label(mode: str, authority: str, decision: Decision) -> Numbers | None:
    """Return the numbers that are the label where a source has authority."""
    if mode == "policy":
        return None
    if authority == EXPERT or (mode == "priority" and authority not in (NOBODY, POLICY)):
        return decision.sent
    return decision.proposals.get(EXPERT) if mode == "dagger" and decision.queried else None


def _by_mode(decision: Decision) -> Numbers | None:
    return label(decision.mode or "priority", decision)


def _driven(decision: Decision) -> Numbers | None:
    return _by_group(decision, lambda authority: None if authority == NOBODY else decision.sent)


def _sent(decision: Decision) -> Numbers | None:
    return decision.sent


def _by_group(decision: Decision, choose: Callable[[str], Numbers | None]) -> Numbers | None:
    """Return the numbers that `choose` returns for each group's authority; None without any."""
    if not decision.groups:
        return choose(decision.authority)
    chosen = [math.nan] * sum(len(part.actions) for part in decision.groups.values())
    for part in decision.groups.values():
        values = choose(part.authority)
        if values is not None:
            for place in part.actions:
                chosen[place] = values[place]
    return None if all(map(math.isnan, chosen)) else tuple(chosen)


BY_MODE = Rule("by_mode", _by_mode)
"""The table above, by the mode of each decision."""

DRIVEN = Rule("driven", _driven)
"""The command of every decision with authority, in any mode: for inspection of episodes, not for training."""

SENT = Rule("sent", _sent)
"""The command of every decision, also where the robot is held without a source: for what judges by what is seen."""
