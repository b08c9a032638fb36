"""Write a rosbag2 directory with one MCAP file, messages as they come, readable up to the last flush.

with BagWriter(folder) as bag:
    joints = bag.add_stream("/joint_states", "sensor_msgs/msg/JointState")
    bag.write(joints, log_ns, raw)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from il_ros.core import atomic, messages
from il_ros.episodes.bag.mcap_file import CHUNK_BYTES, McapFile
from il_ros.episodes.bag.metadata import BagSummary, Qos, Topic, render, render_information
from il_ros.episodes.bag.sink import FileSink, Sink
from il_ros.episodes.layout import METADATA_FILE, bag_file

RESERVE_FILE = ".reserve"
RESERVE_BYTES = 1024 * 1024
"""Kept aside on the disk, so that a full one still takes the index and the episode's description."""


class BagWriter:
    """One bag, for one thread. `flush` closes the chunk: what came before it then survives a kill.

    After a failed write the file holds all whole chunks before it, nothing half, and `close` still makes it
    a readable bag. Messages of the failed chunk are counted in `unwritten`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        chunk_bytes: int = CHUNK_BYTES,
        compression: str = "none",
        checksums: bool = True,
        open_sink: Callable[[Path], Sink] = FileSink,
    ):
        """Start the bag `folder`/<folder's name>_0.mcap; the folder is made when there is none.

        Raises FileExistsError when the bag exists, other OSErrors when it can't be written, ValueError on an
        unknown compression.
        """
        self.folder = folder
        self._topics: list[Topic] = []
        self._closed = False
        folder.mkdir(parents=True, exist_ok=True)
        self._sink = open_sink(bag_file(folder))
        try:
            _reserve(folder / RESERVE_FILE)
            self._file = McapFile(self._sink, chunk_bytes, compression, checksums)
            self.save_metadata(durable=False)
        except BaseException:
            self._sink.close()
            raise

    def add_stream(self, topic: str, type_name: str, qos: Qos | None = None) -> int:
        """Declare a topic (its full name) and return the number to write its messages under.

        Raises ValueError on an unknown type or a topic declared before, OSError when it can't be written.
        """
        if any(known.name == topic for known in self._topics):
            raise ValueError(f"topic {topic} is in the bag already")
        entry = Topic(
            topic, type_name, 0, "" if qos is None else qos.to_yaml(), messages.type_hash(type_name)
        )
        details = {"offered_qos_profiles": entry.qos, "topic_type_hash": entry.hash}
        number = self._file.add_channel(topic, type_name, messages.definition(type_name), details)
        self._topics.append(entry)
        return number

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Put named texts into the file, such as the contract; raises OSError when it can't be written."""
        self._file.add_metadata(name, values)

    def write(
        self, stream: int, log_ns: int, raw: bytes, publish_ns: int | None = None, sequence: int = 0
    ) -> None:
        """Take a serialised message in; it is in the file when the chunk is full or after `flush`.

        Raises OSError when a full chunk can't be written.
        """
        self._file.write(stream, log_ns, raw, log_ns if publish_ns is None else publish_ns, sequence)

    @property
    def written(self) -> dict[str, int]:
        """Messages in the file, by topic."""
        return {topic.name: self._file.counts[number] for number, topic in enumerate(self._topics, start=1)}

    @property
    def unwritten(self) -> int:
        """Messages that a failed write took with it."""
        return self._file.unwritten

    @property
    def written_bytes(self) -> int:
        """Size of the file."""
        return self._sink.size

    def flush(self) -> None:
        """Write the messages taken in so far; raises OSError, after which they are gone."""
        self._file.flush()

    def sync(self) -> None:
        """Flush, and have it survive a power cut; raises OSError."""
        self._file.flush()
        self._sink.sync()

    def check(self) -> None:
        """Raise OSError when the file was deleted or moved away."""
        self._sink.check()

    def close(self) -> None:
        """Finish the file and `metadata.yaml`; doing it twice is harmless.

        Does all it can, then raises the first OSError: the file still has all whole chunks.
        """
        if self._closed:
            return
        self._closed = True
        reserve = self.folder / RESERVE_FILE
        steps = (
            self._file.flush,
            lambda: reserve.unlink(missing_ok=True),
            self._finish,
            self._sink.sync,
            self._sink.close,
            self.save_metadata,
        )
        failures = [failure for step in steps if (failure := _attempt(step))]
        if failures:
            raise failures[0]

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def save_metadata(self, *, durable: bool = True) -> None:
        """Write `metadata.yaml` as things stand; raises OSError."""
        atomic.write_text(self.folder / METADATA_FILE, render(self.summary()), durable=durable)

    def summary(self) -> BagSummary:
        """Return what the file holds by now, as `metadata.yaml` tells it."""
        topics = [
            Topic(topic.name, topic.type, self._file.counts[number], topic.qos, topic.hash)
            for number, topic in enumerate(self._topics, start=1)
        ]
        distro = os.environ.get("ROS_DISTRO", "jazzy")
        return BagSummary(bag_file(self.folder).name, topics, self._file.start_ns, self._file.end_ns, distro)

    def _finish(self) -> None:
        failure = _attempt(
            lambda: self.add_metadata("rosbag2", {"serialized_metadata": render_information(self.summary())})
        )
        self._file.finish()
        if failure:
            raise failure


def _attempt(step: Callable[[], None]) -> OSError | None:
    try:
        step()
    except OSError as error:
        return error
    return None


def _reserve(path: Path) -> None:
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
