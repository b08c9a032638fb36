"""Fast packing and unpacking of a proposal's CDR bytes, without a message object per step of the chunk.

The general serialiser takes several milliseconds for a chunk of 100 steps, on both sides of every tick. All
points have the same size, so this module handles them as one array. Tests compare the bytes with those of the
general serialiser. The general reader decodes all other layouts, and reports the errors.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from il_ros.core.specs import Vector

_LITTLE_ENDIAN = b"\x00\x01\x00\x00"
_FRONT = struct.Struct("<4siII")  # encapsulation; stamp: seconds, nanoseconds; length of frame_id
_COUNT = struct.Struct("<I")
_COUNTS = struct.Struct("<II")  # points; positions of the first point


class Parts(NamedTuple):
    """The fields of a proposal's message; `chunk` is (H, A)."""

    frame_id: str
    stamp_ns: int
    chunk: Vector


def pack(frame_id: str, stamp_ns: int, names: Sequence[str], chunk: Vector, period_ns: int) -> bytes:
    """Return the CDR bytes of a JointTrajectory with `chunk` (H, A) as positions, one period apart."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    text = frame_id.encode() + b"\x00"
    head = _FRONT.pack(_LITTLE_ENDIAN, seconds, nanoseconds, len(text)) + text
    head += bytes(-len(head) % 4) + _names(tuple(names)) + _COUNTS.pack(*chunk.shape)
    if len(chunk) == 1:
        tail = _between(1, chunk.shape[1], period_ns)[:-4]
        return head + bytes((4 - len(head)) % 8) + chunk.astype("<f8").tobytes() + tail
    rows = _rows(chunk.shape[0], chunk.shape[1], period_ns).copy()
    rows["positions"] = chunk
    packed: bytes = head + bytes((4 - len(head)) % 8) + rows.tobytes()[:-4]
    return packed


def unpack(raw: bytes, names: Sequence[str], period_ns: int) -> Parts | None:
    """Return the parts of a message with exactly the layout of `pack`; None for any other layout."""
    if len(raw) < _FRONT.size or raw[:2] != _LITTLE_ENDIAN[:2]:
        return None
    _, seconds, nanoseconds, length = _FRONT.unpack_from(raw)
    text_end = _FRONT.size + length
    block = _names(tuple(names))
    block_start = text_end + -text_end % 4
    counts_start = block_start + len(block)
    start = counts_start + _COUNTS.size
    if length < 1 or len(raw) < start or raw[block_start:counts_start] != block:
        return None
    steps, size = _COUNTS.unpack_from(raw, counts_start)
    start += (4 - start) % 8
    end = start + steps * _row(len(names)).itemsize - 4
    if steps < 1 or size != len(names) or len(raw) < end:
        return None
    try:
        frame_id = raw[_FRONT.size : text_end - 1].decode()
    except UnicodeDecodeError:
        return None
    if steps == 1:
        if raw[start + 8 * size : end] != _between(1, size, period_ns)[:-4]:
            return None
        chunk = np.frombuffer(raw, "<f8", size, start).reshape(1, size).astype(np.float64)
        return Parts(frame_id, seconds * 1_000_000_000 + nanoseconds, chunk)
    found = np.frombuffer(raw[start:end] + _COUNT.pack(size), np.uint8).reshape(steps, -1)
    if found[:, 8 * size :].tobytes() != _between(steps, size, period_ns):
        return None
    chunk = np.ascontiguousarray(found[:, : 8 * size]).view("<f8").astype(np.float64, copy=False)
    return Parts(frame_id, seconds * 1_000_000_000 + nanoseconds, chunk)


@lru_cache
def _names(names: tuple[str, ...]) -> bytes:
    """Return the CDR bytes of joint_names; they start and end aligned to four bytes."""
    block = struct.pack("<I", len(names))
    for name in names:
        text = name.encode() + b"\x00"
        block += struct.pack("<I", len(text)) + text + bytes(-len(text) % 4)
    return block


@lru_cache
def _row(size: int) -> np.dtype[Any]:
    """Return the type of one point: from its first position (8-byte aligned) to the next point's count."""
    return np.dtype(
        [
            ("positions", "<f8", (size,)),
            ("others", "<u4", (3,)),  # lengths of velocities, accelerations, effort
            ("sec", "<i4"),
            ("nanosec", "<u4"),
            ("next", "<u4"),
        ]
    )


@lru_cache
def _between(steps: int, size: int, period_ns: int) -> bytes:
    """Return the bytes between the positions of a chunk's steps."""
    rows = _rows(steps, size, period_ns).view(np.uint8).reshape(steps, -1)
    between: bytes = rows[:, 8 * size :].tobytes()
    return between


@lru_cache
def _rows(steps: int, size: int, period_ns: int) -> np.ndarray[Any, np.dtype[Any]]:
    """Return the points of a chunk without the positions."""
    rows = np.zeros(steps, _row(size))
    after_ns = np.arange(steps, dtype=np.int64) * period_ns
    rows["sec"], rows["nanosec"] = np.divmod(after_ns, 1_000_000_000)
    rows["next"] = size
    return rows
