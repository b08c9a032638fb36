"""Encode the MCAP records that a bag writer needs (https://mcap.dev/spec).

The reference library copies every message four times on the way to the file; at 83 MB/s of camera images
this is most of a recorder's work. Here only record heads are encoded, and message data is not copied.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

MAGIC = b"\x89MCAP0\r\n"

HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = range(1, 9)
ATTACHMENT, ATTACHMENT_INDEX, STATISTICS, METADATA, METADATA_INDEX, SUMMARY_OFFSET, DATA_END = range(9, 16)
PRIVATE = 0x80
"""First of the opcodes that applications may use for their own records."""

PREFIX_SIZE = 9
"""Size in bytes of opcode and length, which precede a record's content."""
FOOTER_SIZE = PREFIX_SIZE + 20

_MESSAGE_HEAD = struct.Struct("<BQHIQQ")
MESSAGE_HEAD_SIZE = _MESSAGE_HEAD.size
_MESSAGE_FIELDS = MESSAGE_HEAD_SIZE - PREFIX_SIZE


def record(opcode: int, content: bytes) -> bytes:
    """Return a complete record."""
    return struct.pack("<BQ", opcode, len(content)) + content


def header(library: str, profile: str = "ros2") -> bytes:
    """Return the header record of a file; a ROS 2 file by default."""
    return record(HEADER, _text(profile) + _text(library))


def schema(number: int, name: str, definition: bytes, encoding: str = "ros2msg") -> bytes:
    """Return the schema record of a message type, whose definition is a ros2msg text by default."""
    head = struct.pack("<H", number) + _text(name) + _text(encoding)
    return record(SCHEMA, head + struct.pack("<I", len(definition)) + definition)


def channel(
    number: int, schema_number: int, topic: str, metadata: Mapping[str, str], encoding: str = "cdr"
) -> bytes:
    """Return the channel record of a topic, whose messages are CDR by default."""
    head = struct.pack("<HH", number, schema_number)
    return record(CHANNEL, head + _text(topic) + _text(encoding) + _map(metadata))


def message_head(channel_number: int, sequence: int, log_ns: int, publish_ns: int, size: int) -> bytes:
    """Return a message record without its `size` bytes of data."""
    return _MESSAGE_HEAD.pack(MESSAGE, _MESSAGE_FIELDS + size, channel_number, sequence, log_ns, publish_ns)


def chunk_head(start_ns: int, end_ns: int, size: int, crc: int, compression: str, stored_size: int) -> bytes:
    """Return a chunk record without its `stored_size` bytes of records (`size` bytes uncompressed)."""
    fields = struct.pack("<QQQI", start_ns, end_ns, size, crc) + _text(compression)
    fields += struct.pack("<Q", stored_size)
    return struct.pack("<BQ", CHUNK, len(fields) + stored_size) + fields


def message_index(channel_number: int, entries: Sequence[int]) -> bytes:
    """Return the index of a channel's messages in the preceding chunk.

    `entries`: log time, offset, log time, offset, ...
    """
    head = struct.pack("<HI", channel_number, 8 * len(entries))
    return record(MESSAGE_INDEX, head + struct.pack(f"<{len(entries)}Q", *entries))


def chunk_index(
    times_ns: tuple[int, int],
    extent: tuple[int, int],
    message_indexes: tuple[Mapping[int, int], int],
    compression: str,
    sizes: tuple[int, int],
) -> bytes:
    """Return the index record of a chunk and its message indexes.

    `times_ns`: first and last log time. `extent`: the chunk's offset and length. `message_indexes`: the
    offset of each channel's index, and their total length. `sizes`: of the records, stored and uncompressed.
    """
    offsets, length = message_indexes
    body = struct.pack("<QQQQI", *times_ns, *extent, 10 * len(offsets))
    body += b"".join(struct.pack("<HQ", *item) for item in offsets.items())
    body += struct.pack("<Q", length) + _text(compression) + struct.pack("<QQ", *sizes)
    return record(CHUNK_INDEX, body)


def metadata(name: str, values: Mapping[str, str]) -> bytes:
    """Return a metadata record of named texts."""
    return record(METADATA, _text(name) + _map(values))


def metadata_index(offset: int, length: int, name: str) -> bytes:
    """Return the index record of a metadata record."""
    return record(METADATA_INDEX, struct.pack("<QQ", offset, length) + _text(name))


def attachment(
    times_ns: tuple[int, int], name: str, media_type: str, data: bytes | memoryview
) -> list[bytes | memoryview]:
    """Return the record of an attachment in parts; `data` is not copied. `times_ns`: log and creation time."""
    head = struct.pack("<QQ", *times_ns) + _text(name) + _text(media_type) + struct.pack("<Q", len(data))
    crc = zlib.crc32(data, zlib.crc32(head))
    prefix = struct.pack("<BQ", ATTACHMENT, len(head) + len(data) + 4)
    return [prefix + head, data, struct.pack("<I", crc)]


def attachment_index(
    extent: tuple[int, int], times_ns: tuple[int, int], size: int, name: str, media_type: str
) -> bytes:
    """Return the index record of an attachment of `size` bytes. `extent`: the record's offset and length."""
    head = struct.pack("<QQQQQ", *extent, *times_ns, size)
    return record(ATTACHMENT_INDEX, head + _text(name) + _text(media_type))


def statistics(
    counts: Mapping[int, int], schemas: int, blocks: tuple[int, int, int], times_ns: tuple[int, int]
) -> bytes:
    """Return the statistics record.

    `counts`: number of messages by channel. `blocks`: numbers of attachments, metadata records and chunks.
    `times_ns`: first and last log time.
    """
    body = struct.pack("<QHIIIIQQ", sum(counts.values()), schemas, len(counts), *blocks, *times_ns)
    body += struct.pack("<I", 10 * len(counts))
    return record(STATISTICS, body + b"".join(struct.pack("<HQ", *item) for item in counts.items()))


def data_end() -> bytes:
    """Return the record that ends the data section, without a checksum."""
    return record(DATA_END, struct.pack("<I", 0))


def summary_offset(opcode: int, start: int, length: int) -> bytes:
    """Return the offset record of a group of records in the summary."""
    return record(SUMMARY_OFFSET, struct.pack("<BQQ", opcode, start, length))


def footer(summary_start: int, offsets_start: int, summary: Sequence[bytes] = ()) -> bytes:
    """Return the footer record, with the checksum of the `summary`.

    Zero offsets mean that there is no summary, and no checksum.
    """
    crc = 0
    if summary_start:
        head = struct.pack("<BQQQ", FOOTER, FOOTER_SIZE - PREFIX_SIZE, summary_start, offsets_start)
        for block in (*summary, head):
            crc = zlib.crc32(block, crc)
    return record(FOOTER, struct.pack("<QQI", summary_start, offsets_start, crc))


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def _map(values: Mapping[str, str]) -> bytes:
    body = b"".join(_text(key) + _text(value) for key, value in values.items())
    return struct.pack("<I", len(body)) + body
