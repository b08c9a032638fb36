"""Open one file of a bag: MCAP, read with `mcap`, or SQLite; each may be compressed."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from il_ros.episodes.bag.mcap_messages import Declared, declared_in, messages_by_time, unindexed_messages
from il_ros.episodes.bag.opened import (
    RECOVER,
    Bag,
    BagError,
    BagMessage,
    BeingRecordedError,
    TopicSummary,
    UnfinishedBagError,
)
from il_ros.episodes.bag.recovery import integrity
from il_ros.episodes.bag.recovery.damage import DamagedSpan
from il_ros.episodes.bag.sink import being_written
from il_ros.episodes.bag.storage import db3, packed

MCAP, DB3 = ".mcap", ".db3"


def kind_of(file: Path) -> str:
    """Return the suffix of a storage file, without that of its compression; "" for another file."""
    suffix = Path(file.name.removesuffix(packed.SUFFIX)).suffix
    return suffix if suffix in (MCAP, DB3) else ""


def open_file(file: Path) -> Bag:
    """Open a storage file; raises BagError when it is damaged, UnfinishedBagError when never closed."""
    if file.suffix == packed.SUFFIX:
        return _open_packed(file)
    return _open_mcap(file) if file.suffix == MCAP else _open_db3(file)


def _open_packed(file: Path) -> Bag:
    try:
        unpacked = packed.UnpackedFile(file)
        bag = open_file(unpacked.path)
    except (packed.PackedError, OSError) as error:
        raise BagError(f"{file}: {error}") from error

    def messages(
        wanted: Collection[str] | None, kept: packed.UnpackedFile = unpacked
    ) -> Iterator[BagMessage]:
        return bag.source(wanted)

    return replace(bag, path=file, source=messages)  # `files` is the copy, which `unpacked` keeps


def check_file(file: Path) -> None:
    """Raise UnfinishedBagError when an MCAP file was never closed, BagError when it is not MCAP."""
    if file.suffix == MCAP:
        try:
            with file.open("rb") as stream:
                _check_ends(file, stream)
        except OSError as error:
            raise BagError(f"{file}: can't be read: {error}") from error


def unpacked(file: Path, raw: bytes) -> bytes:
    """Return a message of a file, unpacked if it is compressed; raises BagError."""
    try:
        return packed.unpack_message(raw)
    except packed.PackedError as error:
        raise BagError(f"{file}: {error}") from error


def damage_error(file: Path, spans: Sequence[DamagedSpan], reason: str = "") -> BagError:
    """Return the error that names the damaged spans of a file in bytes and seconds."""
    return BagError(
        f"{file}: is damaged ({reason}{integrity.sentence(spans)}); "
        f"to save what can be read: {RECOVER} {file.parent}"
    )


# ---- MCAP ------------------------------------------------------------------------------------------------


def _open_mcap(path: Path) -> Bag:
    from mcap.reader import SeekingReader

    try:
        with path.open("rb") as stream:
            _check_ends(path, stream)
            reader = SeekingReader(stream, validate_crcs=True)
            summary = reader.get_summary()
            if summary is None or summary.statistics is None:
                return _scan(path, stream)
            counts = summary.statistics.channel_message_counts
            topics: dict[str, TopicSummary] = {}
            for number, channel in declared_in(summary).items():
                add_topic(path, topics, channel, counts.get(number, 0))
            times = (summary.statistics.message_start_time, summary.statistics.message_end_time)
            metadata = {record.name: dict(record.metadata) for record in reader.iter_metadata()}
    except BagError:
        raise
    except OSError as error:
        raise BagError(f"{path}: can't be read: {error}") from error
    except Exception as error:  # the parser raises whatever its step ran into
        raise _damaged(path, error) from error
    return Bag(path, topics, *times, lambda wanted: _mcap_messages(path, wanted), metadata, files=(path,))


def _check_ends(path: Path, stream: Any) -> None:
    """Raise BagError without the magic bytes at the start, UnfinishedBagError without those at the end."""
    from mcap.stream_reader import MAGIC_SIZE

    magic = b"\x89MCAP0\r\n"
    head = stream.read(MAGIC_SIZE)
    size = stream.seek(0, 2)
    if head != magic[: len(head)]:
        raise BagError(f"{path}: is not an MCAP file: it begins with {head!r}, not with {magic!r}")
    stream.seek(max(0, size - MAGIC_SIZE))
    if size < 2 * MAGIC_SIZE or stream.read(MAGIC_SIZE) != magic:
        if being_written(stream):
            raise BeingRecordedError(f"{path}: is being recorded")
        raise UnfinishedBagError(
            f"{path}: was never closed (its recorder was killed) or is cut off: {RECOVER} {path.parent}"
        )
    stream.seek(0)


def _scan(path: Path, stream: IO[bytes]) -> Bag:
    """Count the messages of a closed file that has no summary."""
    topics: dict[str, TopicSummary] = {}
    times = []
    for channel, log_ns, _ in unindexed_messages(stream):
        add_topic(path, topics, channel, 1)
        times.append(log_ns)
    first, last = (min(times), max(times)) if times else (0, 0)
    return Bag(path, topics, first, last, lambda wanted: _mcap_messages(path, wanted), files=(path,))


def add_topic(path: Path, topics: dict[str, TopicSummary], channel: Declared, count: int) -> None:
    """Add a channel with `count` messages to the topics; raises BagError unless it is ROS 2 CDR of one type."""
    if channel.encoding != "cdr" or "/" not in channel.type:
        raise BagError(
            f"{path}: topic {channel.topic} is '{channel.type}' in encoding '{channel.encoding}'; "
            f"only ROS 2 messages in CDR are read"
        )
    known = topics.get(channel.topic, TopicSummary(channel.type, 0))
    if known.type != channel.type:
        raise BagError(f"{path}: topic {channel.topic} holds both {known.type} and {channel.type}")
    topics[channel.topic] = TopicSummary(
        channel.type,
        known.messages + count,
        known.definition or channel.definition,
        known.language or channel.language,
    )


def _mcap_messages(path: Path, topics: Collection[str] | None) -> Iterator[BagMessage]:
    from mcap.reader import SeekingReader

    try:
        with path.open("rb") as stream:
            summary = SeekingReader(stream).get_summary()
            for channel, log_ns, raw in messages_by_time(stream, summary, topics):
                yield BagMessage(channel.topic, channel.type, unpacked(path, raw), log_ns)
    except BagError:
        raise
    except Exception as error:  # the parser raises whatever its step ran into
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> BagError:
    try:
        spans = integrity.damage(path)
    except OSError:
        spans = ()
    if spans:
        return damage_error(path, spans, f"{error}: ")
    return BagError(
        f"{path}: is damaged ({type(error).__name__}: {error}); "
        f"to save what can be read: {RECOVER} {path.parent}"
    )


# ---- SQLite ----------------------------------------------------------------------------------------------


def _open_db3(path: Path) -> Bag:
    topics: dict[str, TopicSummary] = {}
    try:
        found, definitions = db3.topics(path), db3.definitions(path)
    except (sqlite3.Error, OSError) as error:
        raise BagError(f"{path}: is damaged, or no .db3 file of rosbag2 ({error})") from error
    for topic in found:
        text, language = definitions.get(topic.type, ("", ""))
        channel = Declared(topic.name, topic.type, topic.encoding, text, language)
        add_topic(path, topics, channel, topic.messages)
    starts = [topic.start_ns for topic in found if topic.start_ns is not None]
    ends = [topic.end_ns for topic in found if topic.end_ns is not None]
    return Bag(
        path,
        topics,
        min(starts, default=0),
        max(ends, default=0),
        lambda wanted: _db3_messages(path, wanted),
        files=(path,),
    )


def _db3_messages(path: Path, topics: Collection[str] | None) -> Iterator[BagMessage]:
    try:
        for topic, kind, log_ns, raw in db3.messages(path, topics):
            yield BagMessage(topic, kind, unpacked(path, raw), log_ns)
    except (sqlite3.Error, OSError) as error:
        raise BagError(f"{path}: is damaged ({type(error).__name__}: {error})") from error
