"""The writer's bags match what rosbag2 tools expect, message by message."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader

from il_ros.core import messages
from il_ros.episodes.bag.metadata import Qos
from il_ros.episodes.bag.sink import FileSink
from il_ros.episodes.bag.writer import RESERVE_BYTES, RESERVE_FILE, BagWriter

STRING, JOINTS = "std_msgs/msg/String", "sensor_msgs/msg/JointState"
SECOND = 1_000_000_000


def string(text: str) -> bytes:
    return messages.encode(STRING, messages.make(STRING, data=text))


def joints(stamp_ns: int, position: float) -> bytes:
    return messages.encode(
        JOINTS,
        messages.make(
            JOINTS, header=messages.header(stamp_ns), name=["joint1"], position=np.array([position])
        ),
    )


@pytest.fixture(params=["none", "lz4", "zstd"])
def bag(request, tmp_path: Path) -> Path:
    """Return a bag with two topics and three chunks; log times decrease in the middle chunk."""
    folder = tmp_path / "episode_000001"
    with BagWriter(folder, compression=request.param) as writer:
        talk = writer.add_stream("/talk", STRING, Qos(reliability=2))
        arm = writer.add_stream("/joint_states", JOINTS)
        writer.add_metadata("il_ros.contract", {"text": "name: x"})
        writer.write(talk, 1 * SECOND, string("one"))
        writer.write(arm, 2 * SECOND, joints(2 * SECOND, 0.5), publish_ns=7, sequence=3)
        writer.flush()
        writer.write(talk, 4 * SECOND, string("four"))
        writer.write(talk, 3 * SECOND, string("three"))
        writer.flush()
        writer.write(arm, 5 * SECOND, joints(5 * SECOND, 0.25))
    return folder


def test_rosbags_reads_every_message_in_time_order(bag: Path):
    with AnyReader([bag]) as reader:
        read = [(c.topic, stamp, raw) for c, stamp, raw in reader.messages()]
    assert read == [
        ("/talk", 1 * SECOND, string("one")),
        ("/joint_states", 2 * SECOND, joints(2 * SECOND, 0.5)),
        ("/talk", 3 * SECOND, string("three")),
        ("/talk", 4 * SECOND, string("four")),
        ("/joint_states", 5 * SECOND, joints(5 * SECOND, 0.25)),
    ]


def test_mcap_decodes_with_the_definitions_in_the_file(bag: Path):
    with (bag / "episode_000001_0.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        decoded = [
            (m.log_time, m.publish_time, m.sequence, ros) for _, _, m, ros in reader.iter_decoded_messages()
        ]
        summary = reader.get_summary()
        metadata = {record.name: record.metadata for record in reader.iter_metadata()}
    assert decoded[1][:3] == (2 * SECOND, 7, 3)
    assert list(decoded[1][3].position) == [0.5]
    assert [ros.data for _, _, _, ros in decoded if hasattr(ros, "data")] == ["one", "three", "four"]
    assert summary.statistics.message_count == 5
    assert summary.statistics.channel_message_counts == {1: 3, 2: 2}
    assert (summary.statistics.message_start_time, summary.statistics.message_end_time) == (
        SECOND,
        5 * SECOND,
    )
    assert len(summary.chunk_indexes) == 3
    assert metadata["il_ros.contract"] == {"text": "name: x"}
    assert yaml.safe_load(metadata["rosbag2"]["serialized_metadata"])["message_count"] == 5


def test_metadata_has_the_fields_rosbag2_reads(bag: Path):  # rosbag2_storage/yaml.hpp, version 8
    info = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    talk = info["topics_with_message_count"][0]
    qos = yaml.safe_load(talk["topic_metadata"].pop("offered_qos_profiles"))
    forever = {"sec": 2147483647, "nsec": 4294967295}
    assert qos == [
        {
            "history": 3,
            "depth": 0,
            "reliability": 2,
            "durability": 2,
            "deadline": forever,
            "lifespan": forever,
            "liveliness": 1,
            "liveliness_lease_duration": forever,
            "avoid_ros_namespace_conventions": False,
        }
    ]
    assert talk == {
        "topic_metadata": {
            "name": "/talk",
            "type": "std_msgs/msg/String",
            "serialization_format": "cdr",
            "type_description_hash": (
                "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18"
            ),
        },
        "message_count": 3,
    }
    del info["topics_with_message_count"], info["ros_distro"]
    assert info == {
        "version": 8,
        "storage_identifier": "mcap",
        "duration": {"nanoseconds": 4 * SECOND},
        "starting_time": {"nanoseconds_since_epoch": SECOND},
        "message_count": 5,
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": ["episode_000001_0.mcap"],
        "files": [
            {
                "path": "episode_000001_0.mcap",
                "starting_time": {"nanoseconds_since_epoch": SECOND},
                "duration": {"nanoseconds": 4 * SECOND},
                "message_count": 5,
            }
        ],
        "custom_data": {},
    }


def test_an_empty_bag_is_readable(tmp_path: Path):
    with BagWriter(tmp_path / "episode_000001") as writer:
        writer.add_stream("/talk", STRING)
    with AnyReader([tmp_path / "episode_000001"]) as reader:
        assert [c.topic for c in reader.connections] == ["/talk"]
        assert list(reader.messages()) == []


def test_metadata_exists_before_the_first_message(tmp_path: Path):
    writer = BagWriter(tmp_path / "episode_000001")
    assert (tmp_path / "episode_000001" / "metadata.yaml").exists()
    writer.close()


def test_a_bag_is_never_overwritten(bag: Path):
    before = (bag / "episode_000001_0.mcap").read_bytes()
    with pytest.raises(FileExistsError):
        BagWriter(bag)
    assert (bag / "episode_000001_0.mcap").read_bytes() == before


def test_an_unknown_type_is_rejected(tmp_path: Path):
    with (
        BagWriter(tmp_path / "b") as writer,
        pytest.raises(ValueError, match="unknown message type 'a/msg/B'"),
    ):
        writer.add_stream("/x", "a/msg/B")


class FullSink(FileSink):
    """A sink on a disk with `room` free bytes."""

    room = 1700

    def append(self, blocks):
        if self.size + sum(map(len, blocks)) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(blocks)


def bag_on_a_full_disk(folder: Path) -> tuple[BagWriter, FullSink]:
    """Return a bag with one short message whose disk has no space for the next."""
    sinks: list[FullSink] = []
    writer = BagWriter(folder, open_sink=lambda path: sinks.append(FullSink(path)) or sinks[0])
    talk = writer.add_stream("/talk", STRING)
    writer.write(talk, 1, string("kept"))
    writer.flush()
    sinks[0].room = sinks[0].size + 100
    writer.write(talk, 2, string("x" * 100))
    with pytest.raises(OSError, match="No space"):
        writer.flush()
    return writer, sinks[0]


def test_on_a_full_disk_all_complete_chunks_stay_readable(tmp_path: Path):
    folder = tmp_path / "episode_000001"
    writer, sink = bag_on_a_full_disk(folder)
    assert writer.unwritten == 1
    assert writer.written == {"/talk": 1}
    sink.room += RESERVE_BYTES
    writer.close()
    with AnyReader([folder]) as reader:
        assert [(stamp, raw) for _, stamp, raw in reader.messages()] == [(1, string("kept"))]
    assert not (folder / RESERVE_FILE).exists()


def test_without_space_for_the_index_the_file_is_still_closed(tmp_path: Path):
    folder = tmp_path / "episode_000001"
    writer, _ = bag_on_a_full_disk(folder)
    with pytest.raises(OSError, match="No space"):
        writer.close()
    with (folder / "episode_000001_0.mcap").open("rb") as file:
        assert [m.data for _, _, m in make_reader(file).iter_messages()] == [string("kept")]
    info = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert info["message_count"] == 1


def test_a_failed_append_leaves_no_partial_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sink = FileSink(tmp_path / "file")
    sink.append([b"whole", b""])
    pwritev = os.pwritev

    def write_two_bytes_then_fail(descriptor, blocks, offset):
        monkeypatch.setattr(os, "pwritev", fail)
        return pwritev(descriptor, [blocks[0][:2]], offset)

    def fail(descriptor, blocks, offset):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pwritev", write_two_bytes_then_fail)
    with pytest.raises(OSError, match="Input/output"):
        sink.append([b"half"])
    monkeypatch.setattr(os, "pwritev", pwritev)
    sink.append([b" again"] * 1500)  # more buffers than one system call accepts
    sink.close()
    assert (tmp_path / "file").read_bytes() == b"whole" + b" again" * 1500


def test_a_deleted_file_is_detected(tmp_path: Path):
    writer = BagWriter(tmp_path / "episode_000001")
    writer.check()
    (tmp_path / "episode_000001" / "episode_000001_0.mcap").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"episode_000001_0\.mcap"):
        writer.check()
