"""Recovery can be interrupted at any step, runs alone, and leaves the intact files of a split recording alone."""

import fcntl
import os
import pathlib
import shutil
from pathlib import Path

import pytest
import yaml
from damaged_bags import chunks, own
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from il_ros.core import messages
from il_ros.episodes import layout
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.bag.recover import FAULT, RecoverError, recover
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.layout import EpisodeInfo

NAME = "episode_000007"
STEPS = (
    "open",
    "link",
    "rename",
    "replace",
    "unlink",
    "fsync",
    "fdatasync",
    "pwritev",
    "pwrite",
    "ftruncate",
)


STRING = "std_msgs/msg/String"


class KilledError(BaseException):
    """Stands for the end of the process: from then on no operation has an effect."""


@pytest.fixture(params=["whole", "cut"])
def killed(request, tmp_path: Path) -> Path:
    """An episode of 4 chunks that was never finished, or was also cut inside its last chunk."""
    file = own(tmp_path / NAME, count=12, per_chunk=3)
    raw = file.read_bytes()
    last = chunks(raw)[3]
    end = last.end if request.param == "whole" else last.end - 5
    file.write_bytes(raw[:end])
    EpisodeInfo(NAME, started_ns=1).save(file.parent)
    return file.parent


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read(path: Path) -> list[bytes]:
    with path.open("rb") as stream:
        return [message.data for _, _, message in make_reader(stream, validate_crcs=True).iter_messages()]


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int) -> list[str]:
    """Let `after` operations on files pass and none from then on; return the list of those that passed."""
    passed: list[str] = []

    def guarded(name, call):
        def step(*args, **kwargs):
            if len(passed) >= after:
                raise KilledError
            passed.append(name)
            return call(*args, **kwargs)

        return step

    for name in STEPS:
        call = guarded(name, getattr(os, name))
        monkeypatch.setattr(os, name, call)
        if name in ("link", "rename", "replace", "unlink") and hasattr(pathlib, "_NormalAccessor"):
            # Python 3.10: `Path` calls them by references of its own
            monkeypatch.setattr(pathlib._NormalAccessor, name, staticmethod(call))
    return passed


def test_interrupted_between_any_two_operations_the_original_or_the_whole_result_is_there(
    killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    original = layout.bag_file(killed).read_bytes()
    expected = shutil.copytree(killed, tmp_path / "expected" / NAME)
    with monkeypatch.context() as patch:
        steps = interrupt(patch, 10**6)
        recover(expected)
    names = contents(expected).keys()
    messages = read(layout.bag_file(expected))
    assert {"link", "replace", "fsync", "pwritev"} <= set(steps)
    for after in range(len(steps)):
        folder = shutil.copytree(killed, tmp_path / str(after) / NAME)
        with monkeypatch.context() as patch:
            interrupt(patch, after)
            with pytest.raises(KilledError):
                recover(folder)
        file = layout.bag_file(folder)
        if file.read_bytes() != original:
            assert read(file) == messages
        recover(folder)
        assert read(file) == messages
        assert contents(folder).keys() == names
        assert layout.load_info(folder).faults == (FAULT,)
        assert layout.load_info(folder).complete
        assert not recover(folder).changed


def test_without_links_the_original_is_renamed(killed: Path, monkeypatch: pytest.MonkeyPatch):
    original = layout.bag_file(killed).read_bytes()

    def refused(*args, **kwargs):
        raise PermissionError("this file system has no links")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refused)
        patch.setattr(Path, "replace", refused)  # interrupted before the copy has its name
        with pytest.raises(RecoverError, match="no links"):
            recover(killed)
    kept = killed / f"{NAME}_0.mcap.orig"
    assert kept.read_bytes() == original
    assert recover(killed).messages == len(read(layout.bag_file(killed)))


def test_a_full_disk_leaves_the_original(killed: Path, monkeypatch: pytest.MonkeyPatch):
    before = contents(killed)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", full)
        with pytest.raises(RecoverError, match="No space left"):
            recover(killed)
    assert contents(killed) == before


def test_a_second_recovery_at_the_same_time_is_refused(killed: Path):
    descriptor = os.open(killed, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    before = contents(killed)
    with pytest.raises(RecoverError, match="is being recovered by another process"):
        recover(killed)
    assert contents(killed) == before
    os.close(descriptor)
    assert recover(killed).changed


def test_kept_originals_are_not_overwritten(tmp_path: Path):
    file = own(tmp_path / "bag", count=12, per_chunk=3)
    raw = file.read_bytes()
    first, second = bytearray(raw), bytearray(raw)
    first[chunks(raw)[0].end - 1] ^= 1
    file.write_bytes(first)
    recover(file.parent)
    second[chunks(raw)[1].end - 1] ^= 1  # a file of the same name that holds other messages than the first
    file.write_bytes(second)
    done = recover(file.parent)
    assert done.messages == 12 + 2 - 3
    assert [path.name for path in done.kept] == ["bag_0.mcap.orig", "bag_0.mcap.orig.1"]
    assert done.kept[0].read_bytes() == bytes(first)
    assert done.kept[1].read_bytes() == bytes(second)


# ---- split recordings ------------------------------------------------------------------------------------


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """Three files with 14 messages each."""
    folder = tmp_path / "rec"
    folder.mkdir()
    for k in range(3):
        own(tmp_path / f"part{k}", count=12, per_chunk=3).rename(folder / f"rec_{k}.mcap")
    return folder


def identity(path: Path) -> tuple[int, int, bytes]:
    return path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes()


@pytest.mark.parametrize("zeros", [0, 3000])
def test_closed_files_of_a_split_recording_stay_as_they_are(split: Path, zeros: int):
    closed = [identity(split / f"rec_{k}.mcap") for k in (0, 1)]
    raw = (split / "rec_2.mcap").read_bytes()
    (split / "rec_2.mcap").write_bytes(raw[: chunks(raw)[1].end + 20] + bytes(zeros))
    done = recover(split)
    assert done.messages == 14 + 14 + 6
    assert [identity(split / f"rec_{k}.mcap") for k in (0, 1)] == closed
    assert {span.file for span in done.spans} == {"rec_2.mcap"}
    information = yaml.safe_load((split / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert information["relative_file_paths"] == ["rec_0.mcap", "rec_1.mcap", "rec_2.mcap"]
    assert information["message_count"] == 34
    assert [part["message_count"] for part in information["files"]] == [14, 14, 6]
    assert open_bag(split).messages_total == 34
    with AnyReader([split]) as reader:
        assert sum(1 for _ in reader.messages()) == 34
    assert not recover(split).changed


@pytest.mark.parametrize("content", [b"", bytes(5000)])
def test_a_part_without_content_becomes_an_empty_file(split: Path, content: bytes):
    (split / "rec_2.mcap").write_bytes(content)
    done = recover(split)
    assert done.messages == 28
    assert open_bag(split).messages_total == 28
    assert (split / "rec_2.mcap.orig").exists() == bool(content)
    assert not recover(split).changed


def test_nothing_is_changed_while_a_part_is_recorded_or_is_no_bag(split: Path):
    raw = (split / "rec_1.mcap").read_bytes()
    (split / "rec_1.mcap").write_bytes(raw[:-50])
    (split / "rec_2.mcap").write_bytes(b"Dear robot, please push the block.")
    before = contents(split)
    with pytest.raises(RecoverError, match=r"rec_2\.mcap: it doesn't begin with the MCAP magic bytes"):
        recover(split)
    assert contents(split) == before


def test_metadata_of_another_recorder_keep_their_custom_data(split: Path):
    information = {"message_count": 1, "custom_data": {"operator": "Ada"}, "ros_distro": "humble"}
    (split / "metadata.yaml").write_text(yaml.safe_dump({"rosbag2_bagfile_information": information}))
    recover(split)
    found = yaml.safe_load((split / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert (found["custom_data"], found["ros_distro"]) == ({"operator": "Ada"}, "humble")
    assert found["message_count"] == 42


def test_a_running_recording_beside_closed_files_is_refused(split: Path, tmp_path: Path):
    writer = BagWriter(tmp_path / "running")
    running = layout.bag_file(tmp_path / "running")
    os.link(running, split / "rec_3.mcap")
    with pytest.raises(RecoverError, match=r"rec_3\.mcap: is still being recorded"):
        recover(split)
    writer.close()


# ---- what rosbag2 compressed ---------------------------------------------------------------------------------


def compressed(folder: Path, mode: CompressionMode, first: int) -> Path:
    """Write ten strings as rosbag2 does with --compression-mode message or file; return the storage file."""
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        talk = writer.add_connection("/talk", STRING, msgdef=messages.definition(STRING), rihs01="x")
        for k in range(first, first + 10):
            raw = messages.encode(STRING, messages.make(STRING, data=f"message {k} " + "x" * 100))
            writer.write(talk, k, raw)
    return next(file for file in folder.iterdir() if ".mcap" in file.name)


def spoken(folder: Path) -> list[str]:
    with AnyReader([folder]) as reader:
        return [messages.decode(STRING, raw).data for _, _, raw in reader.messages()]


def test_messages_that_rosbag2_compressed_stay_so_and_metadata_says_it(tmp_path: Path):
    folder = tmp_path / "rec"
    file = compressed(folder, CompressionMode.MESSAGE, 0)
    raw = file.read_bytes()
    file.write_bytes(raw[: len(raw) - 40])  # cut in the footer: all messages are there
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 10", "message_count: 11"))
    assert recover(folder).messages == 10
    assert spoken(folder) == [
        f"message {k} " + "x" * 100 for k in range(10)
    ]  # by rosbags, from its metadata.yaml
    assert [item.log_ns for item in open_bag(folder).messages()] == list(range(10))


def test_beside_compressed_files_of_a_split_recording_the_cut_one_is_read_and_recovered(tmp_path: Path):
    """rosbag2 compresses a file after closing it, so a kill leaves the last one as it is, and cut."""
    folder = tmp_path / "rec"
    folder.mkdir()
    compressed(tmp_path / "a", CompressionMode.FILE, 0).rename(folder / "rec_0.mcap.zstd")
    last = compressed(tmp_path / "b", CompressionMode.NONE, 10).rename(folder / "rec_1.mcap")
    raw = last.read_bytes()
    last.write_bytes(raw[: len(raw) - 40])
    before = open_bag(folder)
    assert [item.log_ns for item in before.messages()] == list(range(20))
    assert [span.file for span in before.damage] == ["rec_1.mcap"]
    assert recover(folder).messages == 10
    after = open_bag(folder)
    assert [item.log_ns for item in after.messages()] == list(range(20))
    assert after.damage == ()
    assert not (folder / "metadata.yaml").exists()  # it would leave the compressed file out
