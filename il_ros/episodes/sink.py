"""The file below a bag: appends whole blocks, and goes back to the last whole one when a write fails."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

Buffer = bytes | bytearray | memoryview

_MOST_BUFFERS = 1000
"""Buffers per system call; the kernel takes 1024."""


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

    It is locked (flock) while it is being written, so that others can tell a recording from a crash.
    """

    def __init__(self, path: Path):
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.size = 0

    def append(self, blocks: Sequence[Buffer]) -> None:
        """Write all blocks; when that fails, cut the file back to what it was before and raise OSError."""
        try:
            for first in range(0, len(blocks), _MOST_BUFFERS):
                self._write(list(blocks[first : first + _MOST_BUFFERS]))
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            os.lseek(self._descriptor, self.size, os.SEEK_SET)
            raise
        self.size += sum(len(block) for block in blocks)

    def _write(self, blocks: list[Buffer]) -> None:
        while blocks:
            written = os.writev(self._descriptor, blocks)
            while blocks and written >= len(blocks[0]):
                written -= len(blocks.pop(0))
            if written:
                blocks[0] = memoryview(blocks[0])[written:]

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
        os.close(self._descriptor)
