"""The file below a bag: appends whole blocks, and goes back to the last whole one when a write fails."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

Buffer = bytes | bytearray | memoryview

_MOST_BUFFERS = 1000
"""Buffers per system call; the kernel takes 1024."""
_PAGE = 4096
"""What direct writes must be aligned to: no common disk or file system wants more."""
_STAGE_BYTES = 1024 * 1024
_DIRECT_FROM_BYTES = 256 * 1024
"""Smaller appends aren't worth a trip to the disk of their own."""


class Sink(Protocol):
    """Where a bag's bytes go; tests put one that fails here."""

    size: int

    def append(self, blocks: Sequence[Buffer]) -> None:
        """Write all blocks or none; raises OSError."""

    def sync(self) -> None:
        """Have what was written survive a power cut; raises OSError."""

    def check(self) -> None:
        """Raise OSError when the file is no longer where it was created."""

    def close(self) -> None:
        """Let go of the file."""


class FileSink:
    """A new file, written without a buffer of our own: what `append` returned from survives a kill.

    Large appends go past the kernel's page cache (O_DIRECT): copying camera streams into pages that nobody
    reads soon costs a fifth of a core and, when the kernel writes them back, stalls of tens of milliseconds.
    The parts before the first and behind the last whole page go through the cache; no page gets both. Where
    the file system can't write directly, all goes through the cache.
    The file is locked (flock) while it is being written, so that others can tell a recording from a crash.
    """

    def __init__(self, path: Path):
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # who asks `being_written` holds it for a moment
        self._direct = _open_direct(path)
        self._stage = mmap.mmap(-1, _STAGE_BYTES) if self._direct is not None else None
        self.size = 0

    def append(self, blocks: Sequence[Buffer]) -> None:
        """Write all blocks; when that fails, cut the file back to what it was before and raise OSError."""
        length = sum(len(block) for block in blocks)
        try:
            if self._direct is not None and length >= _DIRECT_FROM_BYTES:
                self._write_mostly_direct(blocks, length)
            else:
                self._write_cached(blocks, self.size)
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += length

    def sync(self) -> None:
        """Have what was written survive a power cut."""
        os.fdatasync(self._descriptor)

    def check(self) -> None:
        """Raise OSError when the file was deleted or moved: writing on would be for nobody."""
        here = os.fstat(self._descriptor)
        there = os.stat(self._path)  # FileNotFoundError names it
        if (here.st_ino, here.st_dev) != (there.st_ino, there.st_dev):
            raise FileNotFoundError(f"{self._path} is another file now")

    def close(self) -> None:
        """Let go of the file."""
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None
        os.close(self._descriptor)

    def _write_cached(self, blocks: Sequence[Buffer], offset: int) -> None:
        """Write blocks from `offset` on, through the page cache."""
        for first in range(0, len(blocks), _MOST_BUFFERS):
            left = list(blocks[first : first + _MOST_BUFFERS])
            while left:
                written = os.pwritev(self._descriptor, left, offset)
                offset += written
                while left and written >= len(left[0]):
                    written -= len(left.pop(0))
                if written:
                    left[0] = memoryview(left[0])[written:]

    def _write_mostly_direct(self, blocks: Sequence[Buffer], length: int) -> None:
        """Write blocks at the end: to the first page's start, then whole pages directly, then the rest."""
        start, end = -(-self.size // _PAGE) * _PAGE, (self.size + length) // _PAGE * _PAGE
        head, whole = start - self.size, end - start
        self._write_cached(_cut(blocks, 0, head), self.size)
        for done in range(0, whole, _STAGE_BYTES):
            part = min(_STAGE_BYTES, whole - done)
            self._write_direct(_cut(blocks, head + done, head + done + part), part, start + done)
        self._write_cached(_cut(blocks, head + whole, length), end)

    def _write_direct(self, blocks: Sequence[Buffer], length: int, offset: int) -> None:
        """Write `length` bytes, whole pages, to an aligned offset."""
        assert self._direct is not None
        assert self._stage is not None
        place = 0
        for block in blocks:
            self._stage[place : place + len(block)] = block
            place += len(block)
        view = memoryview(self._stage)[:length]
        while len(view):
            try:
                written = os.pwrite(self._direct, view, offset)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                written = 0
            if written % _PAGE or not written:  # this disk wants another alignment, or is nearly full
                self._write_cached([view[written:]], offset + written)
                return
            view, offset = view[written:], offset + written


def being_written(file: IO[bytes]) -> bool:
    """Tell whether a recorder has the open file locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _open_direct(path: Path) -> int | None:
    """Return a second descriptor that writes past the page cache; None where that isn't possible."""
    try:
        return os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except (OSError, AttributeError):  # AttributeError: an operating system without it
        return None


def _cut(blocks: Sequence[Buffer], start: int, end: int) -> list[Buffer]:
    """Return the bytes from `start` to `end` of what the blocks are one after the other, uncopied."""
    return list(_pieces(blocks, start, end))


def _pieces(blocks: Sequence[Buffer], start: int, end: int) -> Iterator[Buffer]:
    place = 0
    for block in blocks:
        first, last = max(start - place, 0), min(end - place, len(block))
        if first < last:
            yield memoryview(block)[first:last]
        place += len(block)
        if place >= end:
            return
