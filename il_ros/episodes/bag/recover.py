"""Make a bag readable that its recorder could not finish: killed, power lost, disk full.

The file is written anew with all whole messages and an index. The original stays beside it as `.orig` until
the new one has been read back and found equal; a recovery that is itself interrupted can simply be repeated.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from il_ros.core import atomic
from il_ros.episodes import layout
from il_ros.episodes.bag.mcap_file import CHUNK_BYTES, McapFile
from il_ros.episodes.bag.mcap_scan import Channel, Scan
from il_ros.episodes.bag.metadata import BagSummary, Topic, render
from il_ros.episodes.bag.recover_info import complete_info
from il_ros.episodes.bag.sink import FileSink
from il_ros.episodes.bag.writer import RESERVE_FILE

ORIGINAL = ".orig"
FAULT = "the recorder ended without finishing the bag; it was recovered"

Progress = Callable[[int, int], None]


class RecoverError(RuntimeError):
    """Why a bag can't be recovered, naming the file. The original is as it was, perhaps under `.orig`."""


@dataclass(frozen=True)
class Recovery:
    """What was done. `changed` is False when all was whole; `cut_bytes` at the end could not be used."""

    folder: Path
    messages: int
    changed: bool
    cut_bytes: int = 0
    damaged_chunks: int = 0


def recover(folder: Path, progress: Progress = lambda done, total: None) -> Recovery:
    """Make the bag in `folder` readable, and its `episode.json` complete; what is whole is left alone.

    `progress(bytes done, bytes in all)` is called now and then.
    Raises RecoverError when there is no single MCAP file, it is still being written, or is no bag.
    """
    original, target = _find(folder)
    with _opened(original) as view:
        scan = Scan(view)
        try:
            total = sum(1 for _ in scan.messages())
        except ValueError as error:
            raise RecoverError(f"{original}: {error}") from error
        intact = scan.finished and not scan.damaged_chunks and original == target
        if intact and (folder / layout.METADATA_FILE).exists():
            return Recovery(folder, total, changed=complete_info(folder, Scan(view), ""))
        if original == target:
            original = target.rename(target.with_name(target.name + ORIGINAL))
        target.unlink(missing_ok=True)
        summary = _rewrite(view, target, progress)
        _verify(view, target)
        atomic.write_text(folder / layout.METADATA_FILE, render(summary))
        complete_info(folder, Scan(view), FAULT)
    original.unlink()
    (folder / RESERVE_FILE).unlink(missing_ok=True)
    return Recovery(folder, total, True, scan.cut_bytes, scan.damaged_chunks)


def _find(folder: Path) -> tuple[Path, Path]:
    """Return the file to read and the file to make: they differ after an interrupted recovery."""
    if not folder.is_dir():
        raise RecoverError(f"{folder}: is no folder")
    files = sorted(folder.glob(f"*.mcap{ORIGINAL}")) or sorted(folder.glob("*.mcap"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise RecoverError(f"{folder}: there must be one .mcap file in it; there are: {names}")
    return files[0], files[0].with_name(files[0].name.removesuffix(ORIGINAL))


@contextmanager
def _opened(path: Path) -> Iterator[memoryview]:
    """Map a file that nobody writes to; an OSError within becomes a RecoverError."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RecoverError(f"{path}: is still being recorded") from None
            if os.fstat(file.fileno()).st_size == 0:
                raise RecoverError(f"{path}: is empty; there is nothing to recover")
            # Not closed by hand: views of it live in the error's traceback while one is under way.
            yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise RecoverError(f"{path}: {error}") from error


def _rewrite(view: memoryview, target: Path, progress: Progress) -> BagSummary:
    """Write all whole messages into a new file, and return what it holds; raises OSError."""
    scan, numbers = Scan(view), dict[int, int]()
    sink = FileSink(target)
    try:
        file = McapFile(sink, CHUNK_BYTES, "none", checksums=True)

        def number(channel: Channel) -> int:
            if channel.number not in numbers:
                details = (channel.topic, channel.type, channel.definition, channel.metadata)
                numbers[channel.number] = file.add_channel(*details)
            return numbers[channel.number]

        for message in scan.messages():
            place = number(scan.channels[message.channel])
            raw = bytes(message.data)
            file.write(place, message.log_ns, raw, message.publish_ns, message.sequence)
            progress(sink.size, len(view))
        found = [(channel, number(channel)) for channel in scan.channels.values()]
        for name, values in scan.metadata.items():
            if name != "rosbag2":  # tells what the other file held
                file.add_metadata(name, values)
        file.flush()
        file.finish()
        sink.sync()
    finally:
        sink.close()
    topics = [_topic(channel, file.counts[place]) for channel, place in found]
    return BagSummary(target.name, topics, file.start_ns, file.end_ns, os.environ.get("ROS_DISTRO", "jazzy"))


def _topic(channel: Channel, count: int) -> Topic:
    qos, type_hash = (channel.metadata.get(key, "") for key in ("offered_qos_profiles", "topic_type_hash"))
    return Topic(channel.topic, channel.type, count, qos, type_hash)


def _verify(view: memoryview, target: Path) -> None:
    """Raise RecoverError unless the new file holds the very messages of the old one."""
    with _opened(target) as copy:
        old, new = Scan(view), Scan(copy)
        if _digest(old) != _digest(new) or not new.finished:
            raise RecoverError(
                f"{target}: differs from the original, which is kept as {target.name}{ORIGINAL}"
            )


def _digest(scan: Scan) -> bytes:
    digest = hashlib.blake2b()
    for message in scan.messages():
        topic = scan.channels[message.channel].topic
        digest.update(repr((topic, message.sequence, message.log_ns, message.publish_ns)).encode())
        digest.update(message.data)
    return digest.digest()
