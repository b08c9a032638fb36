"""Write a rosbag2 directory with one MCAP file, which is readable up to the last flush.

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
"""Reserved disk space, so that the index and the episode's description fit on a full disk."""


class BagWriter:
    """Writes one bag, from one thread. `flush` ends the chunk, whose messages then survive a kill.

    After a failed write the file holds all complete chunks before it, and `close` still makes it a readable
    bag. Messages of the failed chunk are counted in `unwritten`.
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
        """Create the bag `folder`/<folder's name>_0.mcap, and the folder if necessary.

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
        """Declare a topic by its full name and return its stream number.

        Raises ValueError on an unknown type or a duplicate topic, OSError when it can't be written.
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
        """Write named texts, such as the contract; raises OSError when they can't be written."""
        self._file.add_metadata(name, values)

    def write(
        self, stream: int, log_ns: int, raw: bytes, publish_ns: int | None = None, sequence: int = 0
    ) -> None:
        """Add a serialised message; it is written when the chunk is full or at the next `flush`.

        Raises OSError when a full chunk can't be written.
        """
        self._file.write(stream, log_ns, raw, log_ns if publish_ns is None else publish_ns, sequence)

    @property
    def written(self) -> dict[str, int]:
        """Number of messages in the file, by topic."""
        return {topic.name: self._file.counts[number] for number, topic in enumerate(self._topics, start=1)}

    @property
    def unwritten(self) -> int:
        """Number of messages lost in failed writes."""
        return self._file.unwritten

    @property
    def written_bytes(self) -> int:
        """Size of the file in bytes."""
        return self._sink.size

    def flush(self) -> None:
        """Write the added messages; raises OSError, and the messages are then lost."""
        self._file.flush()

    def sync(self) -> None:
        """Flush to the disk, so that the messages survive a power failure; raises OSError."""
        self._file.flush()
        self._sink.sync()

    def check(self) -> None:
        """Raise OSError when the file was deleted or moved."""
        self._sink.check()

    def close(self) -> None:
        """Finish the file and `metadata.yaml`; a second call does nothing.

        Runs every step, then raises the first OSError; the file keeps all complete chunks.
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
        """Write `metadata.yaml` for the current contents; raises OSError."""
        atomic.write_text(self.folder / METADATA_FILE, render(self.summary()), durable=durable)

    def summary(self) -> BagSummary:
        """Return the file's current contents, for `metadata.yaml`."""
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
