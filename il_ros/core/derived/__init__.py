"""Derived observations: numbers computed from observations at a tick, by the same code live and offline.

The difference of two positions, a pose in the frame of another one, a norm, cosine and sine of an angle. They are
inputs of policies like observations, but no streams: nothing records, caches or exports them, so they can be added to
the contract of episodes that exist. All functions take one observation or an episode's arrays; each number of an
episode is the number of the single observation, bit for bit, because only element-wise operations are used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from il_ros.core.specs import ObservationSpec, Vector, shortest
from il_ros.core.units import groups_of, units_of

Array = np.ndarray[Any, Any]

OPERATIONS = ("difference", "in_frame", "norm", "cos_sin")


@dataclass(frozen=True)
class Part:
    """Some numbers of an observation or of a derived observation: the `columns` of its D numbers."""

    source: ObservationSpec | DerivedSpec
    columns: tuple[int, ...]

    @property
    def elements(self) -> tuple[str, ...]:
        """The name of each number."""
        return tuple(self.source.elements[column] for column in self.columns)

    @property
    def units(self) -> tuple[str, ...]:
        """The unit of each number, "" if unknown."""
        of = units(self.source)
        return tuple(of[column] for column in self.columns)

    @property
    def turns(self) -> Vector:
        """The whole turn of each number that is an angle without end, 0 for the others."""
        return self.source.turns[list(self.columns)]

    def numbers(self, observations: Mapping[str, Array]) -> list[Array]:
        """Return each number of one observation, or of an episode (T,), as contiguous float64.

        Raises KeyError on a missing source, ValueError on one of another size.
        """
        source = self.source
        if isinstance(source, DerivedSpec):
            values = source.value(observations)
        else:
            values = np.asarray(observations[source.key], dtype=np.float64)
            if values.shape[-1:] != source.shape:
                raise ValueError(f"observation '{source.key}' is {values.shape}; {source.shape} is required")
        return [np.array(values[..., column]) for column in self.columns]


@dataclass(frozen=True)
class DerivedSpec:
    """One derived observation: `operation` (of `OPERATIONS`) on `parts`.

    `elements` and `units`: name and unit of each of its D numbers. `angles`: the whole turn of each number that is an
    angle without end, else 0.
    """

    key: str
    operation: str
    parts: tuple[Part, ...]
    elements: tuple[str, ...]
    units: tuple[str, ...]
    angles: tuple[float, ...]
    kind: str = "numeric"

    @property
    def shape(self) -> tuple[int, ...]:
        """(D,)."""
        return (len(self.elements),)

    @property
    def size(self) -> int:
        """Count of numbers D."""
        return len(self.elements)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """float64."""
        return np.dtype(np.float64)

    @cached_property
    def turns(self) -> Vector:
        """`angles` as an array (D,)."""
        return np.array(self.angles)

    @cached_property
    def sources(self) -> tuple[ObservationSpec, ...]:
        """The observations from which it is computed, also through other derived ones."""
        found: dict[str, ObservationSpec] = {}
        for part in self.parts:
            found |= {spec.key: spec for spec in sources(part.source)}
        return tuple(found.values())

    @property
    def formula(self) -> str:
        """The computation as a text, such as 'difference(object/position.x, hand/position.x)'; equal ones are equal."""
        inner = [
            f"{part.source.formula}[{part.columns}]" if isinstance(part.source, DerivedSpec) else _names(part)
            for part in self.parts
        ]
        return f"{self.operation}({', '.join(inner)})"

    def value(self, observations: Mapping[str, Array]) -> Vector:
        """Return the numbers (D,) of one observation, or (T, D) of an episode's arrays.

        Raises KeyError on a missing source, ValueError on one of another size. Where a number of a source is NaN, so is
        what is computed from it.
        """
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # the reader rejects what is not finite, and names it
            numbers = _COMPUTE[self.operation](self, observations)
        return np.stack(numbers, axis=-1)


def _names(part: Part) -> str:
    return " ".join(f"{part.source.key}/{element}" for element in part.elements)


def _difference(spec: DerivedSpec, observations: Mapping[str, Array]) -> list[Array]:
    first, second = (part.numbers(observations) for part in spec.parts)
    return [
        shortest((one - other)[..., None], np.array([turn]))[..., 0] if turn else one - other
        for one, other, turn in zip(first, second, spec.angles, strict=True)
    ]


def _in_frame(spec: DerivedSpec, observations: Mapping[str, Array]) -> list[Array]:
    """Return the pose or the point of the first part in the frame of the pose of the second one."""
    thing, frame = (part.numbers(observations) for part in spec.parts)
    back = _conjugate(_unit(frame[3:]))
    position = _rotated(back, [one - other for one, other in zip(thing[:3], frame[:3], strict=True)])
    return position if len(thing) == 3 else [*position, *_product(back, _unit(thing[3:]))]


def _norm(spec: DerivedSpec, observations: Mapping[str, Array]) -> list[Array]:
    total: Array = np.asarray(0.0)
    for number in spec.parts[0].numbers(observations):
        total = total + number * number  # column by column: the order of a sum must not depend on the shape
    return [np.sqrt(total)]


def _cos_sin(spec: DerivedSpec, observations: Mapping[str, Array]) -> list[Array]:
    (part,) = spec.parts
    in_rad = [
        number * (np.pi / 180) if unit == "deg" else number
        for number, unit in zip(part.numbers(observations), part.units, strict=True)
    ]
    return [np.cos(angle) for angle in in_rad] + [np.sin(angle) for angle in in_rad]


def sources(spec: ObservationSpec | DerivedSpec) -> tuple[ObservationSpec, ...]:
    """Return the observations that an input is computed from; that of an observation is itself."""
    return spec.sources if isinstance(spec, DerivedSpec) else (spec,)


def units(spec: ObservationSpec | DerivedSpec) -> tuple[str, ...]:
    """Return the unit of each number of an observation or a derived one, "" if unknown."""
    return spec.units if isinstance(spec, DerivedSpec) else units_of(spec)


def groups(spec: ObservationSpec | DerivedSpec) -> tuple[str, ...]:
    """Return the unit group of each number, see `il_ros.core.units`; of a derived one: those of one known unit."""
    if not isinstance(spec, DerivedSpec):
        return groups_of(spec)
    return tuple(
        f"{spec.key} [{unit}]" if unit else f"{spec.key}/{element}"
        for element, unit in zip(spec.elements, spec.units, strict=True)
    )


_COMPUTE: dict[str, Callable[[DerivedSpec, Mapping[str, Array]], list[Array]]] = dict(
    zip(OPERATIONS, (_difference, _in_frame, _norm, _cos_sin), strict=True)
)


def completed(
    specs: Iterable[ObservationSpec | DerivedSpec], observations: Mapping[str, Array]
) -> Mapping[str, Array]:
    """Return the observations and the values of those of `specs` that are derived and not among them.

    Raises KeyError and ValueError as `DerivedSpec.value`.
    """
    found = {
        spec.key: spec.value(observations)
        for spec in specs
        if isinstance(spec, DerivedSpec) and spec.key not in observations
    }
    return {**observations, **found} if found else observations


def _unit(quaternion: list[Array]) -> list[Array]:
    """Return x y z w divided by the norm; zeros, which some drivers send for "no orientation", are the identity."""
    x, y, z, w = quaternion
    norm = np.sqrt(x * x + y * y + z * z + w * w)
    none = norm == 0
    scale = np.where(none, 1.0, norm)
    return [x / scale, y / scale, z / scale, np.where(none, 1.0, w / scale)]


def _conjugate(quaternion: list[Array]) -> list[Array]:
    x, y, z, w = quaternion
    return [-x, -y, -z, w]


def _product(first: list[Array], second: list[Array]) -> list[Array]:
    ax, ay, az, aw = first
    bx, by, bz, bw = second
    return [
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    ]


def _rotated(quaternion: list[Array], vector: list[Array]) -> list[Array]:
    """Return a vector after the rotation: v + 2 u x (u x v + w v), with u = (x, y, z)."""
    ux, uy, uz, w = quaternion
    x, y, z = vector
    cx, cy, cz = uy * z - uz * y + w * x, uz * x - ux * z + w * y, ux * y - uy * x + w * z
    return [x + 2 * (uy * cz - uz * cy), y + 2 * (uz * cx - ux * cz), z + 2 * (ux * cy - uy * cx)]
