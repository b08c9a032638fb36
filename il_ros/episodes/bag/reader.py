"""Read the serialised messages of a bag in the order of their log times.

MCAP and SQLite files of any recorder, also compressed ones, are read without their metadata.yaml. Damage in a
single file is an error. Of a recording that is split into several files the intact messages are read, and
`Bag.damage` says what is missing.
"""

from __future__ import annotations

import heapq
import mmap
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from il_ros.core import messages
from il_ros.episodes.bag.mcap_messages import Declared, text_of
from il_ros.episodes.bag.mcap_scan import Scan
from il_ros.episodes.bag.opened import RECOVER as RECOVER
from il_ros.episodes.bag.opened import Bag as Bag
from il_ros.episodes.bag.opened import BagError as BagError
from il_ros.episodes.bag.opened import BagMessage as BagMessage
from il_ros.episodes.bag.opened import BeingRecordedError as BeingRecordedError
from il_ros.episodes.bag.opened import TopicSummary as TopicSummary
from il_ros.episodes.bag.opened import UnfinishedBagError as UnfinishedBagError
from il_ros.episodes.bag.recovery import integrity
from il_ros.episodes.bag.recovery.damage import DamagedSpan, Harm
from il_ros.episodes.bag.sink import being_written
from il_ros.episodes.bag.storage import packed
from il_ros.episodes.bag.storage.files import (
    MCAP,
    add_topic,
    check_file,
    damage_error,
    kind_of,
    open_file,
    unpacked,
)


def open_bag(path: Path) -> Bag:
    """Open a rosbag2 folder, or a single file of one.

    The definitions of its message types are then known (`core.messages`).
    Raises BagError when it is missing, not a bag, damaged, or not ROS 2 CDR; UnfinishedBagError when it was
    never closed. Of a split recording, one file must be whole.
    """
    if not path.exists():
        raise BagError(f"{path}: does not exist")
    files = _files(path)
    if len(files) == 1:
        return _learnt(replace(open_file(files[0]), path=path))
    parts, errors = [], []
    for file in files:
        part, error = _open_part(file)
        parts += [] if part is None else [part]
        errors += [] if error is None else [error]
    if len(errors) == len(files):
        raise errors[0]
    return _learnt(_merge(path, parts))


def _learnt(bag: Bag) -> Bag:
    """Add the definitions of types that are not known yet; a bag then reads without the packages of its robot."""
    for topic in bag.topics.values():
        if topic.definition and not messages.known(topic.type):
            # without a usable definition the topic cannot be read, which its reader says; the others can
            with suppress(ValueError):
                messages.register(topic.definition, topic.type, topic.language)
    return bag


def check_closed(path: Path) -> None:
    """Check only the first and last bytes of a bag's MCAP files, which is fast for many bags.

    Raises UnfinishedBagError when a file was never closed, BagError when there is no file or it is not MCAP.
    Of a split recording, one closed file is enough, unless a file is being recorded.
    """
    files = _files(path)
    errors: list[BagError] = []
    for file in files:
        try:
            check_file(file)
        except BeingRecordedError:
            raise
        except BagError as error:
            errors.append(error)
    if len(errors) == len(files):
        raise errors[0]


def damage_of(path: Path, *, most_bytes: int | None = None) -> tuple[DamagedSpan, ...]:
    """Return the damaged spans of all MCAP files of a bag; every reader judges a bag by them.

    The files are read whole, unless they are larger than `most_bytes` and were not read before.
    Raises BagError when one can't be read.
    """
    spans: list[DamagedSpan] = []
    for file in bag_files(path):
        if file.suffix == MCAP:
            try:
                spans += integrity.damage(file, most_bytes=most_bytes)
            except OSError as error:
                raise BagError(f"{file}: can't be read: {error}") from error
    return tuple(spans)


def require_whole(path: Path, *, most_bytes: int | None = None) -> None:
    """Raise BagError naming the damage of a bag that consists of one file; see `damage_of`."""
    files = bag_files(path)
    if len(files) == 1 and (spans := damage_of(path, most_bytes=most_bytes)):
        raise damage_error(files[0], spans)


def bag_files(path: Path) -> list[Path]:
    """Return the storage files of a bag, by the number in their names; empty when it is not a bag.

    A compressed file is left out beside its unpacked copy, which `ros2 bag play` leaves.
    """
    if path.is_file():
        return [path] if kind_of(path) else []
    found = (
        {
            file
            for file in path.iterdir()
            if kind_of(file) and file.is_file() and not file.name.startswith(".")
        }
        if path.is_dir()
        else set()
    )
    found -= {file.with_name(file.name + packed.SUFFIX) for file in found}
    return sorted(found, key=lambda f: (len(f.name.removesuffix(packed.SUFFIX)), f.name))


def _files(path: Path) -> list[Path]:
    files = bag_files(path)
    if not files:
        what = (
            "is no file of a bag, which ends in .mcap or .db3"
            if path.is_file()
            else ("holds no bag; a rosbag2 folder has .mcap or .db3 files")
        )
        raise BagError(f"{path}: {what}")
    return files


def _open_part(file: Path) -> tuple[Bag | None, BagError | None]:
    """Open a file of a split recording as far as it is intact; return why it is not whole, if so."""
    try:
        spans = integrity.damage(file) if file.suffix == MCAP else ()
        if not spans:
            return open_file(file), None
        with file.open("rb") as stream:
            if being_written(stream):
                raise BeingRecordedError(f"{file}: is being recorded")
    except BeingRecordedError:
        raise
    except OSError as error:
        return None, BagError(f"{file}: can't be read: {error}")
    except BagError as error:
        lost = DamagedSpan(file.name, 0, file.stat().st_size, Harm.FILE, None, None)
        return Bag(file, {}, 0, 0, lambda wanted: iter(()), damage=(lost,)), error
    return _open_damaged(file, spans), damage_error(file, spans)


def _open_damaged(file: Path, spans: tuple[DamagedSpan, ...]) -> Bag:
    """Return the intact messages of a damaged file: those that a recovery would keep."""
    scan = _scan_damaged(file)
    topics: dict[str, TopicSummary] = {}
    if scan is None:
        return Bag(file, topics, 0, 0, lambda wanted: iter(()), damage=spans)
    for number, channel in scan.channels.items():
        schema = channel.schema
        text, language = ("", "") if schema is None else (text_of(schema.data), schema.encoding)
        declared = Declared(channel.topic, channel.type, channel.encoding, text, language)
        add_topic(file, topics, declared, scan.counts[number])

    def found_messages(wanted: Collection[str] | None) -> Iterator[BagMessage]:
        found = [
            item for item in scan.messages() if wanted is None or scan.channels[item.channel].topic in wanted
        ]
        for item in sorted(found, key=lambda each: each.log_ns):
            channel = scan.channels[item.channel]
            yield BagMessage(channel.topic, channel.type, unpacked(file, bytes(item.data)), item.log_ns)

    return Bag(file, topics, scan.start_ns, scan.end_ns, found_messages, scan.metadata, spans)


def _scan_damaged(file: Path) -> Scan | None:
    """Return the intact contents of a file, None when there is not one record in it."""
    with file.open("rb") as stream:
        if not file.stat().st_size:
            return None
        view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return Scan(view)
    except ValueError:
        return None


def _merge(path: Path, parts: list[Bag]) -> Bag:
    """Return one bag of a recording that is split into several files."""
    topics: dict[str, TopicSummary] = {}
    for part in parts:
        for name, topic in part.topics.items():
            known = topics.get(name, replace(topic, messages=0))
            if known.type != topic.type:
                raise BagError(f"{part.path}: topic {name} is {topic.type}, in an earlier file {known.type}")
            topics[name] = replace(known, messages=known.messages + topic.messages)
    filled = [part for part in parts if part.messages_total]
    return Bag(
        path,
        topics,
        min((part.start_ns for part in filled), default=0),
        max((part.end_ns for part in filled), default=0),
        lambda wanted: heapq.merge(*(part.source(wanted) for part in parts), key=lambda item: item.log_ns),
        {name: values for part in parts for name, values in part.metadata.items()},
        tuple(span for part in parts for span in part.damage),
        tuple(file for part in parts for file in part.files),
    )
