"""Decoding of compressedDepth (compressed_depth_image_transport): a header of twelve bytes, then png or RVL.

The header holds the kind of quantisation (int32) and its two parameters (float32). 16UC1 holds millimetres. 32FC1
holds inverse depth d in 16 bits: depth = a / (d - b) metres with the parameters a and b, and 0 without measurement.
RVL (Wilson 2017, "Fast Lossless Depth Image Compression") begins with width and height (uint32 each).
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from il_ros.core.messages import Message
from il_ros.core.tables import counted

Array = np.ndarray[Any, Any]

TRANSPORT = "compressedDepth"
_HEADER = struct.Struct("<iff")
_SIZE = struct.Struct("<II")
_MOST_NIBBLES = 11  # of one number: 32 bits in groups of three


class DepthPayload:
    """The content of a compressedDepth message behind its header.

    Raises ValueError when the header is cut off or its parameters are not usable.
    """

    def __init__(self, message: Message) -> None:
        raw = bytes(message.data)
        if len(raw) < _HEADER.size:
            raise ValueError(
                f"{counted(len(raw), 'byte')} are too few for {TRANSPORT}: its header alone takes {_HEADER.size}"
            )
        words = str(message.format)
        self.raw = raw[_HEADER.size :]
        self.is_rvl = "rvl" in words.partition(TRANSPORT)[2]
        self._inverse = words.strip().startswith("32FC1")
        _, self._a, self._b = _HEADER.unpack_from(raw)
        if self._inverse and not (math.isfinite(self._a) and self._a > 0 and math.isfinite(self._b)):
            raise ValueError(
                f"{TRANSPORT} of 32FC1 has the parameters {self._a:g} and {self._b:g}; "
                "a positive and a finite number are needed"
            )

    def rvl_size(self) -> tuple[int, int]:
        """Return width and height of an RVL payload; raises ValueError when they are cut off or 0."""
        if len(self.raw) < _SIZE.size:
            raise ValueError(
                f"{counted(len(self.raw), 'byte')} are too few for RVL: its size alone takes {_SIZE.size}"
            )
        width, height = _SIZE.unpack_from(self.raw)
        if not width or not height:
            raise ValueError(f"the RVL image is {width}x{height}")
        return width, height

    def rvl_pixels(self) -> Array:
        """Return the pixels (H, W) uint16 of an RVL payload; raises ValueError when it is damaged."""
        width, height = self.rvl_size()
        return decode_rvl(self.raw[_SIZE.size :], width * height).reshape(height, width)

    def metres(self, pixels: Array) -> Array:
        """Return depth in metres (H, W) float32, 0 without measurement, from 16-bit pixels (H, W)."""
        if not self._inverse:
            return (pixels / 1000.0).astype(np.float32)
        apart = pixels.astype(np.float64) - self._b
        measured = (pixels > 0) & (apart > 0)
        return np.where(measured, self._a / np.where(measured, apart, 1.0), 0.0).astype(np.float32)


def is_compressed_depth(message: Message) -> bool:
    """Return whether a CompressedImage is of this transport."""
    return TRANSPORT in str(message.format)


def decode_rvl(raw: bytes, count: int) -> Array:
    """Return `count` pixels (count,) uint16 of RVL data.

    The data are runs: a number of zeros, a number of others, and for each of these its difference to the last one
    before. Numbers are in groups of three bits, lowest first, four groups of four bits in each direction of a
    little-endian 32-bit word, highest first; a group's highest bit says that the number goes on.
    Raises ValueError when the data end before `count` pixels, or have more.
    """
    numbers = _numbers(raw)
    out = np.zeros(count, dtype=np.uint16)
    place = pixel = 0
    last = 0
    while pixel < count:
        if place + 2 > len(numbers):
            raise ValueError(f"the RVL data end at pixel {pixel} of {count}")
        pixel += int(numbers[place])
        others = int(numbers[place + 1])
        place += 2
        if pixel + others > count:
            raise ValueError(f"the RVL data have more than {counted(count, 'pixel')}")
        if place + others > len(numbers):
            raise ValueError(f"the RVL data end at pixel {pixel} of {count}")
        if not others and not numbers[place - 2]:
            raise ValueError(f"the RVL data have an empty run at pixel {pixel} of {count}")
        folded = numbers[place : place + others]
        values = last + np.cumsum((folded >> 1) ^ -(folded & 1))
        out[pixel : pixel + others] = values & 0xFFFF
        if others:
            last = int(values[-1]) & 0xFFFF
        pixel, place = pixel + others, place + others
    return out


def _numbers(raw: bytes) -> Array:
    """Return all numbers (N,) int64 in the data; an unfinished one at the end is left out."""
    words = np.frombuffer(raw[: len(raw) // 4 * 4], dtype="<u4")
    shifts = np.arange(28, -4, -4, dtype=np.uint32)
    nibbles = ((words[:, None] >> shifts) & 0xF).ravel().astype(np.int64)
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        return np.zeros(0, np.int64)
    nibbles = nibbles[: ends[-1] + 1]
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MOST_NIBBLES:
        raise ValueError("the RVL data have a number of more than 32 bits")
    exponents = np.arange(len(nibbles)) - np.repeat(starts, lengths)
    return np.add.reduceat((nibbles & 7) << (3 * exponents), starts)
