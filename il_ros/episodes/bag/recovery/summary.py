"""Read the summary at the end of an MCAP file as far as it is intact, and compare it with the data."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from il_ros.episodes.bag import mcap_parse
from il_ros.episodes.bag import mcap_records as mcap
from il_ros.episodes.bag.mcap_parse import (
    PREFIX,
    Channel,
    ChunkIndex,
    Index,
    Malformed,
    Schema,
    Statistics,
    SummaryOffset,
)


@dataclass(frozen=True)
class Summary:
    """The readable records of a summary, with their offsets in the file.

    `start`..`end`: from its first record to the end of the file, 0 without a summary. `trusted`: it has a
    checksum, which is right. `whole`: every byte of it was read, and its checksum is not wrong.
    """

    start: int = 0
    end: int = 0
    trusted: bool = False
    whole: bool = False
    records: Sequence[tuple[int, object]] = ()

    def hints(self) -> list[int]:
        """Return the sorted offsets of the records that the summary names, and its own."""
        named = [each.offset for _, each in self.records if isinstance(each, ChunkIndex | Index)]
        return sorted({*named, self.start} - {0})

    def chunks(self) -> set[int]:
        """Return the offsets of the chunks that it names."""
        return {each.offset for _, each in self.records if isinstance(each, ChunkIndex)}

    def numbers(self, kind: type[Schema] | type[Channel]) -> set[int]:
        """Return the numbers of the schemas or channels that it declares."""
        return {each.number for _, each in self.records if isinstance(each, kind)}


@dataclass
class Contents:
    """What the data section of a file holds, to be compared with its summary.

    `chunks`: offset -> length and the first and last log time, None for a chunk without messages. `indexed`:
    offset -> length of the metadata records and attachments. `counts`: number of messages by channel.
    """

    chunks: dict[int, tuple[int, tuple[int, int] | None]] = field(default_factory=dict)
    metadata: dict[int, int] = field(default_factory=dict)
    attachments: dict[int, int] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)


def read(view: memoryview) -> Summary:
    """Return the summary that the footer names; an empty one when there is none or the footer is damaged."""
    at = len(view) - len(mcap.MAGIC) - mcap.FOOTER_SIZE
    if at < 0 or view[at + mcap.FOOTER_SIZE :] != mcap.MAGIC:
        return Summary()
    content = view[at + PREFIX.size : at + mcap.FOOTER_SIZE]
    if PREFIX.unpack_from(view, at) != (mcap.FOOTER, len(content)):
        return Summary()
    footer = mcap_parse.parse(mcap.FOOTER, content)
    if not len(mcap.MAGIC) <= footer.summary_start < at:
        return Summary()
    records = list(_records(view, footer.summary_start, at))
    end = records[-1][1] if records else footer.summary_start
    right = footer.crc == zlib.crc32(view[footer.summary_start : at + mcap.FOOTER_SIZE - 4])
    return Summary(
        footer.summary_start,
        len(view),
        trusted=bool(footer.crc) and right,
        whole=end == at and (right or not footer.crc),
        records=[(offset, record) for offset, _, record in records],
    )


def agrees(
    summary: Summary, data: Contents, schemas: Mapping[int, Schema], channels: Mapping[int, Channel]
) -> bool:
    """Return whether a summary, if there is one, is whole and describes the data and its declarations."""
    if not summary.start:
        return True
    if not summary.whole:
        return False
    places: dict[type, dict[int, object]] = {}
    for offset, record in summary.records:
        places.setdefault(type(record), {})[offset] = record
    starts = {offset for offset, _ in summary.records}
    declared = {record.number: record for _, record in summary.records if isinstance(record, Channel)}
    known = summary.numbers(Schema)
    if (known and known != schemas.keys()) or (declared and declared.keys() != channels.keys()):
        return False
    for _, record in summary.records:
        if isinstance(record, Statistics) and not _counts_agree(record, data):
            return False
        if isinstance(record, SummaryOffset) and record.length and record.start not in starts:
            return False
    if any(item != channels.get(number) for number, item in declared.items()):
        return False
    if summary.chunks():
        needed = {number for number, count in data.counts.items() if count and number in channels}
        if not needed <= declared.keys():
            return False
    if any(item.schema and item.schema not in known for item in declared.values()):
        return False
    return _positions_agree(summary, data)


def _counts_agree(record: Statistics, data: Contents) -> bool:
    stated = {number: count for number, count in record.counts.items() if count}
    counted = {number: count for number, count in data.counts.items() if count}
    return (record.messages, record.attachments, record.metadata, record.chunks) == (
        sum(counted.values()),
        len(data.attachments),
        len(data.metadata),
        len(data.chunks),
    ) and stated in ({}, counted)


def _positions_agree(summary: Summary, data: Contents) -> bool:
    indexed = {**data.metadata, **data.attachments}
    found = 0
    for _, record in summary.records:
        if isinstance(record, ChunkIndex):
            length, times = data.chunks.get(record.offset, (0, None))
            if record.length != length or times not in (None, (record.start_ns, record.end_ns)):
                return False
            found += 1
        elif isinstance(record, Index) and indexed.get(record.offset) != record.length:
            return False
    return found in (0, len(data.chunks))


def _records(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, object]]:
    """Yield offset, end and record up to the first that is none."""
    place = start
    while place + PREFIX.size <= end:
        opcode, length = PREFIX.unpack_from(view, place)
        after = place + PREFIX.size + length
        if after > end:
            return
        try:
            private = opcode >= mcap.PRIVATE
            record = None if private else mcap_parse.parse(opcode, view[place + PREFIX.size : after])
        except Malformed:
            return
        yield place, after, record
        place = after
