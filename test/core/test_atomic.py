"""Errors of atomic writing name the file, also where the system's own error does not."""

import errno
import os
import resource
from contextlib import contextmanager

import pytest

from il_ros.core import atomic


@contextmanager
def largest_file(size):
    """Refuse to write files beyond `size` bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("durable", [True, False])
def test_a_text_that_cannot_be_written_is_named_and_the_old_one_stays(tmp_path, durable):
    file = tmp_path / "version.json"
    file.write_text("old")
    with largest_file(10), pytest.raises(OSError, match="version") as caught:
        atomic.write_text(file, "more than ten bytes", durable=durable)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(file))
    assert str(caught.value) == f"[Errno {errno.EFBIG}] {os.strerror(errno.EFBIG)}: '{file}'"
    assert [each.name for each in tmp_path.iterdir()] == ["version.json"]
    assert file.read_text() == "old"


def test_a_folder_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    place = tmp_path / "checkpoint"
    named = pytest.raises(OSError, match=f"'{place}'$")
    with largest_file(10), named, atomic.folder(place, ["weights"]) as written:
        (written / "weights").write_bytes(bytes(11))
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_names_its_file_keeps_that_name(tmp_path):
    place = tmp_path / "checkpoint"
    with pytest.raises(OSError, match="no such folder/weights"), atomic.folder(place, ["weights"]) as written:
        (written / "no such folder" / "weights").write_bytes(b"")
