"""Width and height of a jpeg or png, from its first bytes and without decoding it."""

from __future__ import annotations

from dataclasses import dataclass

MOST_SCANS = 100
"""Scans of a jpeg; a progressive one has about ten, and each costs a pass over all pixels."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND"
_CHECKSUM = 4
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
    """Return the header of a jpeg or png; None when the bytes are neither, or have no size."""
    header = _png(raw) if raw.startswith(_PNG) else _jpeg(raw) if raw.startswith(_JPEG) else None
    return header if header is not None and header.width and header.height else None


def _png(raw: bytes) -> PictureHeader | None:
    if len(raw) < 24 or raw[12:16] != b"IHDR":
        return None
    end = raw.rfind(_PNG_END)
    whole = 0 < end <= len(raw) - len(_PNG_END) - _CHECKSUM
    return PictureHeader(int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big"), whole=whole)


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
