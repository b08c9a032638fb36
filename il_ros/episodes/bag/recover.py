"""Recover a bag that its recorder did not finish because of a kill, a power failure or a full disk.

A new file is written with all intact messages and an index. The original is kept as `.orig` until the new
file has been read back and found equal, so an interrupted recovery can be repeated. `episode.json` is then
completed from the bag's contents.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import math
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from il_ros.core import atomic, contract, messages
from il_ros.core.contract import ContractError
from il_ros.episodes import layout
from il_ros.episodes.bag.mcap_file import CHUNK_BYTES, McapFile
from il_ros.episodes.bag.mcap_scan import Channel, Scan
from il_ros.episodes.bag.metadata import BagSummary, Topic, render
from il_ros.episodes.bag.sink import FileSink
from il_ros.episodes.bag.topics import CONTRACT_RECORD
from il_ros.episodes.bag.writer import RESERVE_FILE
from il_ros.episodes.layout import EpisodeInfo, LayoutError, StreamInfo
from il_ros.episodes.recording.grade import grade
from il_ros.episodes.recording.monitor import StreamMonitor

ORIGINAL = ".orig"
STAMP_BYTES = 12
"""CDR encapsulation, seconds and nanoseconds at the start of a stamped message."""
FAULT = "the recorder ended without finishing the bag; it was recovered"

Progress = Callable[[int, int], None]


class RecoverError(RuntimeError):
    """A bag can't be recovered; the message names the file. The original is unchanged, perhaps as `.orig`."""


@dataclass(frozen=True)
class Recovery:
    """The result of a recovery.

    `changed`: False when the episode was intact. `cut_bytes`: bytes dropped at the end of the file.
    `damaged_chunks`: number of chunks dropped.
    """

    folder: Path
    messages: int
    changed: bool
    cut_bytes: int = 0
    damaged_chunks: int = 0


def recover(folder: Path, progress: Progress = lambda done, total: None) -> Recovery:
    """Make the bag in `folder` readable and its `episode.json` complete; intact files are not changed.

    `progress(bytes written, bytes in total)` is called after each message.
    Raises RecoverError when there is not exactly one MCAP file, or it is being recorded or not a bag.
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
            return Recovery(folder, total, changed=_complete_info(folder, Scan(view), ""))
        if original == target:
            original = target.rename(target.with_name(target.name + ORIGINAL))
        target.unlink(missing_ok=True)
        summary = _rewrite(view, target, progress)
        _verify(view, target)
        atomic.write_text(folder / layout.METADATA_FILE, render(summary))
        _complete_info(folder, Scan(view), FAULT)
    original.unlink()
    (folder / RESERVE_FILE).unlink(missing_ok=True)
    return Recovery(folder, total, True, scan.cut_bytes, scan.damaged_chunks)


def _find(folder: Path) -> tuple[Path, Path]:
    """Return the file to read and the file to write; they differ after an interrupted recovery."""
    if not folder.is_dir():
        raise RecoverError(f"{folder}: is not a folder")
    files = sorted(folder.glob(f"*.mcap{ORIGINAL}")) or sorted(folder.glob("*.mcap"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise RecoverError(f"{folder}: must hold exactly one .mcap file; it holds: {names}")
    return files[0], files[0].with_name(files[0].name.removesuffix(ORIGINAL))


@contextmanager
def _opened(path: Path) -> Iterator[memoryview]:
    """Memory-map a file that no recorder writes to; an OSError in the context becomes a RecoverError."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RecoverError(f"{path}: is still being recorded") from None
            if os.fstat(file.fileno()).st_size == 0:
                raise RecoverError(f"{path}: is empty; there is nothing to recover")
            # The map is not closed here: the traceback of an error may still hold views of it.
            yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise RecoverError(f"{path}: {error}") from error


def _rewrite(view: memoryview, target: Path, progress: Progress) -> BagSummary:
    """Write all intact messages into a new file and return its summary; raises OSError."""
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
            if name != "rosbag2":  # describes the contents of the original file
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
    """Raise RecoverError unless the new file holds the same messages as the original."""
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


# ---- episode.json --------------------------------------------------------------------------------------


def _complete_info(folder: Path, scan: Scan, fault: str) -> bool:
    """Complete `episode.json` from a new `scan` of the bag.

    Returns False when it was complete already, or the folder is not named as an episode.
    """
    try:
        layout.episode_number(folder.name)
    except LayoutError:
        return False
    before = _info_or_none(folder)
    if before is not None and before.complete:
        return False
    first_ns, last_ns, monitors = _observe(scan, before)
    info = before or _from_bag(folder.name, scan, first_ns)
    stopped_ns = max(last_ns, info.started_ns)
    streams = _streams(monitors, stopped_ns, info)
    faults = (*info.faults, *([fault] if fault else []))
    duration_s = (stopped_ns - info.started_ns) / 1e9
    dataclasses.replace(
        info,
        stopped_ns=stopped_ns,
        stop_reason=info.stop_reason or "the recorder was interrupted",
        faults=faults,
        streams=streams,
        grade=grade(streams, duration_s, faults=faults),
        complete=True,
    ).save(folder)
    return True


def _info_or_none(folder: Path) -> EpisodeInfo | None:
    try:
        return layout.load_info(folder)
    except LayoutError:
        return None  # missing or truncated; most of it is restored from the bag


def _observe(scan: Scan, info: EpisodeInfo | None) -> tuple[int, int, dict[str, StreamMonitor]]:
    """Return the first and last log time, and each topic's statistics since the episode's start."""
    ages = _ages(info.contract_text if info else "", info.topics if info else {})
    monitors: dict[str, StreamMonitor] = {}
    first_ns = last_ns = 0
    empty = True
    for message in scan.messages():
        channel = scan.channels[message.channel]
        if channel.topic not in monitors:
            age_s = ages.get(channel.topic)
            monitors[channel.topic] = StreamMonitor(
                channel.topic,
                channel.type,
                max_age_s=math.inf if age_s is None else age_s,
                required=age_s is not None,
            )
        first_ns = message.log_ns if empty else min(first_ns, message.log_ns)
        last_ns, empty = max(last_ns, message.log_ns), False
        if info is None or message.log_ns >= info.started_ns:
            head = bytes(message.data[:STAMP_BYTES])
            known = len(head) == STAMP_BYTES and messages.known(channel.type)
            stamp_ns = messages.raw_stamp_ns(channel.type, head) if known else None
            monitors[channel.topic].observe(message.log_ns, len(message.data), stamp_ns)
    return first_ns, last_ns, monitors


def _ages(contract_text: str, topics: dict[str, str]) -> dict[str, float]:
    """Return the maximum age of every required topic, by its name in the bag."""
    if not contract_text:
        return {}
    try:
        loaded = contract.parse(contract_text, "the episode's contract")
    except ContractError:  # written by another version of this package; the bag is recovered anyway
        return {}
    return {
        topics.get(spec.topic, spec.topic): spec.max_age_s
        for spec in sorted(loaded.observations, key=lambda spec: -spec.max_age_s)
    }


def _streams(
    monitors: dict[str, StreamMonitor], stopped_ns: int, info: EpisodeInfo
) -> tuple[StreamInfo, ...]:
    found = {topic: monitor.info(stopped_ns) for topic, monitor in monitors.items()}
    for topic in _ages(info.contract_text, info.topics):
        found.setdefault(topic, StreamInfo(topic, "", required=True))
    return tuple(found.values())


def _from_bag(name: str, scan: Scan, first_ns: int) -> EpisodeInfo:
    """Return the description that can be restored from the bag, which holds the contract."""
    recorded = scan.metadata.get(CONTRACT_RECORD, {})
    return EpisodeInfo(
        name=name,
        contract_name=recorded.get("name", ""),
        contract_hash=recorded.get("hash", ""),
        contract_text=recorded.get("text", ""),
        started_ns=first_ns,
        faults=("episode.json was missing or unreadable; its contents are lost",),
    )
