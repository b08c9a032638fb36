"""Read the serialised messages of a bag in the order of their log times.

MCAP files of any recorder are read with `mcap`, other rosbag2 storages (sqlite3) with `rosbags`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple

from il_ros.episodes.bag import clock_steps
from il_ros.episodes.bag.clock_steps import Step
from il_ros.episodes.bag.mcap_messages import Declared, declared_in, messages_by_time, unindexed_messages
from il_ros.episodes.bag.sink import being_written

RECOVER = "il-ros episodes recover"


class BagError(ValueError):
    """A bag can't be read; the message names the file and says what to do."""


class UnfinishedBagError(BagError):
    """The recorder never closed the file; `il-ros episodes recover` makes it readable."""


class BeingRecordedError(UnfinishedBagError):
    """A process still writes the file."""


class BagMessage(NamedTuple):
    """One message of a bag: `raw` is CDR, `log_ns` the time of reception on the recorder's clock."""

    topic: str
    type: str
    raw: bytes
    log_ns: int


@dataclass(frozen=True)
class TopicSummary:
    """Type and number of messages of one topic in a bag."""

    type: str
    messages: int


Messages = Callable[[Collection[str] | None], Iterator[BagMessage]]


@dataclass(frozen=True)
class Bag:
    """A readable bag. `start_ns`..`end_ns`: first and last log time, zero when the bag is empty.

    `metadata`: named texts inside the file, such as the contract.
    """

    path: Path
    topics: Mapping[str, TopicSummary]
    start_ns: int
    end_ns: int
    source: Messages = field(repr=False, compare=False)
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @property
    def messages_total(self) -> int:
        """Number of messages on all topics."""
        return sum(topic.messages for topic in self.topics.values())

    @property
    def duration_s(self) -> float:
        """Time from the first message to the last."""
        return (self.end_ns - self.start_ns) / 1e9

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yield the messages, or those of `topics`, by log time; messages of equal time in file order.

        Raises BagError, possibly after some messages, when the file is damaged.
        """
        return self.source(topics)

    @cached_property
    def step(self) -> Step | None:
        """The first moment at which the recorder's clock was set back, None if it never was.

        Raises BagError when the file is damaged.
        """
        try:
            return clock_steps.find(bag_files(self.path))
        except Exception as error:  # the parser raises whatever its step ran into
            raise _damaged(self.path, error) from error

    def before_step(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yield as `messages` does, but only what was written before the recorder's clock was set back.

        Later log times are of a time that had been recorded already: sorted, the two would be mixed.
        """
        if self.step is None:
            return self.messages(topics)
        keep = self.step.filter()
        return (message for message in self.messages(topics) if keep(message.topic, message.log_ns))


def open_bag(path: Path) -> Bag:
    """Open a rosbag2 folder, or a single .mcap file.

    Raises BagError when it is missing, not a bag, damaged, or not ROS 2 CDR; UnfinishedBagError when it was
    never closed.
    """
    if not path.exists():
        raise BagError(f"{path}: does not exist")
    files = bag_files(path)
    if not files:
        raise BagError(f"{path}: holds no bag; a rosbag2 folder has .mcap or .db3 files")
    if all(file.suffix == ".mcap" for file in files):
        return _merge(path, [_open_mcap(file) for file in files])
    return _open_rosbags(path)


def check_closed(path: Path) -> None:
    """Check only the first and last bytes of a bag's MCAP files, which is fast for many bags.

    Raises UnfinishedBagError when a file was never closed, BagError when there is no file or it is not MCAP.
    """
    files = bag_files(path)
    if not files:
        raise BagError(f"{path}: holds no bag; a rosbag2 folder has .mcap or .db3 files")
    for file in files:
        if file.suffix == ".mcap":
            try:
                with file.open("rb") as stream:
                    _check_ends(file, stream)
            except OSError as error:
                raise BagError(f"{file}: can't be read: {error}") from error


def bag_files(path: Path) -> list[Path]:
    """Return the storage files of a bag, by the number in their names; empty when it is not a bag."""
    if path.is_file():
        return [path] if path.suffix in (".mcap", ".db3") else []
    found = [
        file for pattern in ("*.mcap", "*.db3", "*.mcap.zstd", "*.db3.zstd") for file in path.glob(pattern)
    ]
    return sorted(
        (file for file in found if not file.name.startswith(".")), key=lambda f: (len(f.name), f.name)
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
                _add(path, topics, channel, counts.get(number, 0))
            times = (summary.statistics.message_start_time, summary.statistics.message_end_time)
            metadata = {record.name: dict(record.metadata) for record in reader.iter_metadata()}
    except BagError:
        raise
    except OSError as error:
        raise BagError(f"{path}: can't be read: {error}") from error
    except Exception as error:  # the parser raises whatever its step ran into
        raise _damaged(path, error) from error
    return Bag(path, topics, *times, lambda wanted: _mcap_messages(path, wanted), metadata)


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
        _add(path, topics, channel, 1)
        times.append(log_ns)
    first, last = (min(times), max(times)) if times else (0, 0)
    return Bag(path, topics, first, last, lambda wanted: _mcap_messages(path, wanted))


def _add(path: Path, topics: dict[str, TopicSummary], channel: Declared, count: int) -> None:
    if channel.encoding != "cdr" or "/" not in channel.type:
        raise BagError(
            f"{path}: topic {channel.topic} is '{channel.type}' in encoding '{channel.encoding}'; "
            f"only ROS 2 messages in CDR are read"
        )
    known = topics.get(channel.topic, TopicSummary(channel.type, 0))
    if known.type != channel.type:
        raise BagError(f"{path}: topic {channel.topic} holds both {known.type} and {channel.type}")
    topics[channel.topic] = TopicSummary(channel.type, known.messages + count)


def _mcap_messages(path: Path, topics: Collection[str] | None) -> Iterator[BagMessage]:
    from mcap.reader import SeekingReader

    try:
        with path.open("rb") as stream:
            summary = SeekingReader(stream).get_summary()
            for channel, log_ns, raw in messages_by_time(stream, summary, topics):
                yield BagMessage(channel.topic, channel.type, raw, log_ns)
    except Exception as error:  # the parser raises whatever its step ran into
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> BagError:
    return BagError(
        f"{path}: is damaged ({type(error).__name__}: {error}); "
        f"to save what can be read: {RECOVER} {path.parent}"
    )


def _merge(path: Path, parts: list[Bag]) -> Bag:
    """Return one bag of a recording that is split into several files."""
    if len(parts) == 1:
        return Bag(
            path, parts[0].topics, parts[0].start_ns, parts[0].end_ns, parts[0].source, parts[0].metadata
        )
    topics: dict[str, TopicSummary] = {}
    for part in parts:
        for name, topic in part.topics.items():
            known = topics.get(name, TopicSummary(topic.type, 0))
            if known.type != topic.type:
                raise BagError(f"{part.path}: topic {name} is {topic.type}, in an earlier file {known.type}")
            topics[name] = TopicSummary(topic.type, known.messages + topic.messages)
    filled = [part for part in parts if part.messages_total]
    return Bag(
        path,
        topics,
        min((part.start_ns for part in filled), default=0),
        max((part.end_ns for part in filled), default=0),
        lambda wanted: heapq.merge(*(part.source(wanted) for part in parts), key=lambda item: item.log_ns),
        {name: values for part in parts for name, values in part.metadata.items()},
    )


# ---- other storages --------------------------------------------------------------------------------------


def _open_rosbags(path: Path) -> Bag:
    from rosbags.rosbag2 import Reader

    try:
        with Reader(path) as reader:
            topics = {
                name: TopicSummary(topic.msgtype or "", topic.msgcount)
                for name, topic in reader.topics.items()
            }
            times = (reader.start_time, reader.end_time) if reader.message_count else (0, 0)
    except Exception as error:  # rosbags, sqlite3 and yaml raise different errors
        raise BagError(f"{path}: rosbags can't read it ({error}); does it have its metadata.yaml?") from error
    return Bag(path, topics, *times, lambda wanted: _rosbags_messages(path, wanted))


def _rosbags_messages(path: Path, topics: Collection[str] | None) -> Iterator[BagMessage]:
    from rosbags.rosbag2 import Reader

    try:
        with Reader(path) as reader:
            wanted = [item for item in reader.connections if topics is None or item.topic in topics]
            for connection, log_ns, raw in reader.messages(wanted) if wanted else ():
                yield BagMessage(connection.topic, connection.msgtype, bytes(raw), log_ns)
    except Exception as error:
        raise BagError(f"{path}: is damaged ({type(error).__name__}: {error})") from error
