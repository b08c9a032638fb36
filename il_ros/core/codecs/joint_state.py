"""Numbers straight out of a JointState's CDR bytes: the message that every tick of an arm begins with.

Decoding it in full costs more than a small policy. A driver sends the same names in the same order each time,
so where each joint lies is found once. Whatever is unusual (big-endian, a missing joint, a field of another
length, NaN) is left to the general codec, which has the words for it; tests hold the two equal.
"""

from __future__ import annotations

import struct

import numpy as np

from il_ros.core.specs import JOINT_FIELDS, ObservationSpec, Vector

_COUNT = struct.Struct("<I")
_LENGTH_OF_FRAME_ID = 12  # after the encapsulation (4) and the stamp (8)


class JointStateReader:
    """Reads what `spec` wants from JointState bytes; remembers the last layout of names."""

    def __init__(self, spec: ObservationSpec) -> None:
        self._wanted, self._fields = spec.names, spec.fields
        self._names = b""
        self._count = 0
        self._index = np.zeros(0, np.intp)

    def read(self, raw: bytes) -> Vector | None:
        """Return the numbers (D,) in the order of the spec; None when the general codec must look."""
        try:
            return self._read(raw)
        except (struct.error, ValueError, UnicodeDecodeError):  # cut short
            return None

    def _read(self, raw: bytes) -> Vector | None:
        if raw[:2] != b"\x00\x01":
            return None
        (length,) = _COUNT.unpack_from(raw, _LENGTH_OF_FRAME_ID)
        start = _aligned(_LENGTH_OF_FRAME_ID + 4 + length, 4)
        if not (self._names and raw.startswith(self._names, start)) and not self._learn(raw, start):
            return None
        place = start + len(self._names)
        values = {}
        for field in JOINT_FIELDS:
            (count,) = _COUNT.unpack_from(raw, place)
            place += 4
            if count:
                place = _aligned(place, 8)
                values[field] = np.frombuffer(raw, "<f8", count, place)
                place += 8 * count
        parts = [values[field] for field in self._fields if field in values]
        if len(parts) < len(self._fields) or any(len(part) != self._count for part in parts):
            return None
        numbers = np.concatenate([part[self._index] for part in parts])
        return numbers if np.isfinite(numbers).all() else None

    def _learn(self, raw: bytes, start: int) -> bool:
        """Find where the wanted joints lie in this order of names; False when one of them doesn't."""
        (count,) = _COUNT.unpack_from(raw, start)
        place, columns = start + 4, {}
        for column in range(count):
            (length,) = _COUNT.unpack_from(raw, place)
            end = place + 4 + length
            if length < 1 or end > len(raw):
                return False
            columns[raw[place + 4 : end - 1].decode()] = column
            place = _aligned(end, 4)
        if any(name not in columns for name in self._wanted):
            return False
        self._names, self._count = raw[start:place], count
        self._index = np.array([columns[name] for name in self._wanted], np.intp)
        return True


def _aligned(place: int, size: int) -> int:
    """Return the next place on a boundary of `size`, counted from the end of the encapsulation."""
    return place + (4 - place) % size
