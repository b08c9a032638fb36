"""The target of a decision, and how it was obtained."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from il_ros.records.decision import Numbers


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
