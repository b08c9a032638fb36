"""Fast decoding of a JointState's CDR bytes, which every tick of an arm needs.

Full decoding takes longer than a small policy. A driver sends the same names in the same order each time, so
the position of each joint is determined once. The general codec handles all other cases (big-endian, a
missing joint, a joint named twice, a field of another length, NaN) and reports the errors; tests compare the
two.
"""

from __future__ import annotations

import struct

import numpy as np

from il_ros.core.specs import JOINT_FIELDS, ObservationSpec, Vector

_COUNT = struct.Struct("<I")
_LENGTH_OF_FRAME_ID = 12  # after the encapsulation (4) and the stamp (8)


class JointStateReader:
    """Reads the values of `spec` from JointState bytes; caches the last layout of names."""

    def __init__(self, spec: ObservationSpec) -> None:
        self._wanted, self._fields = spec.names, spec.fields
        self._names = b""
        self._count = 0
        self._index = np.zeros(0, np.intp)

    def read(self, raw: bytes) -> Vector | None:
        """Return the numbers (D,) in the order of the spec; None when the general codec must decode."""
        try:
            return self._read(raw)
        except (struct.error, ValueError, UnicodeDecodeError):  # truncated
            return None

    def _read(self, raw: bytes) -> Vector | None:
        if raw[:2] != b"\x00\x01":
            return None
        (length,) = _COUNT.unpack_from(raw, _LENGTH_OF_FRAME_ID)
        start = _aligned(_LENGTH_OF_FRAME_ID + 4 + length, 4)
        if not (self._names and raw.startswith(self._names, start)) and not self._find_joints(raw, start):
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

    def _find_joints(self, raw: bytes, start: int) -> bool:
        """Find the column of each joint in this order of names; return False when one is missing."""
        (count,) = _COUNT.unpack_from(raw, start)
        place, columns = start + 4, {}
        for column in range(count):
            (length,) = _COUNT.unpack_from(raw, place)
            end = place + 4 + length
            if length < 1 or end > len(raw):
                return False
            name = raw[place + 4 : end - 1].decode()
            if name in columns:
                return False  # the general codec says whether its value is needed
            columns[name] = column
            place = _aligned(end, 4)
        if any(name not in columns for name in self._wanted):
            return False
        self._names, self._count = raw[start:place], count
        self._index = np.array([columns[name] for name in self._wanted], np.intp)
        return True


def _aligned(place: int, size: int) -> int:
    """Return the next offset aligned to `size` bytes, counted from the end of the encapsulation."""
    return place + (4 - place) % size
