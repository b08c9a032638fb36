"""Write an MCAP file: chunks of messages, their indexes, and the summary at the end."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from il_ros.episodes.bag import mcap_records as mcap
from il_ros.episodes.bag.sink import Buffer, Sink

CHUNK_BYTES = 4 * 1024 * 1024
COMPRESSIONS = ("none", "lz4", "zstd")


@dataclass
class _Chunk:
    """Messages not yet in the file. `entries`: channel -> [log time, offset, log time, offset, ...]."""

    blocks: list[Buffer] = field(default_factory=list)
    size: int = 0
    start_ns: int = 0
    end_ns: int = 0
    entries: dict[int, list[int]] = field(default_factory=dict)

    def counts(self) -> dict[int, int]:
        """Return the number of messages by channel."""
        return {number: len(entries) // 2 for number, entries in self.entries.items()}


class McapFile:
    """Passes messages to the sink in chunks, without copying; the file always holds whole records.

    When writing a chunk fails, its messages are lost and counted in `unwritten`; the file stays valid.
    """

    def __init__(
        self,
        sink: Sink,
        chunk_bytes: int,
        compression: str,
        checksums: bool,
        *,
        library: str = "il_ros",
        profile: str = "ros2",
    ):
        if compression not in COMPRESSIONS:
            raise ValueError(f"compression is '{compression}'; it must be one of: {', '.join(COMPRESSIONS)}")
        self._sink, self._chunk_bytes, self._checksums = sink, chunk_bytes, checksums
        self._compression = "" if compression == "none" else compression
        self._compress = _compressor(compression)
        self._schemas: dict[str, int] = {}
        self._declarations: list[bytes] = []
        self._undeclared: list[bytes] = []
        """Declarations that no chunk holds yet."""
        self._metadata: list[bytes] = []
        self._attachments: list[bytes] = []
        self._chunk_indexes: list[bytes] = []
        self._chunk = _Chunk()
        self.counts: dict[int, int] = {}
        """Messages in the file, by channel."""
        self.start_ns = self.end_ns = 0
        """First and last log time in the file."""
        self.unwritten = 0
        sink.append([mcap.MAGIC, mcap.header(library, profile)])

    def add_channel(self, topic: str, type_name: str, definition: str, metadata: Mapping[str, str]) -> int:
        """Declare a topic and return its number; raises OSError when it can't be written."""
        schema_number = self._schemas.get(type_name, len(self._schemas) + 1)
        number = len(self.counts) + 1
        records = [mcap.channel(number, schema_number, topic, metadata)]
        if type_name not in self._schemas:
            records.insert(0, mcap.schema(schema_number, type_name, definition.encode()))
        self.declare(records)
        self._schemas[type_name] = schema_number
        self.counts[number] = 0
        return number

    def declare(self, records: list[bytes]) -> None:
        """Write records of schemas and channels; the next chunk and the summary repeat them.

        A chunk has a checksum, so a declaration is known to be right even if the file is never finished.
        Raises OSError when they can't be written. `counts` must have an entry for each channel before its
        first message.
        """
        self._sink.append(records)
        self._declarations += records
        self._undeclared += records

    def add_attachment(
        self, log_ns: int, create_ns: int, name: str, media_type: str, data: bytes | memoryview
    ) -> None:
        """Write a file inside the file, after the messages so far; raises OSError when it can't be written."""
        self.flush()
        blocks = mcap.attachment((log_ns, create_ns), name, media_type, data)
        extent = self._sink.size, sum(len(block) for block in blocks)
        self._sink.append(blocks)
        self._attachments.append(
            mcap.attachment_index(extent, (log_ns, create_ns), len(data), name, media_type)
        )

    def add_record(self, record: bytes | memoryview) -> None:
        """Write a record of another kind, after the messages so far; raises OSError when it can't be written."""
        self.flush()
        self._sink.append([record])

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Write named texts, after the messages so far; raises OSError when they can't be written."""
        self.flush()
        block = mcap.metadata(name, values)
        offset = self._sink.size
        self._sink.append([block])
        self._metadata.append(mcap.metadata_index(offset, len(block), name))

    def write(self, channel: int, log_ns: int, raw: bytes, publish_ns: int, sequence: int) -> None:
        """Add a message to the chunk; raises OSError when the chunk is full and can't be written."""
        chunk = self._chunk
        if self._undeclared:
            chunk.size += sum(len(record) for record in self._undeclared)
            chunk.blocks += self._undeclared
            self._undeclared = []
        if not chunk.entries:
            chunk.start_ns = chunk.end_ns = log_ns
        elif log_ns > chunk.end_ns:
            chunk.end_ns = log_ns
        elif log_ns < chunk.start_ns:
            chunk.start_ns = log_ns
        chunk.entries.setdefault(channel, []).extend((log_ns, chunk.size))
        chunk.blocks.append(mcap.message_head(channel, sequence, log_ns, publish_ns, len(raw)))
        chunk.blocks.append(raw)
        chunk.size += mcap.MESSAGE_HEAD_SIZE + len(raw)
        if chunk.size >= self._chunk_bytes:
            self.flush()

    def flush(self) -> None:
        """Write the added messages as a chunk; raises OSError, and the messages are then lost."""
        if not self._chunk.blocks:
            return
        chunk, self._chunk = self._chunk, _Chunk()
        crc = _crc(chunk.blocks) if self._checksums else 0
        stored, stored_size = chunk.blocks, chunk.size
        if self._compression:
            stored = [self._compress(b"".join(chunk.blocks))]
            stored_size = len(stored[0])
        head = mcap.chunk_head(chunk.start_ns, chunk.end_ns, chunk.size, crc, self._compression, stored_size)
        indexes = {number: mcap.message_index(number, entries) for number, entries in chunk.entries.items()}
        offset = self._sink.size
        try:
            self._sink.append([head, *stored, *indexes.values()])
        except OSError:
            self.unwritten += sum(chunk.counts().values())
            raise
        self._register(chunk, offset, len(head) + stored_size, indexes, stored_size)

    def finish(self) -> None:
        """Write the index and the end of the file.

        Raises OSError when there is no space for the index; the file then ends without it, and readers scan
        the whole file.
        """
        end = mcap.data_end()
        try:
            section = self._summary(self._sink.size + len(end))
            self._sink.append([end, *section, mcap.MAGIC])
        except OSError:
            self._sink.append([end, mcap.footer(0, 0), mcap.MAGIC])
            raise

    def _register(
        self, chunk: _Chunk, offset: int, length: int, indexes: Mapping[int, bytes], stored_size: int
    ) -> None:
        """Register a written chunk of `length` bytes at `offset`, which its message indexes follow."""
        first = not self._chunk_indexes
        self.start_ns = chunk.start_ns if first else min(self.start_ns, chunk.start_ns)
        self.end_ns = chunk.end_ns if first else max(self.end_ns, chunk.end_ns)
        for number, count in chunk.counts().items():
            self.counts[number] += count
        where, place = {}, offset + length
        for number, block in indexes.items():
            where[number] = place
            place += len(block)
        self._chunk_indexes.append(
            mcap.chunk_index(
                (chunk.start_ns, chunk.end_ns),
                (offset, length),
                (where, place - offset - length),
                self._compression,
                (stored_size, chunk.size),
            )
        )

    def _summary(self, start: int) -> list[bytes]:
        schemas = [block for block in self._declarations if block[0] == mcap.SCHEMA]
        blocks_of = (len(self._attachments), len(self._metadata), len(self._chunk_indexes))
        times_ns = (self.start_ns, self.end_ns)
        groups = {
            mcap.SCHEMA: schemas,
            mcap.CHANNEL: [block for block in self._declarations if block[0] == mcap.CHANNEL],
            mcap.STATISTICS: [mcap.statistics(self.counts, len(schemas), blocks_of, times_ns)],
            mcap.CHUNK_INDEX: self._chunk_indexes,
            mcap.ATTACHMENT_INDEX: self._attachments,
            mcap.METADATA_INDEX: self._metadata,
        }
        section: list[bytes] = []
        offsets: list[bytes] = []
        place = start
        for opcode, blocks in groups.items():
            length = sum(len(block) for block in blocks)
            if blocks:
                offsets.append(mcap.summary_offset(opcode, place, length))
            section += blocks
            place += length
        section += offsets
        return [*section, mcap.footer(start, place, section)]


def _crc(blocks: list[Buffer]) -> int:
    crc = 0
    for block in blocks:
        crc = zlib.crc32(block, crc)
    return crc


def _compressor(name: str) -> Callable[[bytes], bytes]:
    if name == "lz4":
        import lz4.frame  # type: ignore[import-untyped]

        return lambda data: bytes(lz4.frame.compress(data))
    if name == "zstd":
        import zstandard

        compressor = zstandard.ZstdCompressor(level=1)
        return lambda data: bytes(compressor.compress(data))
    return bytes
