"""A robot's description (URDF): the chain of joints from a base link to a tool, and the tool's position.

Only joints and links are read. Lengths are in m, angles in rad.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from il_ros.core import files
from il_ros.core.strict_yaml import brief
from il_ros.core.tables import listed

MOST_BYTES = 8 << 20
MOST_JOINTS = 1000
TURNING, SLIDING, FIXED = ("revolute", "continuous"), ("prismatic",), ("fixed",)

Point = tuple[float, float, float]
Rows = tuple[Point, Point, Point]


class DescriptionError(ValueError):
    """An unusable robot description; the message names the file, the joint and the fault."""


@dataclass(frozen=True)
class JointSpec:
    """A joint: the fixed pose of its frame in the parent link, and the axis (norm 1) of its motion in that frame.

    `driver`, `multiplier`, `offset`: it moves as `multiplier` times the joint `driver` plus `offset` (mimic).
    """

    name: str
    kind: str
    parent: str
    child: str
    place: Point
    rotation: Rows
    axis: Point
    driver: str
    multiplier: float = 1.0
    offset: float = 0.0

    def to_parent(self, point: Point, position: float) -> Point:
        """Return a point of the child link in the frame of the parent link."""
        position = self.multiplier * position + self.offset
        if self.kind in TURNING:
            point = _turned(point, self.axis, position)
        elif self.kind in SLIDING:
            x, y, z = self.axis
            point = (point[0] + position * x, point[1] + position * y, point[2] + position * z)
        a, b, c = self.rotation
        x, y, z = self.place
        return (
            x + a[0] * point[0] + a[1] * point[1] + a[2] * point[2],
            y + b[0] * point[0] + b[1] * point[1] + b[2] * point[2],
            z + c[0] * point[0] + c[1] * point[1] + c[2] * point[2],
        )


@dataclass(frozen=True)
class Chain:
    """The joints from the base link to a tool link, base first."""

    joints: tuple[JointSpec, ...]

    @property
    def drivers(self) -> tuple[str, ...]:
        """The joints whose positions are needed, without repetition."""
        return tuple(dict.fromkeys(joint.driver for joint in self.joints if joint.kind not in FIXED))

    def tool(self, positions: Mapping[str, float]) -> Point:
        """Return the position (3,) of the tool in the base's frame; raises KeyError without a driver's position."""
        point: Point = (0.0, 0.0, 0.0)
        for joint in reversed(self.joints):
            point = joint.to_parent(point, 0.0 if joint.kind in FIXED else positions[joint.driver])
        return point


def read_chain(path: Path, base: str, tool: str) -> Chain:
    """Return the chain of the URDF file at `path` from the link `base` ("" is the root) to the link `tool`.

    Raises DescriptionError when the file cannot be read or used.
    """
    try:
        text = files.read_text(path, MOST_BYTES)
    except (OSError, ValueError) as error:
        raise DescriptionError(f"{path}: cannot read the robot's description: {error}") from error
    return parse_chain(text, str(path), base, tool)


def parse_chain(text: str, source: str, base: str, tool: str) -> Chain:
    """Return the chain from a URDF text; `source` names it in errors. Raises DescriptionError."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DescriptionError(
            f"{source}: has a document type or entities, which a robot description does not need"
        )
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        hint = "; convert it first: xacro FILE > FILE.urdf" if source.endswith(".xacro") else ""
        raise DescriptionError(f"{source}: not XML: {error}{hint}") from error
    if root.tag != "robot":
        raise DescriptionError(f"{source}: the first element is <{root.tag[:40]}>, not <robot>")
    elements = root.findall("joint")
    if len(elements) > MOST_JOINTS:
        raise DescriptionError(f"{source}: has more than {MOST_JOINTS} joints")
    joints = [_joint(element, source) for element in elements]
    links = [element.get("name", "") for element in root.findall("link")]
    for what, link in (("tool", tool), ("base", base)):
        if link and link not in links:
            raise DescriptionError(
                f"{source}: {what}: there is no link {brief(link)}; there are: {listed(links, 20)}"
            )
    return Chain(_between(joints, source, base, tool))


def _between(joints: list[JointSpec], source: str, base: str, tool: str) -> tuple[JointSpec, ...]:
    above: dict[str, JointSpec] = {}
    for joint in joints:
        if joint.child in above:
            raise DescriptionError(f"{source}: link {brief(joint.child)} has two parents")
        above[joint.child] = joint
    found: list[JointSpec] = []
    link = tool
    while link != base and link in above:
        found.append(above[link])
        link = above[link].parent
        if len(found) > len(joints):
            raise DescriptionError(f"{source}: the links form a ring at {brief(link)}")
    if base and link != base:
        raise DescriptionError(f"{source}: {brief(base)} is not above {brief(tool)}")
    for joint in found:
        if joint.kind not in (*TURNING, *SLIDING, *FIXED):
            kinds = ", ".join((*TURNING, *SLIDING, *FIXED))
            raise DescriptionError(
                f"{source}: joint {joint.name}: type {brief(joint.kind)} is none of {kinds}"
            )
    return tuple(reversed(found))


def _joint(element: ElementTree.Element, source: str) -> JointSpec:
    name = element.get("name", "")
    where = f"{source}: joint {brief(name)}"
    ends = [element.find(part) for part in ("parent", "child")]
    parent, child = ("" if end is None else end.get("link", "") for end in ends)
    if not (name and parent and child):
        raise DescriptionError(f"{where}: name, parent link or child link is missing")
    origin, axis, mimic = (element.find(part) for part in ("origin", "axis", "mimic"))
    place = _numbers(origin, "xyz", (0.0, 0.0, 0.0), where)
    roll, pitch, yaw = _numbers(origin, "rpy", (0.0, 0.0, 0.0), where)
    x, y, z = _numbers(axis, "xyz", (1.0, 0.0, 0.0), where)
    norm = math.hypot(x, y, z)
    if not norm > 0:
        raise DescriptionError(f"{where}: axis is zero")
    driver, multiplier, offset = name, 1.0, 0.0
    if mimic is not None:
        driver = mimic.get("joint", "")
        multiplier, offset = (
            _number(mimic.get(key, usual), key, where)
            for key, usual in (("multiplier", "1"), ("offset", "0"))
        )
    kind = element.get("type", "")
    rotation = _rotation(roll, pitch, yaw)
    return JointSpec(
        name, kind, parent, child, place, rotation, (x / norm, y / norm, z / norm), driver, multiplier, offset
    )


def _numbers(element: ElementTree.Element | None, key: str, usual: Point, where: str) -> Point:
    text = None if element is None else element.get(key)
    if text is None:
        return usual
    words = text.split()
    if len(words) != 3:
        raise DescriptionError(f"{where}: {key} is {brief(text)}; three numbers are needed")
    x, y, z = (_number(word, key, where) for word in words)
    return (x, y, z)


def _number(word: str, key: str, where: str) -> float:
    try:
        number = float(word)
    except ValueError:
        raise DescriptionError(f"{where}: {key}: {brief(word)} is not a number") from None
    if not math.isfinite(number):
        raise DescriptionError(f"{where}: {key}: {brief(word)} is not finite")
    return number


def _rotation(roll: float, pitch: float, yaw: float) -> Rows:
    """Return the rotation matrix of fixed axes: about x, then y, then z."""
    cr, sr, cp, sp, cy, sy = (turn(angle) for angle in (roll, pitch, yaw) for turn in (math.cos, math.sin))
    return (
        (cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr),
        (sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr),
        (-sp, cp * sr, cp * cr),
    )


def _turned(point: Point, axis: Point, angle: float) -> Point:
    """Return the point after a turn about an axis of norm 1 through the origin (Rodrigues' formula)."""
    (px, py, pz), (x, y, z) = point, axis
    c, s = math.cos(angle), math.sin(angle)
    along = (x * px + y * py + z * pz) * (1.0 - c)
    return (
        px * c + (y * pz - z * py) * s + x * along,
        py * c + (z * px - x * pz) * s + y * along,
        pz * c + (x * py - y * px) * s + z * along,
    )
