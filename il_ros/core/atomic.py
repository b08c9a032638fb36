"""Atomic writing of small files and folders: no reader sees an incomplete one, even after a crash."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace the file at `path` atomically by one with `text`.

    `durable`: flush to the disk, to survive a power failure; this can block while the disk is busy.
    Raises OSError when the folder is not writable; the old file is then unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; at the end of the block it replaces `path`, whose old content is deleted.

    When the block raises, `path` is unchanged. The files are flushed to the disk before the exchange.
    Raises OSError when the parent is not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.iterdir():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        if path.exists():
            _exchange(temporary, path)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def _exchange(first: Path, second: Path) -> None:
    """Swap two folders, atomically where the file system supports it (renameat2 of Linux)."""
    renameat2 = getattr(_LIBC, "renameat2", None)
    paths = os.fsencode(first), os.fsencode(second)
    if renameat2 and not renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE):
        return
    aside = first.with_name(f"{first.name}.old")
    second.rename(aside)
    first.rename(second)
    aside.rename(first)
