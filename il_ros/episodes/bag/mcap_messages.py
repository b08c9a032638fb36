"""Read the messages of a closed MCAP file of any recorder; damage raises an error."""

from __future__ import annotations

import heapq
import os
import zlib
from collections.abc import Collection, Iterator
from typing import IO, Any, NamedTuple

from il_ros.core.tables import counted
from il_ros.episodes.bag import mcap_parse
from il_ros.episodes.bag import mcap_records as mcap
from il_ros.episodes.bag.mcap_chunk import ChunkError, read_head, records_in, unpack
from il_ros.episodes.bag.mcap_parse import MESSAGE, PREFIX, Malformed


class Declared(NamedTuple):
    """The declaration of a channel; `type` is empty when it has no schema.

    `definition`: that of the type, in `language` ('ros2msg' or 'ros2idl'); may be empty.
    """

    topic: str
    type: str
    encoding: str
    definition: str = ""
    language: str = ""


Found = tuple[Declared, int, bytes]
"""Declaration, log time in nanoseconds, data."""


def declared_in(summary: Any) -> dict[int, Declared]:
    """Return the channels of a summary, as the library `mcap` reads it, by number."""
    channels = {}
    for number, channel in summary.channels.items():
        if not channel.schema_id:
            channels[number] = Declared(channel.topic, "", channel.message_encoding)
            continue
        schema = summary.schemas[channel.schema_id]
        text = text_of(schema.data)
        channels[number] = Declared(
            channel.topic, schema.name, channel.message_encoding, text, schema.encoding
        )
    return channels


def text_of(data: bytes) -> str:
    """Return the text of a schema, "" when it is not UTF-8."""
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        return ""


def messages_by_time(stream: IO[bytes], summary: Any, topics: Collection[str] | None) -> Iterator[Found]:
    """Yield the messages, or those of `topics`, by log time; messages of equal time in file order.

    `summary` is None for a file without one. Without an index of the chunks, all messages are in memory at
    once. Raises ValueError, EOFError or KeyError when the file is damaged.
    """
    if summary is None or not summary.chunk_indexes:
        yield from sorted(
            (item for item in unindexed_messages(stream) if topics is None or item[0].topic in topics),
            key=lambda item: item[1],
        )
        return
    channels = declared_in(summary)
    wanted = {number for number, item in channels.items() if topics is None or item.topic in topics}
    chunks = sorted(
        (index.message_start_time, index.chunk_start_offset)
        for index in summary.chunk_indexes
        if not index.message_index_offsets or not wanted.isdisjoint(index.message_index_offsets)
    )
    size = os.fstat(stream.fileno()).st_size
    ready: list[tuple[int, int, int, Declared, memoryview]] = []
    after = 0
    while ready or after < len(chunks):
        while after < len(chunks) and (not ready or chunks[after][0] <= ready[0][0]):
            offset = chunks[after][1]
            for place, number, log_ns, data in _chunk_messages(_chunk_at(stream, offset, size)):
                declared = channels[number]
                if number in wanted:
                    heapq.heappush(ready, (log_ns, offset, place, declared, data))
            after += 1
        if ready:
            log_ns, _, _, declared, data = heapq.heappop(ready)
            yield declared, log_ns, bytes(data)


def unindexed_messages(stream: IO[bytes]) -> Iterator[Found]:
    """Yield the messages in file order, reading the whole file; raises as `messages_by_time`."""
    schemas, channels = {0: ("", "", "")}, dict[int, Declared]()
    for opcode, content in _records(stream):
        inner = [(0, opcode, memoryview(content))]
        if opcode == mcap.CHUNK:
            inner = list(records_in(_unpacked(content), whole=True))
        for _, kind, part in inner:
            if kind == mcap.SCHEMA:
                schema = mcap_parse.parse(kind, part, exact=False)
                schemas[schema.number] = (schema.name, text_of(schema.data), schema.encoding)
            elif kind == mcap.CHANNEL:
                channel = mcap_parse.parse(kind, part, exact=False)
                name, text, language = schemas[channel.schema]
                channels[channel.number] = Declared(channel.topic, name, channel.encoding, text, language)
            elif kind == mcap.MESSAGE:
                number, _, log_ns, _ = MESSAGE.unpack_from(part)
                yield channels[number], log_ns, bytes(part[MESSAGE.size :])


def _records(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the records up to the footer; checks the data section's checksum if it has one."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    crc = zlib.crc32(stream.read(len(mcap.MAGIC)))
    place, opcode = len(mcap.MAGIC), 0
    while opcode != mcap.FOOTER:
        prefix = stream.read(PREFIX.size)
        if len(prefix) < PREFIX.size:
            raise EOFError("the file ends without a footer")
        opcode, length = PREFIX.unpack(prefix)
        place += PREFIX.size + length
        if place > size:
            raise EOFError(f"a record of {counted(length, 'byte')} ends after the file")
        content = stream.read(length)
        if opcode == mcap.DATA_END:
            stored = mcap_parse.parse(opcode, content, exact=False).crc
            if stored and stored != crc:
                raise ChunkError("the checksum of the data section is wrong")
        crc = zlib.crc32(content, zlib.crc32(prefix, crc))
        yield opcode, content


def _chunk_at(stream: IO[bytes], offset: int, size: int) -> bytes:
    """Return the content of the chunk at `offset` of a file of `size` bytes."""
    stream.seek(offset)
    prefix = stream.read(PREFIX.size)
    if len(prefix) < PREFIX.size:
        raise EOFError(f"the index names a chunk at byte {offset}, after the end of the file")
    opcode, length = PREFIX.unpack(prefix)
    if opcode != mcap.CHUNK or offset + PREFIX.size + length > size:
        raise ChunkError(f"there is no whole chunk at byte {offset}, where the index names one")
    return stream.read(length)


def _unpacked(content: bytes) -> memoryview:
    head = read_head(content)
    stored = memoryview(content)[head.bytes :]
    if len(stored) != head.stored:
        raise ChunkError(f"the chunk states {counted(head.stored, 'stored byte')}; it has {len(stored)}")
    return memoryview(unpack(head, stored))


def _chunk_messages(content: bytes) -> Iterator[tuple[int, int, int, memoryview]]:
    """Yield offset in the chunk, channel, log time and data of each message."""
    for place, opcode, record in records_in(_unpacked(content), whole=True):
        if opcode == mcap.MESSAGE:
            if len(record) < MESSAGE.size:
                raise Malformed("a message ends in its head")
            number, _, log_ns, _ = MESSAGE.unpack_from(record)
            yield place, number, log_ns, memoryview(record)[MESSAGE.size :]
