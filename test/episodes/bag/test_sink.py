"""A bag's file, whose large appends bypass the page cache."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from il_ros.episodes.bag.sink import FileSink, being_written

MIB = 1024 * 1024
PICTURE = np.random.default_rng(0).bytes(900_001)
SMALL = b"joint states, "


@pytest.fixture
def direct(monkeypatch):
    """Return lengths and offsets of the direct writes; skip when the file system does not support them."""
    pwrite, seen = os.pwrite, []

    def noted(descriptor, view, offset):
        seen.append((len(view), offset))
        return pwrite(descriptor, view, offset)

    monkeypatch.setattr(os, "pwrite", noted)
    return seen


def supported(folder: Path) -> bool:
    try:
        os.close(os.open(folder / "probe", os.O_WRONLY | os.O_CREAT | os.O_DIRECT))
    except OSError:
        return False
    return True


def test_large_and_small_appends_are_written_in_order(tmp_path: Path, direct):
    sink = FileSink(tmp_path / "file")
    appends = [
        [SMALL],
        [PICTURE, SMALL, PICTURE[:300_000]],
        [SMALL] * 3000,
        [PICTURE[: 256 * 1024]],
        [b"", PICTURE, b"", SMALL],
        [PICTURE] * 5,
    ]
    expected = b""
    for blocks in appends:
        sink.append(blocks)
        expected += b"".join(blocks)
        assert sink.size == len(expected)
        assert (tmp_path / "file").read_bytes() == expected  # nothing is buffered in this process
    sink.close()
    if not supported(tmp_path):
        pytest.skip("this file system has no direct writes")
    assert all(length % 4096 == 0 == offset % 4096 for length, offset in direct)
    whole_pages = sum(length for length, _ in direct)
    assert whole_pages > len(expected) - len(SMALL) * 3000 - 6 * 2 * 4096


def test_being_written_detects_an_open_sink(tmp_path: Path):
    sink = FileSink(tmp_path / "file")
    with (tmp_path / "file").open("rb") as file:
        assert being_written(file)
        sink.close()
        assert not being_written(file)


def test_a_failed_direct_write_leaves_the_file_unchanged(tmp_path: Path, monkeypatch):
    if not supported(tmp_path):
        pytest.skip("this file system has no direct writes")
    sink = FileSink(tmp_path / "file")
    sink.append([SMALL])
    pwrite, failures = os.pwrite, [None, OSError(errno.EIO, "Input/output error")]

    def fail_later(descriptor, view, offset):
        if failure := failures.pop(0):
            raise failure
        return pwrite(descriptor, view, offset)

    monkeypatch.setattr(os, "pwrite", fail_later)
    with pytest.raises(OSError, match="Input/output"):
        sink.append([PICTURE] * 3)
    assert (tmp_path / "file").read_bytes() == SMALL
    monkeypatch.setattr(os, "pwrite", pwrite)
    sink.append([PICTURE])
    assert (tmp_path / "file").read_bytes() == SMALL + PICTURE


def test_a_rejected_direct_write_falls_back_to_the_cache(tmp_path: Path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "pwrite", refuse)
    sink = FileSink(tmp_path / "file")
    sink.append([SMALL, PICTURE, PICTURE])
    assert (tmp_path / "file").read_bytes() == SMALL + PICTURE + PICTURE


def test_without_direct_writes_all_appends_are_cached(tmp_path: Path, monkeypatch, direct):
    opened = os.open

    def no_direct(path, flags, *mode):
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", no_direct)
    sink = FileSink(tmp_path / "file")
    sink.append([SMALL, PICTURE])
    assert (tmp_path / "file").read_bytes() == SMALL + PICTURE
    assert not direct
