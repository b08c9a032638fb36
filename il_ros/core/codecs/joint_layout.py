"""Which joints a JointState message has, and where, from its CDR bytes without decoding it.

A driver sends the same names in the same order each time, so a layout is found once and then recognised.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from il_ros.core.specs import JOINT_FIELDS, Vector
from il_ros.core.tables import counted

FRAME_ID_AT = 12
"""Place of the frame id: after the encapsulation (4) and the stamp (8)."""
_MOST_SHOWN = 8
_LITTLE, _BIG = struct.Struct("<I"), struct.Struct(">I")


@dataclass(frozen=True, eq=False)
class JointLayout:
    """The layout of a JointState message.

    `counts`: number of positions, velocities and efforts. `prefix`: the bytes from the frame id up to the first
    count. `big`: the numbers are big-endian.
    """

    frame_id: str
    names: tuple[str, ...]
    counts: tuple[int, int, int]
    prefix: bytes
    big: bool = False

    @property
    def key(self) -> tuple[object, ...]:
        """What two layouts of the same form have in common; the padding between names may differ."""
        return self.frame_id, self.names, self.counts, self.big

    @property
    def source(self) -> tuple[str, tuple[str, ...]]:
        """What identifies the publisher as far as can be known: frame id and names, in their order."""
        return self.frame_id, self.names

    @cached_property
    def joints(self) -> frozenset[str]:
        """The names."""
        return frozenset(self.names)

    @cached_property
    def columns(self) -> dict[str, int]:
        """The index of each name; of one that occurs twice, the last."""
        return {name: column for column, name in enumerate(self.names)}

    def has(self, field: str, name: str) -> bool:
        """Return whether the message says `field` (position, velocity or effort) of the joint `name`."""
        return name in self.joints and self.counts[JOINT_FIELDS.index(field)] > 0

    def value(self, raw: bytes, field: str, name: str) -> float:
        """Return one number; raises ValueError when its joint is named twice or the counts do not fit."""
        if self.names.count(name) > 1:
            raise ValueError(f"joint '{name}' is named twice, so its value is unknown")
        values = self.read(raw, field)
        if len(values) != len(self.names):
            raise ValueError(
                f"{counted(len(self.names), 'name')} but {counted(len(values), 'value')} of '{field}'"
            )
        return float(values[self.columns[name]])

    def matches(self, raw: bytes) -> bool:
        """Return whether a message has this layout."""
        length, (first, second, third) = self._count_places
        return (
            len(raw) >= length
            and raw[1] & 1 != self.big
            and raw.startswith(self.prefix, FRAME_ID_AT)
            and raw.startswith(*first)
            and raw.startswith(*second)
            and raw.startswith(*third)
        )

    @cached_property
    def _count_places(self) -> tuple[int, tuple[tuple[bytes, int], ...]]:
        """The least length of a message, and the bytes of the three counts with their places."""
        order, place = _BIG if self.big else _LITTLE, FRAME_ID_AT + len(self.prefix)
        found = []
        for count in self.counts:
            place = aligned(place, 4)
            found.append((order.pack(count), place))
            place += 4
            if count:
                place = aligned(place, 8) + 8 * count
        return place, tuple(found)

    def read(self, raw: bytes, field: str) -> Vector:
        """Return all numbers of a field (count,), for a message that matches."""
        count = self.counts[JOINT_FIELDS.index(field)]
        if not count:
            return np.zeros(0)
        return np.frombuffer(raw, ">f8" if self.big else "<f8", count, self.place(field))

    def place(self, field: str) -> int:
        """Return the place of the first number of a field in a message that matches, which must have some."""
        return self._places[field]

    @cached_property
    def _places(self) -> dict[str, int]:
        places, place = {}, FRAME_ID_AT + len(self.prefix)
        for name, count in zip(JOINT_FIELDS, self.counts, strict=True):
            place += 4
            if count:
                places[name] = place = aligned(place, 8)
                place += 8 * count
        return places

    def __str__(self) -> str:
        shown = ", ".join(self.names[:_MOST_SHOWN]) + (", ..." if len(self.names) > _MOST_SHOWN else "")
        return f"[{shown}]" + (f" in frame '{self.frame_id}'" if self.frame_id else "")


def find_layout(raw: bytes) -> JointLayout | None:
    """Return the layout of a message; None when the bytes are not a whole JointState."""
    if len(raw) < FRAME_ID_AT or raw[0] != 0 or raw[1] > 1:
        return None
    big = raw[1] == 0
    count = _BIG if big else _LITTLE
    try:
        frame_id, place = _text(raw, FRAME_ID_AT, count)
        place = aligned(place, 4)
        (number,) = count.unpack_from(raw, place)
        place += 4
        names = []
        for _ in range(number):
            name, place = _text(raw, aligned(place, 4), count)
            names.append(name)
        place = aligned(place, 4)
        counts = _counts(raw, place, big)
    except (struct.error, ValueError):
        return None
    return (
        None if counts is None else JointLayout(frame_id, tuple(names), counts, raw[FRAME_ID_AT:place], big)
    )


def aligned(place: int, size: int) -> int:
    """Return the next offset aligned to `size` bytes, counted from the end of the encapsulation."""
    return place + (4 - place) % size


def _counts(raw: bytes, place: int, big: bool) -> tuple[int, int, int] | None:
    """Return the numbers of positions, velocities and efforts; None when the message ends before its last number."""
    found = []
    count = _BIG if big else _LITTLE
    for _ in JOINT_FIELDS:
        place = aligned(place, 4)
        if place + 4 > len(raw):
            return None
        (number,) = count.unpack_from(raw, place)
        place += 4
        if number:
            place = aligned(place, 8) + 8 * number
        found.append(number)
    return None if place > len(raw) else (found[0], found[1], found[2])


def _text(raw: bytes, place: int, count: struct.Struct) -> tuple[str, int]:
    """Return the text at `place` and the place after it; raises ValueError when it is cut off or not UTF-8."""
    (length,) = count.unpack_from(raw, place)
    end = place + 4 + length
    if length < 1 or end > len(raw):
        raise ValueError("a text is cut off")
    return raw[place + 4 : end - 1].decode(), end
