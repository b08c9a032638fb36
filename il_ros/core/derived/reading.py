"""Parsing and validation of a contract's section `derived`."""

from __future__ import annotations

from collections.abc import Mapping

from il_ros.core.derived import OPERATIONS, DerivedSpec, Part
from il_ros.core.specs import ObservationSpec, orientations_in
from il_ros.core.strict_yaml import Section
from il_ros.core.tables import counted, listed

_ANGLES = ("rad", "deg")


def read_derived(
    section: Section | None, observations: Mapping[str, ObservationSpec]
) -> tuple[DerivedSpec, ...]:
    """Read the derived observations, in the file's order; without a section there are none.

    Raises YamlError naming the field on an unknown operation or key, on parts that do not fit together, and on derived
    observations that depend on themselves.
    """
    if section is None:
        return ()
    reading = _Reading(section, observations)
    made = tuple(reading.spec(key) for key in section.keys)
    section.done()
    return made


class _Reading:
    """The specs read so far, and those being read, which a cycle leads back to."""

    def __init__(self, section: Section, observations: Mapping[str, ObservationSpec]) -> None:
        self._section, self._observations = section, observations
        self._made: dict[str, DerivedSpec] = {}
        self._begun: list[str] = []

    def spec(self, key: str) -> DerivedSpec:
        if key in self._made:
            return self._made[key]
        if not key.replace("_", "").isalnum():
            raise self._section.error(key, "a key may contain letters, digits and underscores only")
        if key in self._observations:
            raise self._section.error(key, "is an observation already; choose another name")
        self._begun.append(key)
        own = self._section.section(key)
        assert own is not None
        given = [name for name in OPERATIONS if name in own]
        if len(given) != 1:
            what = f"has {' and '.join(given)}" if given else "has no operation"
            raise self._section.error(key, f"{what}; exactly one is needed of: {', '.join(OPERATIONS)}")
        (operation,) = given
        made: DerivedSpec = getattr(self, f"_{operation}")(key, own)
        own.done()
        self._begun.pop()
        self._made[key] = made
        return made

    def _difference(self, key: str, own: Section) -> DerivedSpec:
        first, second = self._two(own, "difference", "minuend and subtrahend, such as [object, hand]")
        if len(first.columns) != len(second.columns):
            raise own.error(
                "difference",
                f"'{own.texts('difference')[0]}' has {_some(first)} and "
                f"'{own.texts('difference')[1]}' has {_some(second)}; both need equally many, "
                "such as object/position and hand/position",
            )
        if orientations_in(first.elements) or orientations_in(second.elements):
            raise own.error(
                "difference",
                "an orientation has no difference; take the positions only, such as object/position, or use in_frame",
            )
        units = self._common(own, "difference", first, second)
        turns = [float(max(one, other)) for one, other in zip(first.turns, second.turns, strict=True)]
        names = tuple(
            one if one == other else f"{one}-{other}"
            for one, other in zip(first.elements, second.elements, strict=True)
        )
        return DerivedSpec(key, "difference", (first, second), names, units, tuple(turns))

    def _in_frame(self, key: str, own: Section) -> DerivedSpec:
        thing, frame = self._two(
            own, "in_frame", "a pose or point, and the pose of the frame, such as [object, hand]"
        )
        name, other = own.texts("in_frame")
        frame = _pose(frame)
        if len(frame.columns) != 7:
            raise own.error(
                "in_frame",
                f"'{other}' is no frame: it has {_some(frame)}; position and orientation (x y z w) are needed",
            )
        thing = _pose(thing)
        if len(thing.columns) not in (3, 7):
            raise own.error(
                "in_frame",
                f"'{name}' has {_some(thing)}; a position (x y z), or a position and "
                "an orientation (x y z w) are needed",
            )
        self._common(own, "in_frame", _only(thing, 3), _only(frame, 3))
        names = [f"position.{axis}" for axis in "xyz"]
        units = list(_only(thing, 3).units)
        if len(thing.columns) == 7:
            names += [f"orientation.{axis}" for axis in "xyzw"]
            units += ["1"] * 4
        return DerivedSpec(key, "in_frame", (thing, frame), tuple(names), tuple(units), (0.0,) * len(names))

    def _norm(self, key: str, own: Section) -> DerivedSpec:
        part = self._part(own, "norm", own.text("norm"))
        if orientations_in(part.elements):
            raise own.error(
                "norm", "has an orientation, whose norm is 1; take a part, such as object/position"
            )
        different = sorted(set(part.units))
        if len(different) > 1:
            raise own.error(
                "norm",
                f"has numbers of several units ({', '.join(map(_unit, different))}); take a part of one unit",
            )
        return DerivedSpec(key, "norm", (part,), ("norm",), tuple(different), (0.0,))

    def _cos_sin(self, key: str, own: Section) -> DerivedSpec:
        part = self._part(own, "cos_sin", own.text("cos_sin"))
        for element, unit in zip(part.elements, part.units, strict=True):
            if unit not in _ANGLES:
                raise own.error(
                    "cos_sin",
                    f"{element} is in {_unit(unit)}; an angle in rad or deg is needed: declare the observation's unit",
                )
        names = [f"{function}.{element}" for function in ("cos", "sin") for element in part.elements]
        return DerivedSpec(key, "cos_sin", (part,), tuple(names), ("1",) * len(names), (0.0,) * len(names))

    def _two(self, own: Section, field: str, what: str) -> tuple[Part, Part]:
        given = own.texts(field)
        if len(given) != 2:
            raise own.error(field, f"has {counted(len(given), 'name')}; two are needed: {what}")
        return self._part(own, field, given[0]), self._part(own, field, given[1])

    def _part(self, own: Section, field: str, text: str) -> Part:
        """Return the numbers that `key` or `key/part` names."""
        key, _, part = text.partition("/")
        source: ObservationSpec | DerivedSpec
        if key in self._observations:
            source = self._observations[key]
        elif key in self._section:
            if key in self._begun:
                way = " -> ".join([*self._begun[self._begun.index(key) :], key])
                raise own.error(field, f"'{key}' depends on itself: {way}")
            source = self.spec(key)
        else:
            known = ", ".join([*self._observations, *self._section.keys])
            raise own.error(field, f"'{key}' is neither observed nor derived; there are: {known}")
        if source.kind != "numeric":
            raise own.error(
                field, f"'{key}' is {'a text' if source.kind == 'text' else 'a camera'}; numbers are needed"
            )
        columns = tuple(
            place
            for place, element in enumerate(source.elements)
            if not part or element == part or element.startswith((f"{part}/", f"{part}."))
        )
        if not columns:
            raise own.error(field, f"'{key}' has no '{part}'; it has: {listed(source.elements, 20)}")
        return Part(source, columns)

    @staticmethod
    def _common(own: Section, field: str, first: Part, second: Part) -> tuple[str, ...]:
        """Return the units of both parts; raises YamlError where both are known and differ."""
        for one, other, name in zip(first.units, second.units, first.elements, strict=True):
            if one and other and one != other:
                raise own.error(
                    field, f"{name} is in {one} here and in {other} there; both need the same unit"
                )
        return tuple(one or other for one, other in zip(first.units, second.units, strict=True))


def _pose(part: Part) -> Part:
    """Return the position and orientation among the numbers of a part, or the part itself if it has no orientation."""
    elements = part.elements
    turned = orientations_in(elements)
    positions = [
        first
        for first in range(len(elements) - 2)
        if [name.rpartition(".")[2] for name in elements[first : first + 3]] == ["x", "y", "z"]
        and first not in turned
        and not any(start < first < start + 4 for start in turned)
    ]
    if len(turned) != 1 or not positions:
        return part
    places = [*range(positions[0], positions[0] + 3), *range(turned[0], turned[0] + 4)]
    return Part(part.source, tuple(part.columns[place] for place in places))


def _only(part: Part, count: int) -> Part:
    return Part(part.source, part.columns[:count])


def _some(part: Part) -> str:
    names = ", ".join(part.elements[:7]) + (", ..." if len(part.columns) > 7 else "")
    return f"{counted(len(part.columns), 'number')} ({names})"


def _unit(unit: str) -> str:
    return unit or "an unknown unit"
