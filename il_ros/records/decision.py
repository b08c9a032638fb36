"""A decision: the command that the supervisor sent for one tick, the authority and the reason.

The supervisor publishes each decision on `~/decision` right after the command, as one line of JSON in a
std_msgs/String. Floats keep every bit; absent values are null, never zero. Labels are made from decisions.

There is one decision per tick. It is made as soon as the source in authority has proposed, so another
source's proposal for the same tick may arrive later. That proposal is absent from `proposals`, but is
recorded on its own topic with the same stamp; readers join the two by `stamp_ns`.

Under a contract with several action groups, `groups` has the authority of each. A number that a source did not
propose, or that was not sent, is NaN here and null in the record. Without `groups`, all actions are one group.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from il_ros.core import messages
from il_ros.core.messages import MessageError
from il_ros.core.specs import STRING, WHOLE
from il_ros.core.tables import counted
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
class GroupDecision:
    """The part of a decision that belongs to one action group.

    `actions`: the places of its numbers in the contract's flat order. `authority`, `reason`, `version`,
    `disagreement` and `uncertainty` as in `Decision`, of this group alone; without an uncertainty for each group, and
    in records from before there were any, `uncertainty` is None.
    """

    actions: tuple[int, ...]
    authority: str
    reason: str
    version: str = ""
    disagreement: float | None = None
    uncertainty: float | None = None


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
    label. `age_s`: the age at `sent_ns` of what the source in authority had observed, from the tick of its
    observation (of several groups, the oldest); None without a source, and in older records.
    `missing`: the optional observations that were missing where the proposals in authority were computed.
    `way`: which of the policy's ways to do the task the proposal in authority takes, None where it keeps none apart.
    `groups`: the part of each action group, where the contract has several; their actions are disjoint and
    complete. Then `authority` is `joined_authority` of theirs, and `version` and `uncertainty` are of the first
    group with a version.
    Raises DecisionError without an authority and on values that are not finite; a group whose numbers are all NaN
    was not proposed or not sent.
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
    groups: Mapping[str, GroupDecision] = field(default_factory=dict)
    age_s: float | None = None
    missing: Sequence[str] = ()
    way: int | None = None

    def __post_init__(self) -> None:
        if not self.authority:
            raise DecisionError(f"authority must be a source's name or '{NOBODY}'")
        vectors = [("sent", self.sent), *((f"proposals[{name}]", v) for name, v in self.proposals.items())]
        for name, values in vectors:
            if values is not None and not all(map(math.isfinite, values)):
                self._require_whole_groups(name, values)

    def _require_whole_groups(self, name: str, values: Numbers) -> None:
        """Raise DecisionError unless each group of `values` is finite, or NaN throughout in some of several groups."""
        if not self.groups:
            raise DecisionError(f"{name} must be finite numbers, not {values}")
        for group, part in self.groups.items():
            own = [values[index] for index in part.actions]
            if not (all(map(math.isfinite, own)) or all(map(math.isnan, own))):
                raise DecisionError(
                    f"{name} must be finite numbers in group '{group}', or none of it; not {own}"
                )

    @property
    def authorities(self) -> dict[str, str]:
        """The authority of each group, in order; without groups, that of WHOLE."""
        if not self.groups:
            return {WHOLE: self.authority}
        return {name: part.authority for name, part in self.groups.items()}

    def authority_at(self, place: int) -> tuple[str, str]:
        """The authority over one number of the command, and its reason; NOBODY where the number was not sent."""
        part = next((each for each in self.groups.values() if place in each.actions), self)
        unsent = self.sent is None or math.isnan(self.sent[place])
        return (NOBODY if unsent else part.authority), part.reason

    def version_of(self, source: str) -> str:
        """Return the version of a source where it has authority over a group; "" without."""
        versions = self.versions
        return next((versions[name] for name, each in self.authorities.items() if each == source), "")

    @property
    def versions(self) -> dict[str, str]:
        """The version of the source in authority over each group, in order; without groups, that of WHOLE."""
        if not self.groups:
            return {WHOLE: self.version}
        return {name: part.version for name, part in self.groups.items()}


def joined_authority(authorities: Iterable[str]) -> str:
    """Return the authority of a decision from those of its groups: 'expert', or 'expert+policy' where they differ.

    The second is no source's name, which is an identifier.
    """
    return "+".join(dict.fromkeys(authorities))


def drives(authority: str, source: str) -> bool:
    """Return whether a source has authority over a group of actions, by the `authority` of a decision."""
    return source in authority.split("+")


def to_json(decision: Decision) -> str:
    """Return one line of JSON with all fields in order; `groups`, `missing` and `way` only where there are any."""
    record = dict(vars(decision))
    groups, missing, way = (record.pop(name) for name in ("groups", "missing", "way"))
    if missing:
        record["missing"] = missing
    if way is not None:
        record["way"] = way
    if groups:
        record["sent"] = _nulls(decision.sent)
        record["proposals"] = {name: _nulls(values) for name, values in decision.proposals.items()}
        record["groups"] = {name: vars(part) for name, part in groups.items()}
    return _ENCODER.encode(record)


def sent_alone(decision: Decision, why: str) -> Decision:
    """Return a decision with what was sent, by which source and when, and `why` the rest is missing."""
    return Decision(
        stamp_ns=decision.stamp_ns,
        sent_ns=decision.sent_ns,
        authority=decision.authority,
        reason=f"{decision.reason}; {why}",
        sent=decision.sent,
        generation=decision.generation,
        version=decision.version,
        mode=decision.mode,
        queried=False,
        groups={name: replace(part, disagreement=None) for name, part in decision.groups.items()},
    )


def from_json(text: str) -> Decision:
    """Return the decision written by `to_json`; unknown fields (of later versions) are ignored.

    Raises DecisionError on any other text: a field is missing, has another type, or is out of its range.
    """
    try:
        record = check.loads(text)
    except JsonError as error:
        raise DecisionError(f"not a decision: {error}: {text[:80]!r}") from None
    try:
        if isinstance(record, dict) and record.get("groups"):
            values = _GROUPED_CHECK(_current(record), "")
            values["groups"] = {name: GroupDecision(**part) for name, part in values["groups"].items()}
            _require_one_size(values)
            _require_partition(values)
        else:
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


def _nulls(values: Numbers | None) -> list[float | None] | None:
    return None if values is None else [None if value != value else value for value in values]


def _some_numbers(value: Any, name: str) -> Numbers:
    """Check a list of finite numbers and null, which becomes NaN."""
    found = _SOME_NUMBERS(value, name)
    return tuple(math.nan if each is None else each for each in found)


_SOME_NUMBERS = check.several(check.or_null(check.number()), least=1)
_NUMBERS = check.or_null(check.numbers)
_FIELDS: dict[str, check.Check] = {
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
    "age_s": check.or_null(check.number(0.0)),
    "missing": check.several(check.text),
    "way": check.or_null(check.whole()),
}
_OPTIONAL = ("mode", "disagreement", "queried", "age_s", "missing", "way")  # absent in older records
_GROUP = check.record(
    "a group",
    {
        "actions": check.several(check.whole(), least=1),
        "authority": check.name_text,
        "reason": check.text,
        "version": check.text,
        "disagreement": check.or_null(check.number(0.0)),
        "uncertainty": check.or_null(check.number(0.0)),
    },
    ("uncertainty",),
    others=True,
)
_CHECK = check.record("a decision", _FIELDS, _OPTIONAL, others=True)
_GROUPED_CHECK = check.record(
    "a decision",
    {
        **_FIELDS,
        "sent": check.or_null(_some_numbers),
        "proposals": check.mapping(check.or_null(_some_numbers)),
        "groups": check.mapping(_GROUP),
    },
    _OPTIONAL,
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


def _require_partition(values: Mapping[str, Any]) -> None:
    """Raise JsonError unless each number of the command is in exactly one group."""
    places = [place for part in values["groups"].values() for place in part.actions]
    if sorted(places) != list(range(len(places))):
        raise JsonError(
            f"groups: their actions are {sorted(places)}; each place must be in exactly one group"
        )
    vectors = [values["sent"], *values["proposals"].values()]
    size = next((len(vector) for vector in vectors if vector is not None), len(places))
    if size != len(places):
        raise JsonError(f"groups have {counted(len(places), 'action')}, the command and the proposals {size}")
