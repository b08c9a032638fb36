"""Copy the intact contents of an MCAP file into a new, complete file, and check the copy."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from il_ros.episodes.bag import mcap_records as mcap
from il_ros.episodes.bag.mcap_file import CHUNK_BYTES, COMPRESSIONS, McapFile
from il_ros.episodes.bag.mcap_parse import Attachment, Metadata
from il_ros.episodes.bag.mcap_scan import Message, Scan
from il_ros.episodes.bag.metadata import BagSummary, Topic, merge, render_information
from il_ros.episodes.bag.sink import FileSink

LIBRARY = "il_ros recover"
"""The library that a recovered file names in its header."""
_DESCRIPTION = "rosbag2"
"""Name of the metadata record in which rosbag2 describes the contents of the file."""

Progress = Callable[[int, int], None]


def copy(scan: Scan, target: Path, name: str, progress: Progress, total: int) -> None:
    """Write all intact contents into the new file `target`, which will be called `name`; raises OSError.

    `progress(bytes written, total)` is called after each message.
    """
    sink = FileSink(target)
    try:
        compression = scan.compression if scan.compression in COMPRESSIONS else "none"
        profile = scan.header.profile
        file = McapFile(sink, CHUNK_BYTES, compression, checksums=True, library=LIBRARY, profile=profile)
        file.declare(_declarations(scan))
        file.counts.update(dict.fromkeys(scan.channels, 0))
        described = False
        for item in scan.items():
            if isinstance(item, Message):
                file.write(item.channel, item.log_ns, bytes(item.data), item.publish_ns, item.sequence)
                progress(sink.size, total)
            elif isinstance(item, Metadata):
                described |= item.name == _DESCRIPTION
                if item.name != _DESCRIPTION or not scan.damage:
                    file.add_metadata(item.name, item.values)
            elif isinstance(item, Attachment):
                file.add_attachment(item.log_ns, item.create_ns, item.name, item.media_type, item.data)
            else:
                file.add_record(item.data)
        file.flush()
        if described and scan.damage:
            information = render_information(summarise(scan, name))
            file.add_metadata(_DESCRIPTION, {"serialized_metadata": information})
        file.finish()
        sink.sync()
    finally:
        sink.close()


def is_copy(new: Scan, old: Scan) -> bool:
    """Return whether a file is complete and holds the same as the intact part of an older one."""
    return new.intact and new.header.profile == old.header.profile and digest(new) == digest(old)


def summarise(scan: Scan, name: str) -> BagSummary:
    """Return the contents of the file called `name`, for `metadata.yaml`."""
    topics = [
        Topic(
            item.topic,
            item.type,
            scan.counts[item.number],
            item.metadata.get("offered_qos_profiles", ""),
            item.metadata.get("topic_type_hash", ""),
            item.encoding,
        )
        for item in scan.channels.values()
    ]
    distro = os.environ.get("ROS_DISTRO", "jazzy")
    merged = merge([BagSummary("", [topic]) for topic in topics] or [BagSummary("")]).topics
    return BagSummary(name, merged, scan.start_ns, scan.end_ns, distro)


def digest(scan: Scan) -> bytes:
    """Return a digest of the contents in file order; the description of the file itself is left out."""
    found = hashlib.blake2b("".join(map(repr, scan.schemas.values())).encode())
    found.update("".join(map(repr, scan.channels.values())).encode())
    for part in digests(scan):
        found.update(part)
    return found.digest()


def digests(scan: Scan) -> Iterator[bytes]:
    """Yield a digest of each message, metadata record, attachment and private record."""
    for item in scan.items():
        if isinstance(item, Metadata):
            if item.name != _DESCRIPTION:
                yield hashlib.blake2b(repr(item).encode(), digest_size=16).digest()
            continue
        if isinstance(item, Message):
            head = repr((item.channel, item.sequence, item.log_ns, item.publish_ns))
        elif isinstance(item, Attachment):
            head = repr((item.log_ns, item.create_ns, item.name, item.media_type))
        else:
            head = "private"
        found = hashlib.blake2b(head.encode(), digest_size=16)
        found.update(item.data)
        yield found.digest()


def write_empty(target: Path) -> None:
    """Write a file without contents; raises OSError."""
    sink = FileSink(target)
    try:
        McapFile(sink, CHUNK_BYTES, "none", checksums=True, library=LIBRARY).finish()
        sink.sync()
    finally:
        sink.close()


def _declarations(scan: Scan) -> list[bytes]:
    schemas = [
        mcap.schema(item.number, item.name, item.data, item.encoding) for item in scan.schemas.values()
    ]
    channels = [
        mcap.channel(
            item.number,
            0 if item.schema is None else item.schema.number,
            item.topic,
            item.metadata,
            item.encoding,
        )
        for item in scan.channels.values()
    ]
    return [*schemas, *channels]
