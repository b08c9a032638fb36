"""Errors of atomic writing name the file, also where the system's own error does not."""

import errno
import os
import resource
from contextlib import contextmanager
from pathlib import Path

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


def test_only_what_il_ros_wrote_is_replaced(tmp_path):
    file = tmp_path / "plot.png"
    atomic.require_own(file)  # there is none
    file.write_bytes(b"\x89PNG, drawn by hand")
    with pytest.raises(FileExistsError, match=f"^{file}: exists, and il-ros did not write it"):
        atomic.require_own(file)
    file.write_bytes(
        bytes(5 << 20) + atomic.MARK.encode() + bytes(9)
    )  # the mark is at the end of a large file
    atomic.require_own(file)
    with pytest.raises(FileExistsError, match="is not a file"):
        atomic.require_own(tmp_path)


def test_a_result_file_is_known_by_all_of_its_signs(tmp_path):
    file = tmp_path / "result.json"
    file.write_text('{"task": "push", "successes": 3}')
    atomic.require_own(file, '"task": ', '"successes": ')
    with pytest.raises(FileExistsError):
        atomic.require_own(file, '"task": ', '"trials": ')


def test_a_page_replaces_an_earlier_one_and_leaves_other_files(tmp_path):
    folder = tmp_path / "report"
    for number in (1, 2):
        with atomic.page(folder) as made:
            (made / "index.html").write_text(f"<title>il_ros: {number}</title>")
            (made / "report.json").write_text(str(number))
        (folder / "notes.txt").write_text("mine")
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "index.html": "<title>il_ros: 2</title>",
        "report.json": "2",
        "notes.txt": "mine",
    }


@pytest.mark.parametrize("name", ["index.html", "report.json"])
def test_a_page_is_not_written_over_somebody_elses_file(tmp_path, name):
    (tmp_path / name).write_text("<title>il_ros in our lab</title>")

    def write():
        with atomic.page(tmp_path) as made:
            for each in ("index.html", "report.json", "a.svg"):
                (made / each).write_text("<title>il_ros: new</title>")

    with pytest.raises(FileExistsError, match=f"{name}: exists, and il-ros did not write it"):
        write()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [
        (name, "<title>il_ros in our lab</title>")
    ]


def test_a_file_that_is_written_in_pieces_appears_whole_or_not_at_all(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("old")
    with largest_file(10), pytest.raises(OSError, match="table") as caught, atomic.replacing(file) as part:
        part.write_text("more than ten bytes")
    assert caught.value.filename == str(file)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("table.csv", "old")]
    with atomic.replacing(file) as part:
        part.write_text("new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("table.csv", "new")]


def test_a_place_where_no_file_can_be_written_is_named_before_the_work(tmp_path, monkeypatch):
    atomic.require_own(tmp_path / "new.json")
    (tmp_path / "file").touch()
    for path, number, words in [
        (tmp_path / "nowhere" / "new.json", errno.ENOENT, "there is no folder"),
        (tmp_path / "file" / "new.json", errno.ENOTDIR, "is not a folder"),
    ]:
        with pytest.raises(OSError, match=words) as caught:
            atomic.require_own(path)
        assert (caught.value.errno, caught.value.filename) == (number, str(path))
    with pytest.raises(OSError, match="file system"):  # also for root, whom permissions do not stop
        atomic.require_own(Path("/proc/new.json"))


def test_a_folder_that_cannot_be_made_is_named_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "new", tmp_path / "new" / "below"):
        atomic.require_folder(path)
    for path, words in [
        (tmp_path / "file", "is not a folder"),
        (tmp_path / "lost", "is not a folder"),
        (tmp_path / "file" / "new" / "below", f"{tmp_path / 'file'} is not a folder"),
        (Path("/proc/new"), "Read-only file system"),
        (Path("/proc/new/below"), "/proc cannot be written to: read-only file system"),
    ]:
        with pytest.raises(OSError, match=words) as caught:
            atomic.require_folder(path)
        assert caught.value.filename == str(path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "lost"]  # nothing was made
