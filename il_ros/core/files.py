"""Reading of files that others may have written: regular files only, of bounded size, without blocking.

Opening a FIFO waits for its writer, and a device may never end. Neither is opened for reading here.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from il_ros.core.tables import counted


class UnreadableFileError(OSError):
    """A file that is not a regular one, or is too large; the message names the fault, not the file."""


def read_bytes(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most `most` bytes.

    Raises UnreadableFileError if it is another kind of file or larger, OSError if it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableFileError(f"is {_kind(found.st_mode)}, not a regular file")
        if found.st_size > most:
            raise UnreadableFileError(f"has {counted(found.st_size, 'byte')}; at most {most} are read")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(most + 1)  # it may have grown
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise UnreadableFileError(f"has more than {counted(most, 'byte')}")
    return content


def read_text(path: Path, most: int) -> str:
    """Return the text (UTF-8) of a regular file; raises as `read_bytes`, and UnicodeDecodeError."""
    return read_bytes(path, most).decode("utf-8")


def read_json(path: Path, most: int) -> Any:
    """Return the JSON value of a regular file; raises as `read_bytes`, and ValueError if it is not JSON."""
    return json_of(read_bytes(path, most))


def json_of(raw: bytes | str) -> Any:
    """Return the JSON value of a text (UTF-8); raises ValueError, also if it is nested too deeply."""
    try:
        return json.loads(raw)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_regular(path: Path) -> bool:
    """Return whether a path is a regular file and not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
