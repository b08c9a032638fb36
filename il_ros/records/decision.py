"""A decision: the command that the supervisor sent for one tick, the authority and the reason.

The supervisor publishes each decision on `~/decision` right after the command, as one line of JSON in a
std_msgs/String. Floats keep every bit; absent values are null, never zero. Labels are made from decisions.

There is one decision per tick. It is made as soon as the source in authority has proposed, so another
source's proposal for the same tick may arrive later. That proposal is absent from `proposals`, but is
recorded on its own topic with the same stamp; readers join the two by `stamp_ns`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

NOBODY = "none"
"""The authority of a decision without a source: the safe behaviour was sent, or nothing."""

Numbers = tuple[float, ...]

FORMER_NAMES = {"epoch": "generation", "doubt": "uncertainty", "asked": "queried"}
"""Field names in bags recorded before 2026-11-29, mapped to the current ones."""


@dataclass(frozen=True)
class Decision:
    """The command sent for the tick `stamp_ns`, and its reason.

    `stamp_ns`: the answered tick; for a decision by the timer, the tick due then (node clock minus the
    source's lag). `sent_ns`: node clock at sending. `authority`: a source's name or 'none'.
    `reason`: one sentence. `proposals`: source -> its proposed values (A,) for this tick, None without a
    proposal so far. `rejected`: source -> reason of the rejection.
    `sent`: the command (A,) in the contract's flat order, None when nothing was sent.
    `limited`: the safety limits that acted, e.g. 'arm/joint2 speed'. `generation`: count of handovers and
    restarts. `version`: of the proposal in authority. `uncertainty`: of that proposal, else of the policy,
    None when unknown. `beta`: the expert's share where sources are mixed. `mode`: the supervisor's mode,
    which selects the labelling rule; "" in records from before modes existed. `disagreement`: root mean
    square difference of policy and expert at the newest tick with both proposals, this one or the one before.
    `queried`: whether the expert, when not in authority, was queried; without a query its proposal is no
    label.
    Raises ValueError without an authority and on values that are not finite.
    """

    stamp_ns: int
    sent_ns: int
    authority: str
    reason: str
    proposals: Mapping[str, Numbers | None] = field(default_factory=dict)
    sent: Numbers | None = None
    limited: Sequence[str] = ()
    generation: int = 0
    version: str = ""
    beta: float | None = None
    uncertainty: float | None = None
    rejected: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""
    disagreement: float | None = None
    queried: bool = True

    def __post_init__(self) -> None:
        if not self.authority:
            raise ValueError(f"authority must be a source's name or '{NOBODY}'")
        vectors = [("sent", self.sent), *((f"proposals[{name}]", v) for name, v in self.proposals.items())]
        for name, values in vectors:
            if values is not None and not all(map(math.isfinite, values)):
                raise ValueError(f"{name} must be finite numbers, not {values}")


def to_json(decision: Decision) -> str:
    """Return one line of JSON with all fields in order."""
    return _ENCODER.encode(vars(decision))


def from_json(text: str) -> Decision:
    """Return the decision written by `to_json`; unknown fields (of later versions) are ignored.

    Raises ValueError when the text is not a JSON object or a field is missing.
    """
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not a decision: {error}: {text[:80]!r}") from error
    if not isinstance(record, dict):
        raise ValueError(f"not a decision: {text[:80]!r}")
    record = {FORMER_NAMES.get(name, name): value for name, value in record.items()}
    record.setdefault("mode", "")
    record.setdefault("disagreement", None)
    record.setdefault("queried", True)
    missing = [name for name in _NAMES if name not in record]
    if missing:
        raise ValueError(f"a decision without '{missing[0]}': {text[:80]!r}")
    known: dict[str, Any] = {name: record[name] for name in _NAMES}
    known["proposals"] = {name: _numbers(values) for name, values in record["proposals"].items()}
    known["sent"] = _numbers(record["sent"])
    known["limited"] = tuple(record["limited"])
    return Decision(**known)


_NAMES = tuple(item.name for item in fields(Decision))
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False)


def _numbers(values: Sequence[float] | None) -> Numbers | None:
    return None if values is None else tuple(values)
