"""Only regular files of bounded size are read, and reading never waits for a writer."""

import os
import socket

import pytest

from il_ros.core.files import UnreadableFileError, is_regular, read_bytes, read_json, read_text


def test_a_file_of_the_largest_allowed_size_is_read(tmp_path):
    (tmp_path / "f").write_bytes(b"abcd")
    assert read_bytes(tmp_path / "f", 4) == b"abcd"
    assert read_text(tmp_path / "f", 4) == "abcd"
    with pytest.raises(UnreadableFileError, match="has 4 bytes; at most 3 are read"):
        read_bytes(tmp_path / "f", 3)


def test_a_sparse_file_is_not_read(tmp_path):
    with (tmp_path / "f").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UnreadableFileError, match="has 1099511627776 bytes"):
        read_bytes(tmp_path / "f", 1 << 20)


def test_fifo_folder_and_device_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    for path, kind in ((tmp_path / "fifo", "FIFO"), (tmp_path / "link", "FIFO"), ("/dev/zero", "device")):
        with pytest.raises(UnreadableFileError, match=f"is a {kind}, not a regular file"):
            read_bytes(path, 10)
    with pytest.raises(OSError, match="is a folder, not a regular file"):
        read_bytes(tmp_path, 10)


def test_a_socket_is_an_error(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        with pytest.raises(OSError, match="No such device"):
            read_bytes(tmp_path / "s", 10)


def test_links_and_missing_files_are_not_regular(tmp_path):
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "link").symlink_to("f")
    assert [is_regular(tmp_path / name) for name in ("f", "link", "absent")] == [True, False, False]


@pytest.mark.parametrize("text", ["{", "[" * 200_000, "9" * 5000, "\xff"])
def test_what_is_not_json_is_a_value_error(tmp_path, text):
    (tmp_path / "f").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError):  # noqa: PT011 - each parser has its own words
        read_json(tmp_path / "f", 1 << 20)


def test_reading_takes_memory_for_what_is_there_and_not_for_what_is_allowed(tmp_path):
    (tmp_path / "small").write_bytes(b"abc")
    assert read_bytes(tmp_path / "small", 1 << 50) == b"abc"  # a petabyte could not be allocated


def test_a_file_that_grows_while_it_is_read_is_read_whole_or_refused(tmp_path, monkeypatch):
    path = tmp_path / "grows"
    path.write_bytes(b"abc")
    fstat = os.fstat

    def then_it_grows(descriptor):
        found = fstat(descriptor)
        path.write_bytes(b"abc" * 1000)
        return found

    monkeypatch.setattr(os, "fstat", then_it_grows)
    assert read_bytes(path, 3000) == b"abc" * 1000
    path.write_bytes(b"abc")
    with pytest.raises(UnreadableFileError, match="more than 2999 bytes"):
        read_bytes(path, 2999)
