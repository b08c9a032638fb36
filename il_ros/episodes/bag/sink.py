"""The file of a bag: appends blocks, and truncates to the last complete append when a write fails."""

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
"""Buffers per system call; the kernel's limit is 1024."""
_PAGE = 4096
"""Alignment of direct writes in bytes; sufficient for common disks and file systems."""
_STAGE_BYTES = 1024 * 1024
_DIRECT_FROM_BYTES = 256 * 1024
"""Smaller appends go through the page cache."""


class Sink(Protocol):
    """Destination of a bag's bytes; tests inject failing ones."""

    size: int

    def append(self, blocks: Sequence[Buffer]) -> None:
        """Write all blocks or none; raises OSError."""

    def sync(self) -> None:
        """Flush the file to the disk, so that it survives a power failure; raises OSError."""

    def check(self) -> None:
        """Raise OSError when the file was deleted or moved."""

    def close(self) -> None:
        """Close the file."""


class FileSink:
    """A new file, written without a user-space buffer: completed appends survive a kill.

    Large appends bypass the kernel's page cache (O_DIRECT). Copying camera streams through the cache costs a
    fifth of a core, and its write-back stalls for tens of milliseconds. The bytes before the first and after
    the last whole page go through the cache; no page is written both ways. When the file system does not
    support O_DIRECT, all bytes go through the cache.
    The file is locked (flock) while it is open, so other processes can tell a running recording from a crash.
    """

    def __init__(self, path: Path):
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)  # `being_written` holds the lock briefly
        self._direct = _open_direct(path)
        self._stage = mmap.mmap(-1, _STAGE_BYTES) if self._direct is not None else None
        self.size = 0

    def append(self, blocks: Sequence[Buffer]) -> None:
        """Write all blocks; on failure truncate the file to its previous size and raise OSError."""
        length = sum(len(block) for block in blocks)
        try:
            if self._direct is not None and length >= _DIRECT_FROM_BYTES:
                self._write_mostly_direct(blocks, length)
            else:
                self._write_cached(blocks, self.size)
        except OSError as error:
            os.ftruncate(self._descriptor, self.size)
            if error.errno is not None and error.filename is None:
                error.filename = str(self._path)
            raise
        self.size += length

    def sync(self) -> None:
        """Flush the file to the disk, so that it survives a power failure; raises OSError."""
        os.fdatasync(self._descriptor)

    def check(self) -> None:
        """Raise OSError when the file was deleted or moved: further writes would be lost."""
        opened = os.fstat(self._descriptor)
        found = os.stat(self._path)  # a FileNotFoundError names the path
        if (opened.st_ino, opened.st_dev) != (found.st_ino, found.st_dev):
            raise FileNotFoundError(f"{self._path} is another file now")

    def close(self) -> None:
        """Close the file."""
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None
        os.close(self._descriptor)

    def _write_cached(self, blocks: Sequence[Buffer], offset: int) -> None:
        """Write the blocks at `offset` through the page cache."""
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
        """Append the blocks: whole pages directly, the bytes before and after them through the cache."""
        start, end = -(-self.size // _PAGE) * _PAGE, (self.size + length) // _PAGE * _PAGE
        head, whole = start - self.size, end - start
        self._write_cached(_cut(blocks, 0, head), self.size)
        for done in range(0, whole, _STAGE_BYTES):
            part = min(_STAGE_BYTES, whole - done)
            self._write_direct(_cut(blocks, head + done, head + done + part), part, start + done)
        self._write_cached(_cut(blocks, head + whole, length), end)

    def _write_direct(self, blocks: Sequence[Buffer], length: int, offset: int) -> None:
        """Write `length` bytes directly; `length` and `offset` are multiples of the page size."""
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
            if written % _PAGE or not written:  # the disk requires another alignment, or is nearly full
                self._write_cached([view[written:]], offset + written)
                return
            view, offset = view[written:], offset + written


def being_written(file: IO[bytes]) -> bool:
    """Return whether a recorder holds the lock of an open file."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


def _open_direct(path: Path) -> int | None:
    """Return a second descriptor for direct writes; None when they are not supported."""
    try:
        return os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except (OSError, AttributeError):  # AttributeError: an operating system without O_DIRECT
        return None


def _cut(blocks: Sequence[Buffer], start: int, end: int) -> list[Buffer]:
    """Return bytes `start` to `end` of the concatenated blocks, without copying."""
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
