"""Which label a recorded decision holds: an explicit rule per mode, never a guess.

| mode      | who drove        | label                 |
|-----------|------------------|-----------------------|
| priority  | policy           | none                  |
| priority  | anyone else      | what was sent         |
| expert    | expert           | what was sent         |
| policy    | policy           | none                  |
| shadow    | expert           | what was sent         |
| dagger    | expert           | what was sent         |
| dagger    | policy, nobody   | the expert's proposal, where it was asked |
| hg_dagger | expert           | what was sent         |
| hg_dagger | policy           | none                  |
| gated     | as hg_dagger     |                       |

A policy's own driving is nobody's lesson: what it gets wrong would be shown to it as right.
An expert's label is what was *sent* when the expert drove: the safety gate's limits are part of the lesson.
Where nobody had authority only dagger has a label. Decisions from before there were modes are 'priority'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from il_ros.records.decision import NOBODY, Decision, Numbers

EXPERT, POLICY = "expert", "policy"
"""The sources that are known by name, whatever the others are called."""
MODES = ("priority", "expert", "policy", "shadow", "dagger", "hg_dagger", "gated")


@dataclass(frozen=True)
class Rule:
    """Which label a decision holds: None when there is nothing to learn from it. `name` names caches."""

    name: str
    choose: Callable[[Decision], Numbers | None]


def label(mode: str, decision: Decision) -> Numbers | None:
    """Return the action (A,) to learn at a decision's tick, None when there is none.

    Raises ValueError when the mode is not known.
    """
    if mode not in MODES:
        raise ValueError(f"mode '{mode}' is not known; one of: {', '.join(MODES)}")
    if mode == "policy":
        return None
    if decision.authority == EXPERT or (mode == "priority" and decision.authority not in (NOBODY, POLICY)):
        return decision.sent
    return decision.proposals.get(EXPERT) if mode == "dagger" and decision.queried else None


BY_MODE = Rule("by_mode", lambda decision: label(decision.mode or "priority", decision))
"""The table above, by the mode that each decision was made in."""

DRIVEN = Rule("driven", lambda decision: None if decision.authority == NOBODY else decision.sent)
"""What was sent on somebody's authority, whatever the mode: to look at an episode, not to learn from it."""
