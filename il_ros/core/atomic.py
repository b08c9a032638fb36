"""Atomic writing of small files and folders: no reader sees an incomplete one, even after a crash.

What a command writes at a place that a person names replaces only what il_ros wrote (`require_own`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from il_ros.core.files import is_regular

MARK = "written by il_ros"
"""What figures and videos say of their origin, in their metadata."""
PAGE = "index.html"
_PAGE_SIGN = "<title>il_ros: "
_LOOKED_AT = 4 << 20


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace the file at `path` atomically by one with `text`.

    `durable`: flush to the disk, to survive a power failure; this can block while the disk is busy.
    Raises OSError when the folder is not writable; the old file is then unchanged.
    """
    write_bytes(path, text.encode("utf-8"), durable=durable)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace the file at `path` atomically by one with `data`; see `write_text`."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the name of a file to write; at the end of the block it replaces the one at `path`.

    When the block raises, `path` is unchanged and the new file is deleted. An OSError of the new file names `path`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _named(path, temporary):
            yield temporary
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _require_place(path: Path) -> None:
    """Raise OSError, which names `path`, unless its folder can be written to."""
    if not path.parent.is_dir():
        there = path.parent.exists()
        why = f"{path.parent} is not a folder" if there else f"there is no folder {path.parent}"
        raise OSError(errno.ENOTDIR if there else errno.ENOENT, why, os.fspath(path))
    _write_into(path.parent, path)


def require_folder(path: Path) -> None:
    """Raise OSError, which names `path`, unless it is a folder that can be written to, or one that can be made.

    Makes nothing that stays: asked before long work, or before nodes start.
    """
    there = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    if not there.is_dir():
        why = "is not a folder" if there == path else f"{there} is not a folder"
        raise OSError(errno.ENOTDIR, why, os.fspath(path))
    _write_into(there, path)


def _write_into(there: Path, path: Path) -> None:
    """Raise OSError, which names `path`, unless the folder `there` takes a new entry.

    A folder is made and removed: permissions do not tell it of /proc, of a network drive, or to the superuser.
    """
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".il_ros_", dir=there))
    except OSError as error:
        # /proc says that there is no such file
        what = errno.EROFS if error.errno == errno.ENOENT else error.errno or errno.EIO
        why = os.strerror(what)
        if there not in (path, path.parent):
            why = f"{there} cannot be written to: {why[:1].lower()}{why[1:]}"
        raise OSError(what, why, os.fspath(path)) from error


@contextmanager
def folder(path: Path, names: Collection[str]) -> Iterator[Path]:
    """Yield an empty folder to fill with files; at the end of the block it replaces `path`.

    `names`: the files that such a folder may hold. A folder that holds anything else is not replaced, because
    its old content is deleted. When the block raises, `path` is unchanged. The files are flushed to the disk
    before the exchange.
    Raises FileExistsError if `path` holds anything else, OSError when the parent is not writable.
    """
    require_only(path, names)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    require_only(temporary, names)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with _named(path, temporary):
            temporary.mkdir()
            yield temporary
            for file in temporary.iterdir():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        require_only(path, names)
        if path.exists():
            exchange(temporary, path)
        else:
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _named(path: Path, temporary: Path) -> Iterator[None]:
    """Let an OSError of writing, such as a full disk, name the path; only one of opening names a file by itself."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, temporary, os.fspath(temporary)):
            error.filename = os.fspath(path)
        raise


def require_only(path: Path, names: Collection[str]) -> None:
    """Raise FileExistsError unless `path` is absent or a folder of regular files with some of these names."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise FileExistsError(f"{path}: is not a folder; it is not replaced")
    others = [] if not path.exists() else sorted(item.name for item in path.iterdir())
    others = [name for name in others if name not in names or not is_regular(path / name)]
    if others:
        raise FileExistsError(
            f"{path}: also holds '{others[0]}'; only a folder of {', '.join(sorted(names))} is replaced"
        )


def require_own(path: Path, *signs: str) -> None:
    """Raise FileExistsError unless `path` is absent, or a file that il_ros wrote and may replace.

    `signs`: texts that such a file holds in its first or last 4 MiB (default: MARK). Raises OSError when the file
    cannot be read, or its folder is missing or not writable: asked before long work, not after it.
    """
    _require_place(path)
    if not (path.exists() or path.is_symlink()):
        return
    if not is_regular(path):
        raise FileExistsError(f"{path}: is not a file; choose another place")
    with path.open("rb") as file:
        held = file.read(_LOOKED_AT)
        file.seek(max(file.tell(), path.stat().st_size - _LOOKED_AT))
        held += file.read(_LOOKED_AT)
    if not all(sign.encode() in held for sign in signs or (MARK,)):
        raise FileExistsError(
            f"{path}: exists, and il-ros did not write it (or an early version did): delete it, or choose another place"
        )


def require_page(folder: Path) -> None:
    """Make the folder; raise FileExistsError if its page is not il_ros's, OSError if it can't be written."""
    folder.mkdir(parents=True, exist_ok=True)
    require_own(folder / PAGE, _PAGE_SIGN)


@contextmanager
def page(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill with a page and its figures; at the end, these files are moved into `folder`.

    There they replace those of the same names: whatever belongs to an earlier page of il_ros, otherwise only what
    bears MARK. Other files stay. Raises FileExistsError, before anything is replaced, when the page or a file there
    is somebody else's, OSError when the folder is not writable.
    """
    require_page(folder)
    temporary = folder / f".page.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        # the page is moved first: if the rest is interrupted, the next page finds its files to be il_ros's
        files = sorted(temporary.iterdir(), key=lambda file: (file.name != PAGE, file.name))
        if not (folder / PAGE).exists():
            for file in files:
                require_own(folder / file.name)
        for file in files:
            file.replace(folder / file.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def exchange(first: Path, second: Path) -> None:
    """Swap two folders, atomically where the file system supports it (renameat2 of Linux)."""
    renameat2 = getattr(_LIBC, "renameat2", None)
    paths = os.fsencode(first), os.fsencode(second)
    if renameat2 and not renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE):
        return
    aside = first.with_name(f"{first.name}.old")
    second.rename(aside)
    first.rename(second)
    aside.rename(first)


def link_files(source: Path, target: Path) -> None:
    """Make `target` a copy of the folder `source`; files are linked where the file system can, else copied.

    Files are only added to the copy or replaced in it, so the original stays as it is.
    """

    def link(first: str, second: str) -> str:
        try:
            os.link(first, second)
        except OSError:
            shutil.copy2(first, second)
        return second

    shutil.copytree(source, target, copy_function=link)
