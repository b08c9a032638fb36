"""Messages of any type, whose numbers the contract names by their paths (`il_ros.core.messages.fields`).

Some standard types have short names for their parts: `force` of a WrenchStamped is `wrench.force`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from il_ros.core import messages
from il_ros.core.codecs.base import FITS, FITS_COMMANDS, Array, Codec, Decoder, Encoder, Selected
from il_ros.core.messages import Message
from il_ros.core.messages import fields as paths
from il_ros.core.messages import values as numbers_at
from il_ros.core.messages.fields import FieldError
from il_ros.core.specs import (
    BOUNDED,
    CHOICE,
    POSE_PARTS,
    TWIST_PARTS,
    XYZ,
    XYZW,
    ActionSpec,
    ObservationSpec,
    Vector,
)
from il_ros.core.strict_yaml import Section
from il_ros.core.tables import counted, listed

UNFIT = {
    "sensor_msgs/msg/PointCloud2": "a point cloud has no fixed number of points in a fixed order",
    "sensor_msgs/msg/PointCloud": "a point cloud has no fixed number of points in a fixed order",
    "nav_msgs/msg/OccupancyGrid": "a map has no fixed number of cells",
    "nav_msgs/msg/Path": "a path has no fixed number of poses",
    "sensor_msgs/msg/MultiEchoLaserScan": "a beam has no fixed number of echoes",
    "visualization_msgs/msg/Marker": "a marker is a drawing",
    "visualization_msgs/msg/MarkerArray": "a marker is a drawing",
}
"""Types that policies cannot read, and why."""


class FieldsCodec(Codec):
    """Any type: `fields` lists paths. Without `fields` an observation is all numbers of a type of fixed size."""

    observed = True
    commanded = True
    unmeasured = True
    joints = True

    def select(self, type_name: str, section: Section) -> Selected:
        """Read `fields`, and `names` for the numbers if they have any."""
        if type_name in UNFIT:
            raise section.error("type", f"{type_name} cannot be observed: {UNFIT[type_name]}; {FITS}")
        chosen = section.texts("fields", required=False)
        elements = _paths_in(type_name, section, chosen, FITS)
        return Selected((), chosen or elements, _named(section, elements))

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the reader of the paths, compiled once."""
        return numbers_at.extractor(spec.type, spec.fields)

    def select_action(self, type_name: str, section: Section, quantity: str) -> Selected:
        """Read `fields`, and `names` for the numbers if they have any; of a choice, for the values of one number."""
        if type_name in UNFIT or not self.commanded:
            why = f": {UNFIT[type_name]}" if type_name in UNFIT else ""
            raise section.error("type", f"{type_name} cannot be commanded{why}; {FITS_COMMANDS}")
        chosen = section.texts("fields", required=False)
        elements = _paths_in(type_name, section, chosen, FITS_COMMANDS)
        if any(number.rotation for number in paths.select(type_name, elements)):
            raise section.error(
                "fields" if chosen else "type",
                f"{type_name} has a rotation there, whose four numbers cannot be limited one by one; command a "
                f"pose as geometry_msgs/msg/PoseStamped",
            )
        kinds = {number.kind for number in paths.select(type_name, elements)}
        if quantity == CHOICE:
            return Selected(_choices(type_name, section, elements, kinds), elements)
        if quantity == BOUNDED and "bool" in kinds:
            raise section.error(
                "quantity", "'bounded' is for numbers; true or false is a choice of two names"
            )
        return Selected(_named(section, elements), elements)

    def decode_command(self, action: ActionSpec, message: Message) -> Vector:
        """Return the numbers at the paths; of a choice, 1 for the chosen name and 0 for the others."""
        values = numbers_at.extractor(action.type, action.paths)(message)
        if action.quantity != CHOICE:
            return values
        place = float(values[0])
        if place not in range(action.size):
            raise ValueError(
                f"{action.paths[0]} is {place:g}; a choice of {counted(action.size, 'name')} is a whole number from 0 "
                f"to {action.size - 1}"
            )
        chosen = np.zeros(action.size)
        chosen[int(place)] = 1.0
        return chosen

    def encoder(self, action: ActionSpec) -> Encoder:
        """Return the maker of a message with the numbers and, if the type has one, a header; all else is zero.

        Of a choice, the number is the place of the name with the largest one, from 0.
        """
        make = _encoder(action, action.paths)
        if action.quantity == CHOICE:
            return lambda values, stamp_ns: make(np.array([float(np.argmax(values))]), stamp_ns)
        return make


def _encoder(action: ActionSpec, selected: tuple[str, ...]) -> Encoder:
    insert, frame_id = numbers_at.inserter(action.type, selected), action.frame_id
    if messages.has_header(action.type):
        return lambda values, stamp_ns: insert(values, header=messages.header(stamp_ns, frame_id))
    return lambda values, stamp_ns: insert(values)


def _paths_in(type_name: str, section: Section, chosen: Sequence[str], fits: str) -> tuple[str, ...]:
    """Return the paths of the numbers that `fields` selects, or all numbers of the type."""
    try:
        numbers = paths.select(type_name, chosen) if chosen else paths.every(type_name)
    except FieldError as error:
        if chosen:
            raise section.error("fields", str(error)) from None
        listed = paths.listed(type_name)
        if listed == "none":
            raise section.error("type", f"{type_name} has no numbers; {fits}") from None
        raise section.error("fields", f"missing; name numbers of {type_name}: {listed} ({error})") from None
    return tuple(number.path for number in numbers)


def _choices(type_name: str, section: Section, elements: tuple[str, ...], kinds: set[str]) -> tuple[str, ...]:
    """Return the `names` of the values of one number: 0 for the first, 1 for the second."""
    if len(elements) != 1:
        raise section.error(
            "fields",
            f"selects {counted(len(elements), 'number')} of {type_name}; a choice is one number, which is the place of "
            "the chosen name",
        )
    names = section.texts("names")
    if kinds == {"bool"} and len(names) != 2:
        raise section.error(
            "names",
            f"has {counted(len(names), 'name')}; two are needed: {elements[0]} is false for the first one",
        )
    return names


def _named(section: Section, elements: tuple[str, ...]) -> tuple[str, ...]:
    """Return `names`, one for each number, or else the paths."""
    names = section.texts("names", required=False)
    if names and len(names) != len(elements):
        raise section.error(
            "names",
            f"has {counted(len(names), 'name')}; selected {'is' if len(elements) == 1 else 'are'} "
            f"{counted(len(elements), 'number')}: {listed(elements, 20)}",
        )
    return names or elements


@dataclass(frozen=True)
class PartsCodec(FieldsCodec):
    """A standard type whose parts have short names.

    `parts`: each part with its axes. `places`: the paths of the parts, where they are others.
    """

    parts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    commanded: bool = False
    unmeasured: bool = False
    quantities: tuple[str, ...] = ("position", "velocity")
    joints: bool = False

    @property
    def elements(self) -> tuple[str, ...]:
        """The names of all numbers: 'linear.x', ..."""
        return tuple(f"{part}.{axis}" for part, axes in self.parts.items() for axis in axes)

    def select(self, type_name: str, section: Section) -> Selected:
        """Read `fields`: parts, single numbers of them, or paths of other numbers."""
        fields = section.texts("fields", required=False) or tuple(self.parts)
        if not any(self._known(part) for part in fields):
            return super().select(type_name, section)
        elements: list[str] = []
        for part in fields:
            if not self._known(part):
                every = ", ".join((*self.parts, *self.elements))
                raise section.error("fields", f"'{part}' is not in {type_name}; of: {every}")
            elements += [name for name in self.elements if part in (name, name.split(".")[0])]
        if len(set(elements)) < len(elements):
            raise section.error("fields", f"{list(fields)} selects a number twice")
        return Selected((), fields, tuple(elements))

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the reader of the numbers, compiled once."""
        if not all(name in self.elements for name in spec.elements):
            return super().decoder(spec)
        return numbers_at.extractor(spec.type, self._paths(spec.elements))

    def select_action(self, type_name: str, section: Section, quantity: str) -> Selected:
        """Read `names`: the numbers that are commanded; by default all."""
        if not self.commanded:
            return super().select_action(type_name, section, quantity)
        names = section.texts("names", required=False) or self.elements
        for name in names:
            if name not in self.elements:
                raise section.error(
                    "names", f"'{name}' is not in {type_name}; of: {', '.join(self.elements)}"
                )
        return Selected(names)

    def decode_command(self, action: ActionSpec, message: Message) -> Vector:
        """Return the commanded numbers."""
        return numbers_at.extractor(action.type, self._paths(action.names))(message)

    def encoder(self, action: ActionSpec) -> Encoder:
        """Return the maker of a message with the numbers; the others are zero."""
        return _encoder(action, self._paths(action.names))

    def _known(self, part: str) -> bool:
        return part in self.parts or part in self.elements

    def _paths(self, names: Sequence[str]) -> tuple[str, ...]:
        found = []
        for name in names:
            part, _, axis = name.partition(".")
            found.append(f"{self.places.get(part, part)}.{axis}")
        return tuple(found)


@dataclass(frozen=True)
class PoseCodec(PartsCodec):
    """PoseStamped: commanded completely, with an orientation of length 1."""

    commanded: bool = True
    quantities: tuple[str, ...] = ("position",)

    def select_action(self, type_name: str, section: Section, quantity: str) -> Selected:
        """Read `names`, which are all numbers of the pose."""
        selection = super().select_action(type_name, section, quantity)
        if selection.names != self.elements:
            raise section.error(
                "names", f"a pose must be commanded completely: omit names, or use {list(self.elements)}"
            )
        return selection

    def encoder(self, action: ActionSpec) -> Encoder:
        """Return the maker of a pose, which raises ValueError when its orientation is zero."""
        make = super().encoder(action)

        def encode(values: Vector, stamp_ns: int) -> Message:
            norm = float(np.linalg.norm(values[3:]))
            if norm < 1e-6:
                raise ValueError("the orientation quaternion is zero")
            return make(np.concatenate([values[:3], values[3:] / norm]), stamp_ns)

        return encode


class RangeCodec(FieldsCodec):
    """A distance sensor: `range`, within what it can measure. By REP 117, +inf means nothing there, -inf too near."""

    commanded = False
    unmeasured = False
    joints = False

    def select(self, type_name: str, section: Section) -> Selected:
        """Read `fields`; by default it is the range."""
        if "fields" in section:
            return super().select(type_name, section)
        return Selected((), ("range",), ("range",))

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the reader of the numbers."""
        read = super().decoder(spec)
        place = spec.fields.index("range") if "range" in spec.fields else None

        def decode(message: Message) -> Array:
            values = read(message)
            if place is not None and math.isinf(values[place]):
                values[place] = message.max_range if values[place] > 0 else message.min_range
            return values

        return decode


POSE_STAMPED = PoseCodec(POSE_PARTS, {part: f"pose.{part}" for part in POSE_PARTS})
TWIST = PartsCodec(TWIST_PARTS, commanded=True, quantities=("velocity",))
TWIST_STAMPED = PartsCodec(
    TWIST_PARTS, {part: f"twist.{part}" for part in TWIST_PARTS}, commanded=True, quantities=("velocity",)
)
IMU = PartsCodec({"orientation": XYZW, "angular_velocity": XYZ, "linear_acceleration": XYZ})
WRENCH_STAMPED = PartsCodec(
    {"force": XYZ, "torque": XYZ}, {"force": "wrench.force", "torque": "wrench.torque"}
)
ODOMETRY = PartsCodec(
    {**POSE_PARTS, **TWIST_PARTS},
    {part: f"pose.pose.{part}" for part in POSE_PARTS}
    | {part: f"twist.twist.{part}" for part in TWIST_PARTS},
)
