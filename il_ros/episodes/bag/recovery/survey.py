"""Find the intact records of an MCAP file that is cut off, has no index, or is damaged anywhere.

The file is read record by record. Where no plausible record follows, the search continues byte by byte until
one is found whose successor is plausible too. A chunk is intact when its checksum is right (or, without one,
when its records fill it exactly), whatever the bytes of its opcode and length.
"""

from __future__ import annotations

import itertools
import re
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from il_ros.episodes.bag import mcap_parse
from il_ros.episodes.bag import mcap_records as mcap
from il_ros.episodes.bag.mcap_chunk import frames_in
from il_ros.episodes.bag.mcap_parse import (
    MESSAGE,
    PREFIX,
    Channel,
    Checksum,
    Footer,
    Header,
    Malformed,
    MessageIndex,
    Schema,
)
from il_ros.episodes.bag.recovery import summary
from il_ros.episodes.bag.recovery.chunks import Chunks, IntactChunk, Tally
from il_ros.episodes.bag.recovery.damage import Damage, Form, Harm, Piece
from il_ros.episodes.bag.recovery.declarations import Declarations, Trust
from il_ros.episodes.bag.recovery.summary import Contents

_CHUNK_HEAD = rb"\x06.{5}\0{3}.{28}(?:\0{4}|\x03\0{3}lz4|\x04\0{3}zstd).{5}\0{3}"
_CHUNK = re.compile(_CHUNK_HEAD, re.DOTALL)
_IN_CHUNKS = re.compile(_CHUNK_HEAD + rb"|[\x02\x07-\x0f].{4}\0{4}", re.DOTALL)
_OUTSIDE_CHUNKS = re.compile(_CHUNK_HEAD + rb"|[\x02-\x05\x07-\x0f].{4}\0{4}", re.DOTALL)
_DECLARATION = re.compile(rb"[\x03\x04].{3}\0{5}", re.DOTALL)
_LOOK_AHEAD = 64


@dataclass
class Survey:
    """The intact pieces and the damage of a file, in the order of their offsets.

    `finished`: the file has its footer and final magic bytes. `consistent`: it is finished, undamaged, and its
    summary describes its data. `start_ns`..`end_ns`: smallest and largest log time, None without a message.
    `compression`: of its first intact chunk.
    """

    pieces: list[Piece] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    declarations: Declarations = field(default_factory=Declarations)
    contents: Contents = field(default_factory=Contents)
    header: Header = field(default_factory=lambda: Header("ros2", ""))
    finished: bool = False
    consistent: bool = False
    start_ns: int | None = None
    end_ns: int | None = None
    compression: str = ""


def survey(view: memoryview) -> Survey:
    """Read a whole file; raises ValueError when there is no MCAP record in it."""
    return _Walk(view).run()


class _Walk:
    """One pass over a file."""

    def __init__(self, view: memoryview) -> None:
        self.view, self.size = view, len(view)
        self.found = Survey()
        self.summary = summary.read(view)
        self.hints = self.summary.hints()
        self.chunks = Chunks(view)
        self.found.declarations.numbers |= self.summary.numbers(Channel)
        self.named_chunks = self.summary.chunks()
        self.has_chunks = bool(self.named_chunks)
        self.messages_outside: bool | None = None
        self.last_ns: int | None = None
        self.last_chunk: Tally | None = None
        self.after_footer = False

    def run(self) -> Survey:
        found, magic = self.found, mcap.MAGIC
        place = len(magic)
        if self.view[:place] != magic[: self.size]:
            first = place if self._begins(place) and place < self.size else self._search(0)
            if first is None:
                raise ValueError("it doesn't begin with the MCAP magic bytes")
            place = first
            self._damaged(0, place, Harm.START)
        while place < self.size:
            place = self._record(place) or self._skip(place)
        self._check()
        return found

    def _check(self) -> None:
        """Compare the declarations with each other, and the summary with the data."""
        found = self.found
        wrong = found.declarations.resolve(found.contents.counts)
        found.damage += [Damage(start, end, Harm.INDEX) for start, end in wrong]
        schemas, channels = found.declarations.schemas, found.declarations.channels
        agree = found.finished and summary.agrees(self.summary, found.contents, schemas, channels)
        if found.finished and not found.damage and not agree:
            found.damage.append(Damage(self.summary.start, self.size, Harm.INDEX))
        found.damage.sort(key=lambda each: each.start)
        found.consistent = agree and not found.damage

    # ---- one record after the other ----------------------------------------------------------------------

    def _record(self, place: int) -> int | None:
        """Accept the record at `place` and return its end; None when there is no intact one."""
        if self.after_footer and self.view[place : place + len(mcap.MAGIC)] == mcap.MAGIC:
            self.after_footer = False
            self.found.finished = place + len(mcap.MAGIC) == self.size
            return place + len(mcap.MAGIC)
        if place + PREFIX.size > self.size:
            return None
        opcode, length = self._prefix(place)
        end = place + PREFIX.size + length
        if opcode == mcap.MESSAGE and self._message(place, end):
            return self._keep(place, end)
        record = self._parsed(place, opcode, end)
        if record is not None and not self._is_too_long(place, end, record):
            self._register(place, end, opcode, record)
            return self._keep(place, end)
        self.has_chunks |= opcode == mcap.CHUNK and self.chunks.head(place) is not None
        chunk = self.chunks.at(place)
        if chunk is not None:
            return self._accept(place, chunk)
        if opcode == mcap.CHUNK and self.chunks.states_its_end(place, end) and self._begins(end):
            if self._search(place + 1, end) is not None:
                return None  # bytes of the chunk are lost
            self._damaged(place, end, Harm.CHUNK)
            return end
        if opcode >= mcap.PRIVATE and end <= self.size and self._begins(end):
            return self._keep(place, end)
        return None

    def _message(self, place: int, end: int) -> bool:
        """Register the message outside of chunks at `place`; return False when it is none."""
        if end > self.size or end - place < PREFIX.size + MESSAGE.size:
            return False
        if self.found.damage and not self._outside():
            return False  # in the rest of a damaged chunk, where nothing confirms it
        if not self._begins(end) and self._length_is_wrong(place, end):
            return False
        if not self.found.damage:
            self.messages_outside = True
        number, _, log_ns, _ = MESSAGE.unpack_from(self.view, place + PREFIX.size)
        self.found.contents.counts[number] = self.found.contents.counts.get(number, 0) + 1
        self._passed([log_ns] * 4)
        return True

    def _prefix(self, place: int) -> tuple[int, int]:
        opcode, length = PREFIX.unpack_from(self.view, place)
        return int(opcode), int(length)

    def _parsed(self, place: int, opcode: int, end: int) -> Any:
        """Return the record from `place` to `end` if it is one, and neither message nor chunk nor private."""
        if end > self.size:
            return None
        try:
            return mcap_parse.parse(opcode, self.view[place + PREFIX.size : end])
        except Malformed:
            return None

    def _is_too_long(self, place: int, end: int, record: object) -> bool:
        """Return whether bytes of the record from `place` to `end` are lost, so that it ends in another one."""
        wrong = isinstance(record, MessageIndex) and self._contradicts(record)
        return (wrong or not self._begins(end)) and self._search(place + 1, end) is not None

    def _contradicts(self, index: MessageIndex) -> bool:
        """Return whether an index names messages that are not in the chunk before it."""
        if self.last_chunk is None:
            return False
        return not set(index.entries) <= self.last_chunk.entries.get(index.channel, set())

    def _length_is_wrong(self, place: int, end: int) -> bool:
        """Return whether the message at `place` is damaged, rather than the record that follows it."""
        if end < self.size and self.view[end] == mcap.MESSAGE:
            return False  # the next record begins here
        if end + PREFIX.size <= self.size:
            after = end + PREFIX.size + PREFIX.unpack_from(self.view, end)[1]
            if after < self.size and self._begins(after):
                return False  # only the opcode that follows is wrong
        other = self._search(place + 1)
        if other is None:
            return False
        head = place + PREFIX.size
        return other < end or ((end - head) ^ (other - head)).bit_count() == 1

    def _register(self, place: int, end: int, opcode: int, record: object) -> None:
        found, inside = self.found, 0 < self.summary.start <= place
        self.after_footer = opcode == mcap.FOOTER
        if isinstance(record, Schema | Channel):
            trust = Trust.CHECKED if inside and self.summary.trusted else Trust.PLAIN
            known = self.summary.numbers(type(record)) if self.summary.trusted else set()
            if known and record.number not in known:
                trust = Trust.DAMAGED  # its number is wrong
                self._damaged(place, end, Harm.INDEX)
            found.declarations.add(record, trust, (place, end))
        elif opcode == mcap.METADATA:
            found.contents.metadata[place] = end - place
        elif opcode == mcap.ATTACHMENT:
            found.contents.attachments[place] = end - place
        elif isinstance(record, Footer) and record.summary_start != self.summary.start:
            self._damaged(place, end, Harm.INDEX)
        elif isinstance(record, Header) and place == len(mcap.MAGIC):
            found.header = record
        elif isinstance(record, MessageIndex) and self._contradicts(record):
            self._damaged(place, end, Harm.INDEX)
        elif isinstance(record, Checksum) and record.crc and not found.damage:
            self._check_data(place, record.crc)

    def _check_data(self, place: int, crc: int) -> None:
        """Check the checksum of the data, which end at `place`."""
        if zlib.crc32(self.view[:place]) != crc:
            self._damaged(len(mcap.MAGIC), place, Harm.UNKNOWN)

    def _accept(self, place: int, chunk: IntactChunk) -> int:
        tally, contents = chunk.tally, self.found.contents
        if chunk.exact:
            self._keep(place, chunk.end)
        else:
            self.found.pieces.append(Piece(place, chunk.end, Form.CHUNK))
            self._damaged(place, place + PREFIX.size, Harm.HEAD)
        head = self.chunks.head(place)
        if head is not None and not contents.chunks:
            self.found.compression = head.compression
        extremes = (tally.times_ns[2], tally.times_ns[3]) if tally.times_ns else None
        contents.chunks[place] = (chunk.end - place, extremes)
        self._count(tally, chunk.trust, (place, chunk.end))
        return chunk.end

    def _count(self, tally: Tally, trust: Trust, extent: tuple[int, int]) -> None:
        for number, count in tally.counts.items():
            self.found.contents.counts[number] = self.found.contents.counts.get(number, 0) + count
        for opcode, content in tally.declared:
            self.found.declarations.add_bytes(opcode, content, trust, extent)
        self.last_chunk = tally
        if tally.times_ns:
            self._passed(tally.times_ns)

    def _keep(self, start: int, end: int) -> int:
        """Add an intact piece, joined to the piece before it."""
        pieces = self.found.pieces
        if pieces and pieces[-1].end == start and pieces[-1].form == Form.RECORDS:
            start = pieces.pop().start
        pieces.append(Piece(start, end, Form.RECORDS))
        return end

    def _passed(self, times_ns: list[int]) -> None:
        """Register the log times of messages: the first, the last, the smallest, the largest."""
        first_ns, self.last_ns, smallest_ns, largest_ns = times_ns
        found = self.found
        found.start_ns = smallest_ns if found.start_ns is None else min(found.start_ns, smallest_ns)
        found.end_ns = largest_ns if found.end_ns is None else max(found.end_ns, largest_ns)
        for k in range(len(found.damage) - 1, -1, -1):
            if found.damage[k].before_ns is not None:
                break
            found.damage[k] = replace(found.damage[k], before_ns=first_ns)

    # ---- damage ------------------------------------------------------------------------------------------

    def _skip(self, place: int) -> int:
        """Return the next intact record after the damaged one at `place`, or the end of the file."""
        after = self._search(place + 1)
        if after is None:
            kept = self._part(place)
            if kept < self.size:
                self._damaged(kept, self.size, Harm.TAIL)
            return self.size
        places = [place, *sorted(each for each in self.named_chunks if place < each < after), after]
        for start, end in itertools.pairwise(places):
            is_chunk = self.view[start] == mcap.CHUNK or start in self.named_chunks
            self._damaged(start, end, Harm.CHUNK if is_chunk else Harm.RECORDS)
        return after

    def _damaged(self, start: int, end: int, harm: Harm) -> None:
        self.found.damage.append(Damage(start, end, harm, self.last_ns))
        if harm in (Harm.START, Harm.CHUNK, Harm.RECORDS, Harm.TAIL):
            self.last_chunk = None  # an index that follows may be of the damaged chunk
            for opcode, content in self._declared_in(start, end):
                self.found.declarations.add_bytes(opcode, content, Trust.DAMAGED, (start, end))

    def _declared_in(self, start: int, end: int) -> Iterator[tuple[int, memoryview]]:
        """Yield what look like declarations in a damaged span: intact messages elsewhere may need them."""
        span = self.view[start:end]
        for part in (span, *frames_in(span)):
            for match in _DECLARATION.finditer(part):
                opcode, length = PREFIX.unpack_from(part, match.start())
                content = part[match.end() : match.end() + length]
                if len(content) == length:
                    yield opcode, content

    def _part(self, place: int) -> int:
        """Keep the whole records of a chunk that the end of the file cuts off; return where they end."""
        part = self.chunks.part(place)
        if part is None:
            return place
        end, whole_end, tally = part
        self.found.pieces.append(Piece(place, end, Form.PART))
        self._count(tally, Trust.DAMAGED, (place, end))
        return whole_end

    # ---- plausibility ------------------------------------------------------------------------------------

    def _search(self, start: int, end: int | None = None) -> int | None:
        """Return the first place from `start` on, and before `end`, where an intact record begins."""
        limit = self.size if end is None else min(end, self.size)
        return next((place for place in self._candidates(start, limit) if self._target(place)), None)

    def _candidates(self, start: int, end: int) -> Iterator[int]:
        pattern = _OUTSIDE_CHUNKS if self._outside() else _IN_CHUNKS
        place = start
        named = self.hints[bisect_left(self.hints, start) : bisect_left(self.hints, end)]
        for stop in (*named, end):
            limit = min(self.size, stop + _LOOK_AHEAD)
            while (match := pattern.search(self.view, place, limit)) and match.start() < stop:
                yield match.start()
                place = match.start() + 1
            if stop < end:
                yield stop
            place = max(place, stop + 1)

    def _target(self, place: int) -> bool:
        """Return whether an intact record begins at `place`, and a plausible one follows it."""
        if place + PREFIX.size > self.size:
            return False
        opcode, length = self._prefix(place)
        end = place + PREFIX.size + length
        if opcode == mcap.CHUNK or place in self.named_chunks:
            if self.chunks.at(place) is not None:
                return True
            if opcode == mcap.CHUNK:
                return self.chunks.states_its_end(place, end) and end < self.size and self._begins(end)
        if end > self.size or not self._begins(end):
            return False
        if opcode == mcap.MESSAGE:
            return self._begins(place)
        return self._parsed(place, opcode, end) is not None

    def _begins(self, place: int) -> bool:
        """Return whether the bytes at `place` may begin a record, or the file ends there."""
        left = self.size - place
        if left < PREFIX.size:
            return not left or self.view[place:] == mcap.MAGIC or 0 < self.view[place] <= mcap.DATA_END
        opcode, length = self._prefix(place)
        end = place + PREFIX.size + length
        if opcode == mcap.MESSAGE:
            if left < PREFIX.size + MESSAGE.size or length < MESSAGE.size or length >= 1 << 32:
                return False
            known: set[int] = self.found.declarations.numbers
            number: int = MESSAGE.unpack_from(self.view, place + PREFIX.size)[0]
            return not known or number in known
        if opcode == mcap.CHUNK:
            head = self.chunks.head(place)
            return head is not None and (end > self.size or self.chunks.states_its_end(place, end))
        if end > self.size:
            return opcode in (mcap.ATTACHMENT, mcap.METADATA, mcap.SCHEMA, mcap.CHANNEL) and length < 1 << 40
        if opcode == mcap.FOOTER and self.view[end : end + len(mcap.MAGIC)] != mcap.MAGIC:
            return False
        if opcode >= mcap.PRIVATE:  # only its successor says whether it is one
            return end == self.size or (self.view[end] < mcap.PRIVATE and self._begins(end))
        return self._parsed(place, opcode, end) is not None

    def _outside(self) -> bool:
        """Return whether messages lie outside of chunks in this file."""
        if self.messages_outside is None and not self.has_chunks:
            hits = _CHUNK.finditer(self.view)
            self.has_chunks = any(self.chunks.at(match.start()) is not None for match in hits)
        if self.messages_outside is None:
            self.messages_outside = not self.has_chunks
        return self.messages_outside
