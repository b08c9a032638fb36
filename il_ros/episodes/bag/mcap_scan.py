"""Read the intact records of an MCAP file that is truncated, damaged, has no index, or ends in zeros."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from il_ros.episodes.bag import mcap_parse
from il_ros.episodes.bag import mcap_records as mcap
from il_ros.episodes.bag.mcap_chunk import read_head, records_in, unpack_part
from il_ros.episodes.bag.mcap_parse import MESSAGE, PREFIX, Attachment, Header, Malformed, Metadata, Schema
from il_ros.episodes.bag.recovery.damage import Damage, Form, Harm
from il_ros.episodes.bag.recovery.survey import survey


@dataclass(frozen=True)
class FileChannel:
    """A channel of the file, with its schema; `schema` is None for messages without one."""

    number: int
    topic: str
    encoding: str
    metadata: dict[str, str]
    schema: Schema | None

    @property
    def type(self) -> str:
        """The schema's name; empty without a schema."""
        return "" if self.schema is None else self.schema.name


@dataclass(frozen=True)
class Message:
    """A message in the file; `data` is a view into the file."""

    channel: int
    sequence: int
    log_ns: int
    publish_ns: int
    data: memoryview


@dataclass(frozen=True)
class PrivateRecord:
    """A record of a kind that the MCAP specification leaves to applications, with its opcode and length."""

    data: memoryview


Item = Message | Metadata | Attachment | PrivateRecord


class Scan:
    """The intact contents of a file.

    `channels`: by number. `schemas`: the declared schemas, used or not. `counts`: number of messages by
    channel. `undeclared`: number of messages whose channel or schema is not declared anywhere. `finished`: the
    file has its footer and final magic bytes. `intact`: it also is undamaged, and its summary describes it.
    `start_ns`..`end_ns`: the smallest and the largest log time, 0 without messages. `compression`: of the
    first chunk, empty without one.
    """

    def __init__(self, view: memoryview) -> None:
        """Read the whole file once; raises ValueError when it is not an MCAP file."""
        found = survey(view)
        self._view, self._pieces, self._metadata = view, found.pieces, found.contents.metadata
        self.schemas = dict(sorted(found.declarations.schemas.items()))
        self.channels = {
            number: FileChannel(
                number, item.topic, item.encoding, item.metadata, self.schemas.get(item.schema)
            )
            for number, item in sorted(found.declarations.channels.items())
        }
        counts = found.contents.counts
        self.counts = {number: counts.get(number, 0) for number in self.channels}
        self.undeclared = sum(counts.values()) - sum(self.counts.values())
        self.header: Header = found.header
        self.damage: list[Damage] = found.damage
        self.finished, self.intact = found.finished, found.consistent
        self.start_ns, self.end_ns = found.start_ns or 0, found.end_ns or 0
        self.compression = found.compression

    @property
    def total(self) -> int:
        """Number of messages that `messages` yields."""
        return sum(self.counts.values())

    @property
    def cut_bytes(self) -> int:
        """Number of bytes after the last whole record."""
        return sum(each.end - each.start for each in self.damage if each.harm == Harm.TAIL)

    @property
    def damaged_chunks(self) -> int:
        """Number of chunks that are left out because their content is damaged."""
        return sum(each.harm == Harm.CHUNK for each in self.damage)

    @property
    def metadata(self) -> dict[str, dict[str, str]]:
        """The named texts; of several with one name, the last."""
        records = (self._view[start + PREFIX.size : start + size] for start, size in self._metadata.items())
        parsed = (mcap_parse.parse(mcap.METADATA, content) for content in records)
        return {item.name: item.values for item in parsed}

    def messages(self) -> Iterator[Message]:
        """Yield the intact messages of declared channels, in file order."""
        return (item for item in self.items() if isinstance(item, Message))

    def items(self) -> Iterator[Item]:
        """Yield all intact contents but declarations and indexes, in file order."""
        for piece in self._pieces:
            if piece.form == Form.RECORDS:
                for _, opcode, content in records_in(self._view[piece.start : piece.end]):
                    yield from self._chunk(content) if opcode == mcap.CHUNK else self._record(opcode, content)
            else:
                yield from self._chunk(self._view[piece.start + PREFIX.size : piece.end])

    def _chunk(self, content: memoryview) -> Iterator[Item]:
        """Yield the contents of an intact chunk, or of the beginning of one."""
        head = read_head(content)
        for _, opcode, inner in records_in(unpack_part(head, content[head.bytes :])):
            yield from self._record(opcode, inner)

    def _record(self, opcode: int, content: memoryview) -> Iterator[Item]:
        if opcode == mcap.MESSAGE:
            if len(content) >= MESSAGE.size:
                channel, sequence, log_ns, publish_ns = MESSAGE.unpack_from(content)
                if channel in self.channels:
                    yield Message(channel, sequence, log_ns, publish_ns, content[MESSAGE.size :])
        elif opcode in (mcap.METADATA, mcap.ATTACHMENT):
            with contextlib.suppress(Malformed):
                yield mcap_parse.parse(opcode, content)
        elif opcode >= mcap.PRIVATE:
            yield PrivateRecord(memoryview(PREFIX.pack(opcode, len(content)) + bytes(content)))
