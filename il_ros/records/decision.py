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
from dataclasses import dataclass, field
from typing import Any

from il_ros.core import messages
from il_ros.core.messages import MessageError
from il_ros.core.specs import STRING
from il_ros.records import strict_json as check
from il_ros.records.strict_json import JsonError

NOBODY = "none"
"""The authority of a decision without a source: the safe behaviour was sent, or nothing."""
MODES = ("priority", "expert", "policy", "shadow", "dagger", "hg_dagger", "gated")
"""The supervisor's modes; `records/labelling.py` has the label of each."""

Numbers = tuple[float, ...]

FORMER_NAMES = {"epoch": "generation", "doubt": "uncertainty", "asked": "queried"}
"""Field names in bags recorded before 2026-11-29, mapped to the current ones."""


class DecisionError(MessageError):
    """A message or text that is not a decision; the error names the field, its value and what is right."""


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
    Raises DecisionError without an authority and on values that are not finite.
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
            raise DecisionError(f"authority must be a source's name or '{NOBODY}'")
        vectors = [("sent", self.sent), *((f"proposals[{name}]", v) for name, v in self.proposals.items())]
        for name, values in vectors:
            if values is not None and not all(map(math.isfinite, values)):
                raise DecisionError(f"{name} must be finite numbers, not {values}")


def to_json(decision: Decision) -> str:
    """Return one line of JSON with all fields in order."""
    return _ENCODER.encode(vars(decision))


def from_json(text: str) -> Decision:
    """Return the decision written by `to_json`; unknown fields (of later versions) are ignored.

    Raises DecisionError on any other text: a field is missing, has another type, or is out of its range.
    """
    try:
        record = check.loads(text)
    except JsonError as error:
        raise DecisionError(f"not a decision: {error}: {text[:80]!r}") from None
    try:
        values = _CHECK(_current(record), "")
        _require_one_size(values)
    except JsonError as error:
        raise DecisionError(f"not a decision: {error}") from None
    return Decision(**values)


def decode(raw: bytes) -> Decision:
    """Return the decision in the CDR bytes of a std_msgs/String; raises DecisionError on any other bytes."""
    try:
        text = messages.decode(STRING, raw).data
    except MessageError as error:
        raise DecisionError(f"not a decision: {error}") from error
    return from_json(text)


_NUMBERS = check.or_null(check.numbers)
_CHECK = check.record(
    "a decision",
    {
        "stamp_ns": check.whole(),
        "sent_ns": check.whole(),
        "authority": check.name_text,
        "reason": check.text,
        "proposals": check.mapping(_NUMBERS),
        "sent": _NUMBERS,
        "limited": check.several(check.text),
        "generation": check.whole(),
        "version": check.text,
        "beta": check.or_null(check.number(0.0, 1.0)),
        "uncertainty": check.or_null(check.number(0.0)),
        "rejected": check.mapping(check.text),
        "mode": check.one_of("", *MODES),
        "disagreement": check.or_null(check.number(0.0)),
        "queried": check.flag,
    },
    optional=("mode", "disagreement", "queried"),  # absent in records from before modes existed
    others=True,
)
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False)


def _current(record: Any) -> Any:
    """Return the record with the current names of its fields."""
    if not isinstance(record, dict):
        return record
    for former, name in FORMER_NAMES.items():
        if former in record and name in record:
            raise JsonError(f"'{name}' is given twice, also by its former name '{former}'")
    return {FORMER_NAMES.get(name, name): value for name, value in record.items()}


def _require_one_size(values: Mapping[str, Any]) -> None:
    """Raise JsonError unless the command and all proposals have the same number of actions."""
    vectors = {"sent": values["sent"]} | {f"proposals[{name}]": v for name, v in values["proposals"].items()}
    sizes = {name: len(vector) for name, vector in vectors.items() if vector is not None}
    if len(set(sizes.values())) > 1:
        words = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise JsonError(f"the command and the proposals have different numbers of actions: {words}")
