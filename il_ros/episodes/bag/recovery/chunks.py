"""Read the chunks of a damaged MCAP file: a chunk is intact if its content is, whatever its opcode and length."""

from __future__ import annotations

from dataclasses import dataclass, field

from il_ros.episodes.bag import mcap_records as mcap
from il_ros.episodes.bag.mcap_chunk import ChunkError, ChunkHead, read_head, records_in, unpack, unpack_part
from il_ros.episodes.bag.mcap_parse import MESSAGE, PREFIX, Malformed
from il_ros.episodes.bag.recovery.declarations import Trust

_HEAD_BYTES = 128
_BLOCK_BYTES = 1 << 16
_MANY_ZEROS = 512
_EFFORT = 50
"""Candidates are read up to this many times the file's size in all."""


@dataclass
class Tally:
    """The contents of one chunk; `entries`: log time and offset of each channel's messages."""

    entries: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    declared: list[tuple[int, memoryview]] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    """Log times of the first and last message, and the smallest and largest one; empty without messages."""
    end: int = 0
    """Where the last whole record ends. Zeros are none, although opcode 0 and length 0 have a record's form."""


@dataclass(frozen=True)
class IntactChunk:
    """An intact chunk. `exact`: all its fields agree."""

    end: int
    exact: bool
    trust: Trust
    tally: Tally


class Chunks:
    """The chunks of one file."""

    def __init__(self, view: memoryview) -> None:
        self._view, self._size = view, len(view)
        self._effort = _EFFORT * self._size
        self._last: tuple[int, IntactChunk | None] = (-1, None)

    def head(self, place: int) -> ChunkHead | None:
        """Return the head of the chunk at `place`, whatever its opcode and length."""
        start = place + PREFIX.size
        try:
            return read_head(self._view[start : start + _HEAD_BYTES])
        except Malformed:
            return None

    def states_its_end(self, place: int, end: int) -> bool:
        """Return whether a chunk from `place` to `end` states this end twice, and lies in the file."""
        head = self.head(place)
        return head is not None and end == place + PREFIX.size + head.bytes + head.stored <= self._size

    def at(self, place: int) -> IntactChunk | None:
        """Return the intact chunk at `place`, whose opcode and one of its lengths may be wrong."""
        if place != self._last[0]:
            self._last = (place, self._read(place))  # a search and the step after it ask for the same place
        return self._last[1]

    def _read(self, place: int) -> IntactChunk | None:
        head = self.head(place)
        if head is None:
            return None
        opcode, length = PREFIX.unpack_from(self._view, place)
        first, stated = place + PREFIX.size + head.bytes, place + PREFIX.size + length
        agreed = opcode == mcap.CHUNK and stated == first + head.stored
        if not agreed and not head.crc:
            return None  # nothing would confirm it
        for end in dict.fromkeys((first + head.stored, stated)):
            if not first <= end <= self._size or self._effort < end - first:
                continue
            self._effort -= end - first
            try:
                records = unpack(head, self._view[first:end])
                tally = tally_of(records, whole=not head.crc)
            except ChunkError:
                continue
            exact = agreed and tally.end == head.size == len(records)
            exact &= tally.times_ns[2:] in ([], [head.start_ns, head.end_ns])
            return IntactChunk(end, exact, Trust.CHECKED if head.crc else Trust.PLAIN, tally)
        return None

    def part(self, place: int) -> tuple[int, int, Tally] | None:
        """Return what is left of a chunk that the end of the file cuts off.

        Returns where its bytes end, where its whole records end (`place` if it is compressed), and these
        records. There is no checksum for them.
        """
        head = self.head(place)
        if head is None or self._view[place] != mcap.CHUNK:
            return None
        first = place + PREFIX.size + head.bytes
        if first + head.stored <= self._size:
            return None
        end = self._written(first)
        try:
            tally = tally_of(unpack_part(head, self._view[first:end]), whole=False)
        except ChunkError:
            return None
        return (end, first + tally.end if not head.compression else place, tally) if tally.end else None

    def _written(self, start: int) -> int:
        """Return where the file's last bytes other than zeros end, if many zeros follow, or its end.

        A power failure leaves pages of zeros, which would otherwise become the end of a message.
        """
        end = self._size
        while end > start:
            block = bytes(self._view[max(start, end - _BLOCK_BYTES) : end]).rstrip(b"\0")
            place = max(start, end - _BLOCK_BYTES) + len(block)
            if block:
                return place if self._size - place >= _MANY_ZEROS else self._size
            end = place
        return start


def tally_of(records: memoryview, *, whole: bool) -> Tally:
    """Count a chunk's records; raises ChunkError when they have to fill it and do not."""
    tally = Tally()
    smallest_ns = largest_ns = first_ns = last_ns = 0
    for place, opcode, content in records_in(records, whole=whole):
        if opcode and (opcode != mcap.MESSAGE or len(content) >= MESSAGE.size):
            tally.end = place + PREFIX.size + len(content)
        if opcode == mcap.MESSAGE and len(content) >= MESSAGE.size:
            number, _, last_ns, _ = MESSAGE.unpack_from(content)
            tally.entries.setdefault(number, set()).add((last_ns, place))
            if not tally.counts:
                first_ns = smallest_ns = largest_ns = last_ns
            tally.counts[number] = tally.counts.get(number, 0) + 1
            smallest_ns, largest_ns = min(smallest_ns, last_ns), max(largest_ns, last_ns)
        elif opcode in (mcap.SCHEMA, mcap.CHANNEL):
            tally.declared.append((opcode, content))
    if tally.counts:
        tally.times_ns = [first_ns, last_ns, smallest_ns, largest_ns]
    return tally
