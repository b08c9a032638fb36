"""Find the damage in an MCAP file by reading all of it, whichever messages are wanted.

The result is kept beside the array cache, so that later readers of an unchanged file know it at once.
"""

from __future__ import annotations

import dataclasses
import json
import mmap
import os
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from il_ros.core import atomic, files
from il_ros.episodes.bag import mcap_parse
from il_ros.episodes.bag import mcap_records as mcap
from il_ros.episodes.bag.mcap_chunk import ChunkError, read_head, records_in, unpack
from il_ros.episodes.bag.mcap_parse import PREFIX, Malformed
from il_ros.episodes.bag.mcap_scan import Scan
from il_ros.episodes.bag.recovery.damage import DamagedSpan, Harm, span_of
from il_ros.records import strict_json as check
from il_ros.records.strict_json import JsonError

FOLDER = Path(".cache", "checked")
_MOST_BYTES = 1 << 24
_RELEASE_BYTES = 1 << 26

Spans = tuple[DamagedSpan, ...]
State = tuple[str, int, int, int]
"""Path, size, time of the last change and inode of a file."""


def damage(file: Path, *, most_bytes: int | None = None) -> Spans:
    """Return the damaged spans of an MCAP file, in the order of their offsets; empty when it is intact.

    A file larger than `most_bytes` is not read: its damage is known only if it was read before.
    A file that holds no MCAP record is one span. Raises OSError when it can't be read.
    """
    stat = file.stat()
    state = (str(file.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino)
    known = _known.get(state)
    if known is None:
        known = _recall(file, state)
    if known is None:
        if most_bytes is not None and stat.st_size > most_bytes:
            return ()
        known = _examine(file, stat.st_size)
        _remember(file, state, known)
    _known[state] = known
    return known


def sentence(spans: Sequence[DamagedSpan]) -> str:
    """Return the first spans in words, and how many more there are."""
    listed = "; ".join(span.words for span in spans[:3])
    return listed + (f"; and {len(spans) - 3} more" if len(spans) > 3 else "")


_known: dict[State, Spans] = {}


def _examine(file: Path, size: int) -> Spans:
    if not size:
        return (DamagedSpan(file.name, 0, 0, Harm.TAIL, None, None),)
    with file.open("rb") as stream:
        # The map is not closed here: the traceback of an error may still hold views of it.
        pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    view = memoryview(pages)
    if _is_intact(view, lambda end: pages.madvise(mmap.MADV_DONTNEED, 0, end - end % mmap.PAGESIZE)):
        return ()
    try:
        scan = Scan(view)
    except ValueError:
        return (DamagedSpan(file.name, 0, size, Harm.START, None, None),)
    spans = tuple(span_of(file.name, each, scan.start_ns) for each in scan.damage)
    if spans or scan.finished:
        return spans
    return (DamagedSpan(file.name, size, size, Harm.TAIL, (scan.end_ns - scan.start_ns) / 1e9, None),)


def _is_intact(view: memoryview, release: Callable[[int], None]) -> bool:
    """Return whether every record is whole and every stored checksum of the data is right.

    `release(end)` is called with the end of what will not be read again, so that memory stays bounded.
    """
    size, place, crc, released = len(view), len(mcap.MAGIC), zlib.crc32(mcap.MAGIC), 0
    if view[:place] != mcap.MAGIC or view[size - place :] != mcap.MAGIC:
        return False
    try:
        while place + PREFIX.size <= size:
            opcode, length = PREFIX.unpack_from(view, place)
            end = place + PREFIX.size + length
            if end > size:
                return False
            content = view[place + PREFIX.size : end]
            if opcode == mcap.CHUNK:
                head = read_head(content)
                if head.bytes + head.stored != length:
                    return False
                records = unpack(head, content[head.bytes :])
                if not head.crc:
                    deque(
                        records_in(records, whole=True), maxlen=0
                    )  # raises ChunkError if they do not fill it
            elif opcode == mcap.FOOTER:
                return end == size - len(mcap.MAGIC) and _summary_is_right(view, place, content)
            elif opcode != mcap.MESSAGE and opcode < mcap.PRIVATE:
                parsed = mcap_parse.parse(opcode, content, exact=False)
                if opcode == mcap.DATA_END and parsed.crc not in (0, crc):
                    return False
            crc = zlib.crc32(view[place:end], crc)
            place = end
            if place - released > _RELEASE_BYTES:
                released = place
                release(place)
    except (ChunkError, Malformed):
        return False
    return False


def _summary_is_right(view: memoryview, place: int, content: memoryview) -> bool:
    """Return whether the checksum in the footer at `place` is right, or there is none."""
    footer = mcap_parse.parse(mcap.FOOTER, content, exact=False)
    if not footer.crc:
        return True
    covered = view[footer.summary_start : place + mcap.FOOTER_SIZE - 4]
    return 0 < footer.summary_start < place and zlib.crc32(covered) == int(footer.crc)


# ---- kept results ----------------------------------------------------------------------------------------


def _place(file: Path) -> Path:
    return file.parent.parent / FOLDER / file.parent.name / f"{file.name}.json"


def _recall(file: Path, state: State) -> Spans | None:
    try:
        kept = _KEPT(check.loads(files.read_text(_place(file), _MOST_BYTES)), "")
        spans = tuple(DamagedSpan(**{**span, "harm": Harm[span["harm"]]}) for span in kept["spans"])
    except (OSError, ValueError, JsonError):
        return None
    return spans if kept["state"] == tuple(str(value) for value in state[1:]) else None


def _remember(file: Path, state: State, spans: Spans) -> None:
    """Keep a result if the root has a cache that can be written; it only saves time."""
    place = _place(file)
    if not place.parents[2].is_dir():
        return
    values = [{**dataclasses.asdict(span), "harm": span.harm.name} for span in spans]
    try:
        os.makedirs(place.parent, exist_ok=True)
        text = json.dumps({"state": [str(value) for value in state[1:]], "spans": values})
        atomic.write_text(place, text, durable=False)
    except OSError:
        return


_SECONDS = check.or_null(check.number())
_SPAN = check.record(
    "a span",
    {
        "file": check.text,
        "start": check.whole(),
        "end": check.whole(),
        "harm": check.one_of(*(harm.name for harm in Harm)),
        "after_s": _SECONDS,
        "before_s": _SECONDS,
    },
)
_KEPT = check.record("a result", {"state": check.several(check.text), "spans": check.several(_SPAN)})
