"""Read MCAP chunks; the size that a chunk states bounds the memory that unpacking it takes."""

from __future__ import annotations

import itertools
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from il_ros.core.tables import counted
from il_ros.episodes.bag.mcap_parse import PREFIX, Content, Malformed

LARGEST_BYTES = 1 << 30
"""A compressed chunk that states more is refused. Recorders close a chunk at about a megabyte."""

_HEAD = struct.Struct("<QQQI")
_LONGEST_NAME = 32
_READ_BYTES = 1 << 26
_ZSTD, _LZ4 = b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"
_FRAME = re.compile(re.escape(_ZSTD) + b"|" + re.escape(_LZ4))
_MOST_FRAMES = 8
_FRAME_BYTES, _STEP_BYTES = 1 << 20, 1 << 12


class ChunkError(ValueError):
    """A chunk's content contradicts its head, or it is compressed in an unknown way."""


@dataclass(frozen=True)
class ChunkHead:
    """The fields before a chunk's records.

    `size`: of the unpacked records. `crc`: of the unpacked records, 0 without a checksum. `bytes`: of the
    fields. `stored`: size of the records in the file.
    """

    start_ns: int
    end_ns: int
    size: int
    crc: int
    compression: str
    bytes: int
    stored: int


def read_head(content: Content) -> ChunkHead:
    """Return the head of a chunk's content, which may be incomplete; raises Malformed."""
    if len(content) < _HEAD.size + 4:
        raise Malformed("the chunk ends in its head")
    start_ns, end_ns, size, crc = _HEAD.unpack_from(content)
    (length,) = struct.unpack_from("<I", content, _HEAD.size)
    place = _HEAD.size + 4
    if length > _LONGEST_NAME or len(content) < place + length + 8:
        raise Malformed("the name of the compression does not fit")
    try:
        compression = str(content[place : place + length], "ascii")
    except UnicodeDecodeError as error:
        raise Malformed("the name of the compression is not text") from error
    (stored,) = struct.unpack_from("<Q", content, place + length)
    return ChunkHead(start_ns, end_ns, size, crc, compression, place + length + 8, stored)


def unpack(head: ChunkHead, stored: memoryview, *, check: bool = True) -> memoryview:
    """Return a whole chunk's records; raises ChunkError unless size and checksum are those of the head."""
    records = unpack_part(head, stored)
    right = head.crc and check and zlib.crc32(records) == head.crc
    if head.crc and check and not right:
        raise ChunkError("the chunk's checksum is wrong")
    if len(records) != head.size and not (right and not head.compression):
        raise ChunkError(f"the chunk states {counted(head.size, 'byte')}, but does not hold as many")
    return records


def unpack_part(head: ChunkHead, stored: memoryview) -> memoryview:
    """Return the records at the beginning of a chunk that is cut off, without a check; raises ChunkError.

    Raises ChunkError as well when they are larger than the head states.
    """
    if not head.compression:
        return stored
    if head.size > LARGEST_BYTES:
        raise ChunkError(
            f"the chunk states {counted(head.size, 'byte')}; {LARGEST_BYTES} at most are unpacked"
        )
    try:
        records = _decompress(head.compression, stored, head.size)
    except ChunkError:
        raise
    except Exception as error:  # each library raises its own errors on damaged data
        raise ChunkError(f"the chunk can't be unpacked: {error}") from error
    if len(records) > head.size:
        raise ChunkError(f"the chunk states {counted(head.size, 'byte')}, but holds more")
    return records


def records_in(records: memoryview, *, whole: bool = False) -> Iterator[tuple[int, int, memoryview]]:
    """Yield offset, opcode and content of each record; stop at an incomplete one.

    Raises ChunkError there if the records have to be `whole`.
    """
    place, size = 0, len(records)
    while place + PREFIX.size <= size:
        opcode, length = PREFIX.unpack_from(records, place)
        end = place + PREFIX.size + length
        if end > size:
            break
        yield place, opcode, records[place + PREFIX.size : end]
        place = end
    if whole and place != size:
        raise ChunkError(f"a record at byte {place} of a chunk ends after the chunk")


def _decompress(compression: str, data: Content, limit: int) -> memoryview:
    """Return the unpacked data, or its beginning; a little more than `limit` bytes at most."""
    if compression == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        return memoryview(lz4.frame.LZ4FrameDecompressor().decompress(bytes(data), max_length=limit + 1))
    if compression == "zstd":
        import zstandard

        stated = zstandard.get_frame_parameters(bytes(data[:32])).content_size
        if stated not in (limit, zstandard.CONTENTSIZE_UNKNOWN):
            raise ChunkError(f"the chunk states {counted(limit, 'byte')}, but its frame states {stated}")
        parts: list[bytes] = []
        left = limit + 1
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            while left and (part := reader.read(min(left, _READ_BYTES))):
                parts.append(part)
                left -= len(part)
        return memoryview(parts[0] if len(parts) == 1 else b"".join(parts))
    raise ChunkError(f"compression '{compression}' is not known")


def frames_in(span: memoryview) -> Iterator[memoryview]:
    """Yield the unpacked beginnings of the compressed frames in damaged bytes, each up to the first error.

    Of eight frames at most, a megabyte each.
    """
    import lz4.frame
    import zstandard

    for match in itertools.islice(_FRAME.finditer(span), _MOST_FRAMES):
        data, parts = bytes(span[match.start() : match.start() + _FRAME_BYTES]), list[bytes]()
        try:
            if match[0] == _ZSTD:
                reader = zstandard.ZstdDecompressor().stream_reader(data)
                while len(parts) < _FRAME_BYTES // _STEP_BYTES and (part := reader.read(_STEP_BYTES)):
                    parts.append(part)
            else:
                frame = lz4.frame.LZ4FrameDecompressor()
                while len(parts) < _FRAME_BYTES // _STEP_BYTES and not frame.eof:
                    parts.append(frame.decompress(b"" if parts else data, max_length=_STEP_BYTES))
                    if frame.needs_input:
                        break
        except Exception:  # each library raises its own errors on damaged data
            pass
        yield memoryview(b"".join(parts))
