"""Bags to be damaged, and what the `mcap` library, as an independent reader, says they hold."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mcap.records import Channel, Chunk, Footer, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.writer import CompressionType, IndexType, Writer

from il_ros.core import messages
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.layout import bag_file

STRING, BOOL = "std_msgs/msg/String", "std_msgs/msg/Bool"
MS = 1_000_000
Found = tuple[str, int, bytes]
"""Topic, log time, data."""


def string(text: str) -> bytes:
    return messages.encode(STRING, messages.make(STRING, data=text))


@dataclass(frozen=True)
class Block:
    """A record of the file from byte `start` to before `end`: what it declares, and its messages."""

    start: int
    end: int
    is_chunk: bool = False
    schemas: frozenset[int] = frozenset()
    channels: dict[int, tuple[str, int]] = field(default_factory=dict)
    """Number -> topic and schema."""
    messages: tuple[tuple[int, int, bytes], ...] = ()
    """Channel, log time, data."""

    def touches(self, spans: Sequence[tuple[int, int]]) -> bool:
        return any(self.start < end and start < self.end for start, end in spans)


def blocks(raw: bytes) -> list[Block]:
    """Return the records of an intact file, with their extents."""
    reader = StreamReader(io.BytesIO(raw), emit_chunks=True)
    found, start = [], 8
    for record in reader.records:
        end = start + 29 if isinstance(record, Footer) else reader._stream.count
        inner = breakup_chunk(record) if isinstance(record, Chunk) else [record]
        found.append(
            Block(
                start,
                end,
                isinstance(record, Chunk),
                frozenset(item.id for item in inner if isinstance(item, Schema)),
                {item.id: (item.topic, item.schema_id) for item in inner if isinstance(item, Channel)},
                tuple(
                    (item.channel_id, item.log_time, item.data) for item in inner if isinstance(item, Message)
                ),
            )
        )
        start = end
    return found


def chunks(raw: bytes) -> list[Block]:
    return [block for block in blocks(raw) if block.is_chunk]


def record_ends(raw: bytes) -> set[int]:
    """Return where the records of an intact file end, also those in chunks that are not compressed."""
    ends: set[int] = set()

    def walk(place: int, limit: int) -> None:
        while place + 9 <= limit:
            opcode, length = struct.unpack_from("<BQ", raw, place)
            start, place = place + 9, place + 9 + length
            ends.add(place)
            if opcode == 0x06 and raw[start + 28 : start + 32] == bytes(4):
                walk(start + 28 + 4 + 8, place)  # after times, size, checksum, compression and stored size

    walk(8, len(raw) - 8)
    return ends


def untouched(found: Sequence[Block], spans: Sequence[tuple[int, int]]) -> list[Found]:
    """Return the messages whose bytes, and a declaration of whose topic, lie outside of the `spans`."""
    whole = [block for block in found if not block.touches(spans)]
    schemas = {number for block in whole for number in block.schemas}
    topics = {
        number: topic
        for block in whole
        for number, (topic, schema) in block.channels.items()
        if schema in schemas
    }
    return [
        (topics[channel], log_ns, data)
        for block in whole
        for channel, log_ns, data in block.messages
        if channel in topics
    ]


def own(folder: Path, count: int = 300, per_chunk: int = 10, compression: str = "none") -> Path:
    """Write a bag of our own: string k at k ms, and from the middle on a truth value with every third one."""
    writer = BagWriter(folder, compression=compression)
    talk = writer.add_stream("/talk", STRING)
    writer.add_metadata("il_ros.contract", {"name": "c", "hash": "h", "text": ""})
    truth = None
    for k in range(count):
        if truth is None and k == count // 2:
            truth = writer.add_stream("/truth", BOOL)
        writer.write(talk, k * MS, string(f"message {k} " + "x" * (k * 37 % 101)), sequence=k)
        if truth is not None and k % 3 == 0:
            writer.write(truth, k * MS + 1, messages.encode(BOOL, messages.make(BOOL, data=True)))
        if k % per_chunk == per_chunk - 1:
            writer.flush()
    writer.close()
    return bag_file(folder)


def foreign(
    folder: Path,
    compression: CompressionType = CompressionType.ZSTD,
    count: int = 200,
    **options: object,
) -> Path:
    """Write a bag with the `mcap` library, with an attachment and metadata among the messages."""
    folder.mkdir(parents=True)
    path = folder / "data_0.mcap"
    with path.open("wb") as stream:
        writer = Writer(stream, compression=compression, **{"chunk_size": 1500, **options})
        writer.start(profile="ros2", library="other")
        schema = writer.register_schema(STRING, "ros2msg", messages.definition(STRING).encode())
        channel = writer.register_channel("/talk", "cdr", schema, {"offered_qos_profiles": "q"})
        for k in range(count):
            writer.add_message(channel, k * MS, string(f"message {k} " + "y" * (k * 37 % 101)), k, k)
            if k == count // 3:
                writer.add_attachment(5, 6, "calibration.yaml", "text/yaml", b"abc" * 50)
            if k == count // 2:
                writer.add_metadata("note", {"key": "value"})
        writer.finish()
    return path


FAMILIES = {
    "own": own,
    "own_zstd": lambda folder: own(folder, compression="zstd"),
    "own_lz4": lambda folder: own(folder, compression="lz4"),
    "foreign_zstd": foreign,
    "foreign_none": lambda folder: foreign(folder, CompressionType.NONE),
    "without_index": lambda folder: foreign(folder, index_types=IndexType.NONE),
    "without_chunks": lambda folder: foreign(folder, CompressionType.NONE, use_chunking=False),
}
