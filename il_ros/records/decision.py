"""A decision: what the supervisor sent for one tick, on whose authority and why. Labels are made from it.

Each is published on `~/decision` right after the command, as one line of JSON in a std_msgs/String. Floats
are written so that they read back bit for bit; what was absent is null, never zero.

One decision stands for one tick. It is made the moment the source in authority has proposed, so the proposal
of another source for the same tick may come later: it is absent from `proposals` here, stands on its own
(recorded) topic with the same stamp, and readers join the two by `stamp_ns`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

NOBODY = "none"
"""The authority of a decision that no source has: the declared safe behaviour was sent, or nothing."""

Numbers = tuple[float, ...]

FORMER_NAMES = {"epoch": "generation", "doubt": "uncertainty", "asked": "queried"}
"""Fields as bags of before 2026-11-29 name them, and their names now."""


@dataclass(frozen=True)
class Decision:
    """What was sent for the tick `stamp_ns`, and why.

    `stamp_ns`: the tick answered; where the supervisor's own timer decided, the tick due by then (the node
    clock's time less the source's lag).
    `sent_ns`: the node clock when the command left. `authority`: a source's name or 'none'.
    `reason`: one sentence. `proposals`: source -> its proposed values (A,) for this tick, or None when it had
    not proposed by now. `rejected`: source -> why its proposal was not let in.
    `sent`: the command (A,) in the contract's flat order, None when nothing was sent.
    `limited`: what the safety gate changed, e.g. 'arm/joint2 speed'. `epoch`: counts handovers and restarts.
    `version`: of the proposal in authority. `doubt`: of that proposal, else the policy's own, if it can tell.
    `beta`: the expert's share where sources are mixed. `mode`: the supervisor's, by which labels are chosen;
    "" before there were modes. `disagreement`: how far policy and expert were apart (root mean square) at the
    newest tick that both have proposed for, if that is this one or the one before. `asked`: whether
    the expert was asked for a label, if it didn't drive; what it proposed unasked is none.
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
    """Return one line of JSON with all fields in their order."""
    return _ENCODER.encode(vars(decision))


def from_json(text: str) -> Decision:
    """Return the decision written by `to_json`; fields of later versions are ignored.

    Raises ValueError when the text is no such JSON or a field is missing.
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
