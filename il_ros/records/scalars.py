"""Numbers of a decision that can be plotted, each on a topic of its own with a standard message.

A decision is recorded as JSON, which rqt_plot, PlotJuggler and Foxglove do not plot. The supervisor publishes these
numbers on `~/plot/NAME`. One that a decision does not have, such as the uncertainty without a policy, is not published.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from il_ros.core.contract import Contract
from il_ros.records.decision import NOBODY, Decision

FLOAT32, INT8 = "std_msgs/msg/Float32", "std_msgs/msg/Int8"
TOPICS = "dagger_supervisor/plot"
"""The topics' beginning."""
SEVERAL = -1
"""The authority of a decision in which action groups have different sources."""
_MOST_INT8, _MOST_FLOAT32 = 127, 3.4e38


@dataclass(frozen=True)
class Scalar:
    """One plottable number: the last part of its topic, its message type, what it is, and its unit."""

    name: str
    type: str
    meaning: str
    unit: str = ""


AUTHORITY = Scalar(
    "authority",
    INT8,
    "0: no source, 1: the first of the parameter sources, 2: the second, ...; -1: several, by group",
)
SCALARS = (
    AUTHORITY,
    Scalar("uncertainty", FLOAT32, "the policy's uncertainty"),
    Scalar("threshold", FLOAT32, "the uncertainty above which mode gated requests the expert"),
    Scalar("disagreement", FLOAT32, "of policy and expert: root mean square difference of their proposals"),
    Scalar("limited", INT8, "how many limits of the safety limiter acted, such as one joint's speed"),
    Scalar("beta", FLOAT32, "the expert's share in mode dagger"),
    Scalar(
        "observation_age",
        FLOAT32,
        "the age of what the source in authority had observed, at the command",
        "s",
    ),
)


def scalars_of(contract: Contract) -> tuple[Scalar, ...]:
    """Return the numbers that are published under a contract: of several action groups, also each one's authority."""
    groups = [group.name for group in contract.groups] if contract.grouped else []
    return SCALARS + tuple(
        Scalar(
            f"{AUTHORITY.name}_{name}",
            INT8,
            f"the authority over group {name}, numbered as {AUTHORITY.name} is",
        )
        for name in groups
    )


def values_of(decision: Decision, sources: Sequence[str], threshold: float | None) -> dict[str, float]:
    """Return the numbers that a decision has, by name.

    `sources`: the supervisor's, in order. `threshold`: that of the mode, None where it has none.
    """
    places = {NOBODY: 0, **{name: place for place, name in enumerate(sources, 1)}}
    by_group = {name: places.get(who, SEVERAL) for name, who in decision.authorities.items()}
    found: dict[str, float] = {f"{AUTHORITY.name}_{name}": place for name, place in by_group.items()}
    if not decision.groups:
        found = {}
    together = set(by_group.values())
    found[AUTHORITY.name] = together.pop() if len(together) == 1 else SEVERAL
    found["limited"] = min(_MOST_INT8, len(decision.limited))
    for name, value in (
        ("uncertainty", decision.uncertainty),
        ("threshold", threshold),
        ("disagreement", decision.disagreement),
        ("beta", decision.beta),
        ("observation_age", decision.age_s),
    ):
        if value is not None:
            found[name] = max(-_MOST_FLOAT32, min(_MOST_FLOAT32, value))
    return found
