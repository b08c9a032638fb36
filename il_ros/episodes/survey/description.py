"""Joint limits of a robot's description (URDF)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.etree import ElementTree

from il_ros.control.limiter.urdf import MOST_BYTES, MOST_JOINTS, DescriptionError


@dataclass(frozen=True)
class JointLimits:
    """Limits of a joint in rad or m, and per second; infinite where the description has none."""

    kind: str
    lower: float = -math.inf
    upper: float = math.inf
    speed: float = math.inf

    @property
    def unit(self) -> str:
        """The unit of its position."""
        return "m" if self.kind == "prismatic" else "rad"


def joint_limits(text: str, source: str = "/robot_description") -> dict[str, JointLimits]:
    """Return the limits of each movable joint. Raises DescriptionError when the text is no robot description."""
    if len(text) > MOST_BYTES or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DescriptionError(f"{source}: too large, or has a document type or entities")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise DescriptionError(f"{source}: not XML: {error}") from error
    elements = root.findall("joint")
    if root.tag != "robot" or len(elements) > MOST_JOINTS:
        raise DescriptionError(f"{source}: is no <robot> of at most {MOST_JOINTS} joints")
    found = {}
    for element in elements:
        kind, limit = element.get("type", ""), element.find("limit")
        if kind not in ("revolute", "continuous", "prismatic"):
            continue
        lower, upper, speed = (_number(limit, name) for name in ("lower", "upper", "velocity"))
        if kind == "continuous" or not lower < upper:
            lower, upper = -math.inf, math.inf
        found[element.get("name", "")] = JointLimits(
            kind, lower, upper, speed if 0 < speed < math.inf else math.inf
        )
    return found


def _number(limit: ElementTree.Element | None, name: str) -> float:
    """Return a limit; lower and upper are 0 where they are missing, as URDF says; nothing usable is NaN."""
    if limit is None:
        return math.nan
    try:
        return float(limit.get(name, "0"))
    except ValueError:
        return math.nan
