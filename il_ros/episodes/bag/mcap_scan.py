"""Read the intact records of an MCAP file that is truncated, has no index, or ends in zeros."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from il_ros.episodes.bag import mcap_records as mcap

_PREFIX = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_CHUNK = struct.Struct("<QQQI")


@dataclass(frozen=True)
class Channel:
    """A topic declared in the file."""

    number: int
    topic: str
    type: str
    definition: str
    metadata: dict[str, str]


@dataclass(frozen=True)
class Message:
    """A message in the file; `data` is a view into the file."""

    channel: int
    sequence: int
    log_ns: int
    publish_ns: int
    data: memoryview


@dataclass
class Scan:
    """One pass over a file: iterate `messages` once, then the other fields are complete.

    `finished`: the file has its footer and final magic bytes. `cut_bytes`: bytes after the last whole record.
    `damaged_chunks`: number of chunks left out because their size, compression or checksum is wrong.
    """

    view: memoryview
    channels: dict[int, Channel] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    finished: bool = False
    cut_bytes: int = 0
    damaged_chunks: int = 0
    _schemas: dict[int, tuple[str, str]] = field(default_factory=dict)

    def messages(self) -> Iterator[Message]:
        """Yield the intact messages of declared topics, in file order.

        Raises ValueError when the file is not an MCAP file.
        """
        if bytes(self.view[: len(mcap.MAGIC)]) != mcap.MAGIC[: len(self.view)]:
            raise ValueError("it doesn't begin with the MCAP magic bytes")
        place = len(mcap.MAGIC)
        while place + _PREFIX.size <= len(self.view):
            opcode, length = _PREFIX.unpack_from(self.view, place)
            content = self.view[place + _PREFIX.size : place + _PREFIX.size + length]
            whole = len(content) == length
            if opcode == mcap.CHUNK:
                yield from self._chunk(content, whole)
            if not whole or opcode == 0:
                break
            place += _PREFIX.size + length
            if opcode == mcap.FOOTER:
                self.finished = bytes(self.view[place:]) == mcap.MAGIC
                place = len(self.view) if self.finished else place
                break
            if opcode != mcap.CHUNK:
                yield from self._record(opcode, content)
        self.cut_bytes = max(0, len(self.view) - place)

    def _chunk(self, content: memoryview, whole: bool) -> Iterator[Message]:
        """Yield a chunk's messages; of a truncated chunk those before the cut, unless it is compressed."""
        head = _CHUNK.size
        if len(content) < head + 12:
            return
        size, crc = _CHUNK.unpack_from(content)[2:]
        (name_size,) = struct.unpack_from("<I", content, head)
        compression = bytes(content[head + 4 : head + 4 + name_size]).decode(errors="replace")
        records = content[head + 12 + name_size :]
        if compression:
            if not whole:
                return
            try:
                records = memoryview(_decompress(compression, bytes(records)))
            except Exception:  # each library raises its own errors on damaged data
                self.damaged_chunks += 1
                return
        if whole and (len(records) != size or (crc and zlib.crc32(records) != crc)):
            self.damaged_chunks += 1
            return
        place = 0
        while place + _PREFIX.size <= len(records):
            opcode, length = _PREFIX.unpack_from(records, place)
            inner = records[place + _PREFIX.size : place + _PREFIX.size + length]
            if len(inner) < length:
                return
            yield from self._record(opcode, inner)
            place += _PREFIX.size + length

    def _record(self, opcode: int, content: memoryview) -> Iterator[Message]:
        if opcode == mcap.MESSAGE:
            if len(content) >= _MESSAGE.size:
                channel, sequence, log_ns, publish_ns = _MESSAGE.unpack_from(content)
                if channel in self.channels:
                    yield Message(channel, sequence, log_ns, publish_ns, content[_MESSAGE.size :])
        elif opcode == mcap.SCHEMA:
            schema = _parse("Schema", content)
            self._schemas[schema.id] = (schema.name, schema.data.decode())
        elif opcode == mcap.CHANNEL:
            channel = _parse("Channel", content)
            name, definition = self._schemas.get(channel.schema_id, ("", ""))
            self.channels[channel.id] = Channel(
                channel.id, channel.topic, name, definition, dict(channel.metadata)
            )
        elif opcode == mcap.METADATA:
            metadata = _parse("Metadata", content)
            self.metadata[metadata.name] = dict(metadata.metadata)


def _parse(kind: str, content: memoryview) -> Any:
    from mcap import records
    from mcap.data_stream import ReadDataStream

    return getattr(records, kind).read(ReadDataStream(BytesIO(content)))


def _decompress(compression: str, data: bytes) -> bytes:
    if compression == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        return bytes(lz4.frame.decompress(data))
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    raise ValueError(f"unknown compression '{compression}'")
