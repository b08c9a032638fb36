"""Width and height of a jpeg or png, from its first bytes and without decoding it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

MOST_SCANS = 100
"""Scans of a jpeg; a progressive one has about ten, and each costs a pass over all pixels."""
MOST_PASSED = 200_000_000
"""Pixels of a jpeg times its scans."""

MOST_UNPACKED = 256 << 20
"""Bytes to which the pixels of a png may unpack without being counted first; takes a fraction of a second."""

_LARGEST_RATIO = 1032  # of deflate
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG = b"\x89PNG\r\n\x1a\n"
_ANIMATED = (b"acTL", b"fcTL", b"fdAT")
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_SCAN = 0xDA
_ALONE = (0x01, *range(0xD0, 0xD8))  # markers without a length
_FRAMES = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))


@dataclass(frozen=True)
class PictureHeader:
    """The size of a picture in pixels, the number of scans (1 for png), and whether its end is there."""

    width: int
    height: int
    scans: int = 1
    whole: bool = True


def read_header(raw: bytes) -> PictureHeader | None:
    """Return the header of a jpeg or png; None when the bytes are neither, or have no size.

    None as well for a png that is animated, or has far more data than its size needs.
    """
    header = _png(raw) if raw.startswith(_PNG) else _jpeg(raw) if raw.startswith(_JPEG) else None
    return header if header is not None and header.width and header.height else None


def _png(raw: bytes) -> PictureHeader | None:
    """Follow the chunks (length, name, content, checksum): decoders allocate what a chunk states."""
    if len(raw) < 33 or raw[12:16] != b"IHDR":
        return None
    width, height = int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
    place, name, parts = len(_PNG), b"", list[bytes]()
    while name != b"IEND":
        size, name = int.from_bytes(raw[place : place + 4], "big"), raw[place + 4 : place + 8]
        if place + 12 + size > len(raw):
            return PictureHeader(width, height, whole=False)
        if name in _ANIMATED:
            return None
        if name == b"IDAT":
            parts.append(raw[place + 8 : place + 8 + size])
        place += 12 + size
    bits = raw[24] * _CHANNELS.get(raw[25], 4)
    header = PictureHeader(width, height)
    return header if _fits(parts, (width * bits // 8 + 2) * height) else None


def _fits(parts: list[bytes], size: int) -> bool:
    """Return whether compressed pixels unpack to about `size` bytes; decoders unpack everything.

    Data that cannot unpack to more than `MOST_UNPACKED` bytes are not looked at.
    """
    if sum(map(len, parts)) * _LARGEST_RATIO <= MOST_UNPACKED:
        return True
    unpacked, left = zlib.decompressobj(), 2 * size + 4096  # interlaced pictures have a few bytes more
    try:
        for part in parts:
            while part and left > 0:
                left -= len(unpacked.decompress(part, min(left, 1 << 20)))
                part = unpacked.unconsumed_tail
    except zlib.error:
        return False
    return left > 0


def _jpeg(raw: bytes) -> PictureHeader | None:
    """Follow the segments (marker, length, content) to the frame header."""
    place = len(_JPEG)
    while place + 4 <= len(raw) and raw[place] == 0xFF:
        marker = raw[place + 1]
        if marker == 0xFF:  # padding
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker in _FRAMES:
            height, width = raw[place + 5 : place + 7], raw[place + 7 : place + 9]
            scan = bytes((0xFF, _SCAN))
            scans = raw.count(scan, place)
            last = raw.rfind(scan, place)
            whole = 0 < last < raw.rfind(_JPEG_END)  # compressed data never hold a marker
            return PictureHeader(int.from_bytes(width, "big"), int.from_bytes(height, "big"), scans, whole)
        elif marker == _SCAN:
            return None
        else:
            place += 2 + max(2, int.from_bytes(raw[place + 2 : place + 4], "big"))
    return None
