"""Write small files so that a reader, or a crash, never sees half of one."""

from __future__ import annotations

import os
from pathlib import Path


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace the file at `path` by one with `text`, in one step.

    `durable`: have it survive a power cut too, which can take as long as the disk is busy.
    Raises OSError when the folder can't be written; the old file is then as it was.
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
