"""Places of this process's own, which a fault may fill or forbid: small file systems, and a small /dev/shm."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

SHARED = Path("/dev/shm")
SHARED_SIZE = "640m"  # each participant takes 33 MB of it, before it sends anything
EPISODES_SIZE, VERSIONS_SIZE = "256m", "32m"
_CLONE_NEWNS = 0x00020000
_FILL_BYTES = 1 << 16
_may_mount = False


def own_mounts() -> bool:
    """Give this process mounts of its own, and a /dev/shm of its own; return False if it may not mount.

    Call it before any thread is started.
    """
    global _may_mount
    if os.geteuid() == 0 and ctypes.CDLL(None).unshare(_CLONE_NEWNS) == 0:  # a container's root may not
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        _mount(SHARED, SHARED_SIZE)
        _may_mount = True
    return _may_mount


@contextlib.contextmanager
def disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a small file system at `folder`, if this process may; it can then be full, or read-only."""
    folder.mkdir(parents=True)
    if not _may_mount:
        yield
        return
    _mount(folder, size)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Leave no byte free where `folder` is."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        while True:
            file.write(bytes(_FILL_BYTES))
            file.flush()
    try:
        yield
    finally:
        ballast.unlink()


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Forbid writing at the mounted `folder`; no file of it may be open for writing."""
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", folder], check=True)


def _mount(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
