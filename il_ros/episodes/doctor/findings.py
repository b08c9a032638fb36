"""A finding of the data doctor: what is wrong, what it does to the policy, a picture of it, and a reversible fix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from il_ros.core.specs import Vector

Array = np.ndarray[Any, Any]


class Severity(Enum):
    """How bad a finding is, worst first; `value` is shown."""

    FAULT = "fault"
    CAUTION = "caution"
    NOTE = "note"


class Check(Enum):
    """What the doctor looks at; `value` is the short name of a finding."""

    OFFSET = "label beside measurement"
    LAG = "late robot"
    SHIFT = "stream out of time"
    OUTLIER = "unlike the others"
    DUPLICATE = "near-duplicate"
    IDLE = "nothing moves"
    CONSTANT = "constant number"
    SATURATED = "saturated number"
    JUMP = "jump"
    MAGNITUDE = "impossible number"
    FROZEN = "frozen camera"
    DARK = "dark camera"
    BLURRED = "blurred camera"
    COVERAGE = "starts alike"
    DISAGREEMENT = "contradicting labels"
    REVERSED = "reversed label"
    UNIT = "another unit"
    SKEW = "unknown to the policy"


@dataclass(frozen=True)
class Line:
    """A curve `y` (N,) over `x` (N,)."""

    name: str
    x: Vector
    y: Vector


@dataclass(frozen=True)
class Plot:
    """Curves over one axis. `spans`: parts of it that are shaded, in the axis's unit. `dots`: points, not lines."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    spans: tuple[tuple[float, float], ...] = ()
    dots: bool = False


@dataclass(frozen=True)
class Pictures:
    """Camera frames (H, W, C) side by side, each with a caption."""

    title: str
    frames: tuple[Array, ...]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One finding.

    `what` and `effect` are sentences. `episodes`: the names of those concerned. `size`: how far its bound is exceeded,
    1 at the bound. `fix`: commands, each of which can be reverted; or a sentence where only the robot can be changed.
    """

    check: Check
    severity: Severity
    what: str
    effect: str
    episodes: tuple[str, ...]
    size: float
    fix: tuple[str, ...]
    picture: Plot | Pictures


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings in the order in which they should be read."""
    ranks = {severity: place for place, severity in enumerate(Severity)}
    return sorted(
        findings, key=lambda each: (ranks[each.severity], -min(each.size, 100.0) * len(each.episodes))
    )
