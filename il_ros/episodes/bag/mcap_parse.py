"""Decode MCAP records of any recorder (https://mcap.dev/spec); bytes that are no such record raise Malformed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from il_ros.core.tables import counted
from il_ros.episodes.bag import mcap_records as mcap

PREFIX = struct.Struct("<BQ")
MESSAGE = struct.Struct("<HIQQ")

Content = bytes | memoryview


class Malformed(ValueError):  # noqa: N818 - it is a statement about the bytes
    """Bytes are not a record of the stated kind."""


@dataclass(frozen=True)
class Header:
    """The first record of a file."""

    profile: str
    library: str


@dataclass(frozen=True)
class Schema:
    """A message type: its name, and its definition in an encoding such as 'ros2msg'."""

    number: int
    name: str
    encoding: str
    data: bytes


@dataclass(frozen=True)
class Channel:
    """A topic as declared; `schema` is the number of its schema, 0 without one."""

    number: int
    schema: int
    topic: str
    encoding: str
    metadata: dict[str, str]


@dataclass(frozen=True)
class Metadata:
    """Named texts."""

    name: str
    values: dict[str, str]


@dataclass(frozen=True)
class Attachment:
    """A file inside the file; `data` is a view into it. `checked`: its checksum is stored, and is right."""

    log_ns: int
    create_ns: int
    name: str
    media_type: str
    data: Content
    checked: bool = False


@dataclass(frozen=True)
class ChunkIndex:
    """The position of a chunk: offset and length of its record, and its first and last log time."""

    start_ns: int
    end_ns: int
    offset: int
    length: int


@dataclass(frozen=True)
class Index:
    """The position of a metadata record or an attachment."""

    offset: int
    length: int


@dataclass(frozen=True)
class MessageIndex:
    """The log times and offsets of one channel's messages in the preceding chunk."""

    channel: int
    entries: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Statistics:
    """Numbers of records in the file; `counts`: number of messages by channel."""

    messages: int
    attachments: int
    metadata: int
    chunks: int
    counts: dict[int, int]


@dataclass(frozen=True)
class SummaryOffset:
    """The position of the summary's records of one kind."""

    opcode: int
    start: int
    length: int


@dataclass(frozen=True)
class Checksum:
    """The end of the data section; 0 without a checksum."""

    crc: int


@dataclass(frozen=True)
class Footer:
    """The last record of a file; `summary_start` is 0 without a summary, `crc` 0 without a checksum."""

    summary_start: int
    offsets_start: int
    crc: int


def parse(opcode: int, content: Content, *, exact: bool = True) -> Any:
    """Return the record of any kind but chunks and messages, as one of the classes above.

    Raises Malformed. If `exact`, its fields must fill `content`, which reveals a wrong length; without it,
    more fields may follow, as a later version of the format would have.
    """
    kind = _KINDS.get(opcode)
    if kind is None:
        raise Malformed(f"{opcode:#x} is not the opcode of a known record")
    fields = _Fields(content)
    record = kind(fields)
    if exact and fields.place != len(content):
        raise Malformed(f"the record has {counted(len(content), 'byte')}, its fields {fields.place}")
    return record


class _Fields:
    """Reads one field after the other; raises Malformed when the bytes end or are not text."""

    def __init__(self, content: Content) -> None:
        self.content, self.place = content, 0

    def take(self, size: int) -> Content:
        end = self.place + size
        if end > len(self.content):
            raise Malformed(f"a field of {counted(size, 'byte')} ends after the record")
        part, self.place = self.content[self.place : end], end
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self) -> str:
        try:
            return str(self.take(self.number(4)), "utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(f"a text is not UTF-8: {error}") from error

    def map(self) -> dict[str, str]:
        values, end = {}, self.place + self.number(4) + 4
        while self.place < end:
            key = self.text()
            values[key] = self.text()
        if self.place != end:
            raise Malformed("a text crosses the end of its map")
        return values

    def pairs(self, form: str) -> tuple[tuple[int, int], ...]:
        """Return pairs of numbers; `form`: of one pair, for `struct`."""
        layout, part = struct.Struct(form), self.take(self.number(4))
        if len(part) % layout.size:
            raise Malformed(
                f"a list of {counted(len(part), 'byte')} does not consist of pairs of {counted(layout.size, 'byte')}"
            )
        return tuple(layout.iter_unpack(part))


def _schema(fields: _Fields) -> Schema:
    number = fields.number(2)
    if not number:
        raise Malformed("a schema has number 0")
    name, encoding = fields.text(), fields.text()
    return Schema(number, name, encoding, bytes(fields.take(fields.number(4))))


def _attachment(fields: _Fields) -> Attachment:
    log_ns, create_ns, name, kind = fields.number(8), fields.number(8), fields.text(), fields.text()
    data = fields.take(fields.number(8))
    covered = fields.content[: fields.place]
    crc = fields.number(4)
    if crc and crc != zlib.crc32(covered):
        raise Malformed(f"attachment '{name}' has a wrong checksum")
    return Attachment(log_ns, create_ns, name, kind, data, checked=bool(crc))


def _chunk_index(fields: _Fields) -> ChunkIndex:
    start_ns, end_ns, offset, length = (fields.number(8) for _ in range(4))
    fields.pairs("<HQ")
    fields.number(8)
    fields.text()
    fields.take(16)
    return ChunkIndex(start_ns, end_ns, offset, length)


def _attachment_index(fields: _Fields) -> Index:
    index = Index(fields.number(8), fields.number(8))
    fields.take(24)
    fields.text()
    fields.text()
    return index


def _metadata_index(fields: _Fields) -> Index:
    index = Index(fields.number(8), fields.number(8))
    fields.text()
    return index


def _statistics(fields: _Fields) -> Statistics:
    messages, _, _ = fields.number(8), fields.number(2), fields.number(4)
    attachments, metadata, chunks = (fields.number(4) for _ in range(3))
    fields.take(16)
    return Statistics(messages, attachments, metadata, chunks, dict(fields.pairs("<HQ")))


_KINDS: dict[int, Callable[[_Fields], Any]] = {
    mcap.HEADER: lambda fields: Header(fields.text(), fields.text()),
    mcap.FOOTER: lambda fields: Footer(fields.number(8), fields.number(8), fields.number(4)),
    mcap.SCHEMA: _schema,
    mcap.CHANNEL: lambda fields: Channel(
        fields.number(2), fields.number(2), fields.text(), fields.text(), fields.map()
    ),
    mcap.MESSAGE_INDEX: lambda fields: MessageIndex(fields.number(2), fields.pairs("<QQ")),
    mcap.CHUNK_INDEX: _chunk_index,
    mcap.ATTACHMENT: _attachment,
    mcap.ATTACHMENT_INDEX: _attachment_index,
    mcap.STATISTICS: _statistics,
    mcap.METADATA: lambda fields: Metadata(fields.text(), fields.map()),
    mcap.METADATA_INDEX: _metadata_index,
    mcap.SUMMARY_OFFSET: lambda fields: SummaryOffset(fields.number(1), fields.number(8), fields.number(8)),
    mcap.DATA_END: lambda fields: Checksum(fields.number(4)),
}
