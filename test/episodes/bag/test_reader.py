"""The reader returns messages as written, and its errors say what to do."""

import shutil
import sqlite3

import made_episodes as made
import numpy as np
import pytest
import zstandard
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as RosbagWriter

from il_ros.core import messages
from il_ros.episodes.bag.reader import BagError, UnfinishedBagError, check_closed, open_bag
from il_ros.episodes.bag.recovery.damage import Harm
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.layout import bag_file


def test_messages_come_back_as_written_in_log_time_order(tmp_path):
    items = made.recorded(5)
    bag = open_bag(made.write(tmp_path, items))
    assert list(bag.messages()) == sorted(items, key=lambda item: item.log_ns)
    assert bag.messages_total == len(items)
    assert (bag.start_ns, bag.end_ns) == (items[0].log_ns, items[-1].log_ns)
    assert bag.topics["/joint_states"].type == "sensor_msgs/msg/JointState"
    assert bag.topics["/joint_states"].messages == 5


def test_messages_of_one_log_time_stay_in_file_order(tmp_path):
    """In simulated time, all messages of a tick have the same log time."""
    items = [made.command("/a", [k], 7) for k in range(50)]
    items = [item._replace(topic="/b") if k % 3 else item for k, item in enumerate(items)]
    with BagWriter(tmp_path / "episode_000001", chunk_bytes=200) as bag:
        numbers = {topic: bag.add_stream(topic, made.ARRAY) for topic in ("/a", "/b")}
        for item in items:
            bag.write(numbers[item.topic], item.log_ns, item.raw)
    assert list(open_bag(tmp_path / "episode_000001").messages()) == items


def test_only_the_selected_topics_are_read(tmp_path):
    bag = open_bag(made.write(tmp_path, made.recorded(5)))
    assert {item.topic for item in bag.messages({"/joint_states"})} == {"/joint_states"}
    assert list(bag.messages({"/nothing"})) == []


def _rosbag(folder, plugin, items, compressed=None):
    with compressed or RosbagWriter(folder, version=9, storage_plugin=plugin) as writer:
        connections = {}
        for item in items:
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(
                    item.topic, item.type, msgdef=messages.definition(item.type), rihs01="x"
                )
            writer.write(connections[item.topic], item.log_ns, item.raw)
    return folder


@pytest.mark.parametrize("plugin", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_bags_of_other_recorders_are_readable(tmp_path, plugin):
    items = made.recorded(3)
    bag = open_bag(_rosbag(tmp_path / "foreign", plugin, items))
    assert list(bag.messages()) == items
    assert bag.messages_total == len(items)
    assert {item.topic for item in bag.messages({"/arm/commands"})} == {"/arm/commands"}
    assert list(bag.messages({"/nothing"})) == []


def test_a_recording_split_into_files_is_one_bag(tmp_path):
    items = made.recorded(12)
    folder = tmp_path / "split"
    folder.mkdir()
    for number, part in ((10, items[30:]), (9, items[:30])):  # '_10' sorts before '_9' as text
        inner = made.write(tmp_path / f"part{number}", part)
        bag_file(inner).rename(folder / f"split_{number}.mcap")
    bag = open_bag(folder)
    assert list(bag.messages()) == items
    assert bag.messages_total == len(items)
    assert (bag.start_ns, bag.end_ns) == (items[0].log_ns, items[-1].log_ns)


def test_a_file_without_a_summary_is_scanned(tmp_path):
    path = tmp_path / "plain.mcap"
    raw = made.command("/a", [1.0], 0).raw
    with path.open("wb") as stream:
        writer = McapWriter(stream, use_statistics=False, use_summary_offsets=False, use_chunking=False)
        writer.start(profile="ros2")
        schema = writer.register_schema(made.ARRAY, "ros2msg", messages.definition(made.ARRAY).encode())
        channel = writer.register_channel("/a", "cdr", schema)
        for log_ns in (30, 10, 20):
            writer.add_message(channel, log_ns, raw, log_ns)
        writer.finish()
    bag = open_bag(path)
    assert (bag.start_ns, bag.end_ns, bag.messages_total) == (10, 30, 3)
    assert [item.log_ns for item in bag.messages()] == [10, 20, 30]


def test_an_empty_bag_opens(tmp_path):
    bag = open_bag(made.write(tmp_path, []))
    assert (bag.messages_total, bag.start_ns, list(bag.messages())) == (0, 0, [])


@pytest.mark.parametrize("keep", [0, 5, 8, 60, 0.3, 0.7, -1])
def test_error_of_a_truncated_file_names_the_recover_command(tmp_path, keep):
    folder = made.write(tmp_path, made.recorded(5))
    content = bag_file(folder).read_bytes()
    size = keep if isinstance(keep, int) else int(keep * len(content))
    bag_file(folder).write_bytes(content[:size])
    for opening in (open_bag, check_closed):
        with pytest.raises(UnfinishedBagError, match=f"il-ros episodes recover {folder}"):
            opening(folder)


def test_a_flipped_byte_is_detected(tmp_path):
    folder = made.write(tmp_path, made.recorded(20))
    content = bytearray(bag_file(folder).read_bytes())
    content[len(content) // 3] ^= 0xFF
    bag_file(folder).write_bytes(content)
    with pytest.raises(BagError, match=r"is damaged .*il-ros episodes recover"):
        list(open_bag(folder).messages())


def test_error_names_a_file_that_is_not_mcap(tmp_path):
    path = tmp_path / "letter.mcap"
    path.write_bytes(b"Dear robot, please push the block.")
    with pytest.raises(BagError, match=r"letter\.mcap: is not an MCAP file: it begins with b'Dear rob'"):
        open_bag(path)


def test_mcap_without_cdr_is_rejected(tmp_path):
    path = tmp_path / "json.mcap"
    with path.open("wb") as stream:
        writer = McapWriter(stream)
        writer.start(profile="")
        schema = writer.register_schema("Pose", "jsonschema", b"{}")
        writer.add_message(writer.register_channel("/pose", "json", schema), 1, b"{}", 1)
        writer.finish()
    with pytest.raises(BagError, match="/pose is 'Pose' in encoding 'json'; only ROS 2 messages in CDR"):
        open_bag(path)


def test_errors_name_a_missing_folder_and_a_folder_without_bag(tmp_path):
    with pytest.raises(BagError, match="nowhere: does not exist"):
        open_bag(tmp_path / "nowhere")
    with pytest.raises(BagError, match=r"holds no bag; a rosbag2 folder has \.mcap or \.db3 files"):
        open_bag(tmp_path)


def test_a_sqlite_file_is_read_without_metadata_and_under_another_name(tmp_path):
    items = made.recorded(2)
    folder = _rosbag(tmp_path / "foreign", StoragePlugin.SQLITE3, items)
    (folder / "metadata.yaml").unlink()
    next(folder.glob("*.db3")).rename(folder / "pick_cup_0.db3")
    bag = open_bag(folder)
    assert list(bag.messages()) == items
    assert (bag.start_ns, bag.end_ns) == (items[0].log_ns, items[-1].log_ns)
    assert sorted(file.name for file in folder.iterdir()) == ["pick_cup_0.db3"]  # nothing was written


def test_the_journal_of_a_killed_sqlite_recorder_is_applied(tmp_path):
    """In the journal mode WAL, the last messages are only in the file beside the database."""
    items = made.recorded(2)
    folder = _rosbag(tmp_path / "foreign", StoragePlugin.SQLITE3, items)
    file = next(folder.glob("*.db3"))
    writer = sqlite3.connect(file)
    writer.execute("PRAGMA journal_mode=WAL")
    last_ns = items[-1].log_ns + 1
    writer.execute(
        "INSERT INTO messages (topic_id, timestamp, data) SELECT MIN(id), ?, x'00010000' FROM topics",
        (last_ns,),
    )
    writer.commit()
    killed = tmp_path / "killed"
    killed.mkdir()
    for part in folder.glob("*.db3*"):
        shutil.copy(part, killed)
    writer.close()
    assert sorted(part.suffix for part in killed.iterdir()) == [".db3", ".db3-shm", ".db3-wal"]
    before = {part.name: part.read_bytes() for part in killed.iterdir()}
    assert [item.log_ns for item in open_bag(killed).messages()][-1] == last_ns
    assert {part.name: part.read_bytes() for part in killed.iterdir()} == before


def test_error_names_a_damaged_sqlite_bag(tmp_path):
    folder = _rosbag(tmp_path / "foreign", StoragePlugin.SQLITE3, made.recorded(2))
    file = next(folder.glob("*.db3"))
    file.write_bytes(b"no database " * 500)
    with pytest.raises(
        BagError, match=rf"{file.name}: is damaged, or no \.db3 file of rosbag2 \(file is not"
    ):
        open_bag(folder)


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("plugin", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
@pytest.mark.parametrize("mode", ["MESSAGE", "FILE"])
def test_compressed_messages_and_files_are_unpacked(tmp_path, plugin, mode, metadata):
    items = made.recorded(3)
    folder = tmp_path / "foreign"
    packing = RosbagWriter(folder, version=9, storage_plugin=plugin)
    packing.set_compression(CompressionMode[mode], CompressionFormat.ZSTD)
    _rosbag(folder, plugin, items, packing)
    if not metadata:
        (folder / "metadata.yaml").unlink()
    assert list(open_bag(folder).messages()) == items


def test_a_compressed_message_that_states_a_gigabyte_is_refused(tmp_path):
    bomb = zstandard.ZstdCompressor().compress(bytes((1 << 28) + 1))
    with BagWriter(tmp_path / "episode_000001") as bag:
        bag.write(bag.add_stream("/a", made.ARRAY), 1, bomb)
    with pytest.raises(BagError, match="states 268435457 bytes unpacked; 268435456 at most"):
        list(open_bag(tmp_path / "episode_000001").messages())


def test_a_compressed_file_beside_its_unpacked_copy_is_not_read_twice(tmp_path):
    """`ros2 bag play` unpacks a compressed file beside it."""
    items = made.recorded(3)
    folder = made.write(tmp_path, items)
    file = bag_file(folder)
    file.with_name(file.name + ".zstd").write_bytes(zstandard.ZstdCompressor().compress(file.read_bytes()))
    assert list(open_bag(folder).messages()) == items
    file.unlink()
    assert list(open_bag(folder).messages()) == items


# ---- split recordings ------------------------------------------------------------------------------------


def _split(folder, items, size=15):
    """Write a recording of files of `size` messages each, as another recorder would; return the files."""
    folder.mkdir()
    files = []
    for number in range(0, len(items), size):
        inner = made.write(folder.parent / f"part{number}", items[number : number + size])
        files.append(bag_file(inner).rename(folder / f"rec_{number // size}.mcap"))
    return files


def test_of_a_split_recording_the_closed_files_and_the_intact_start_of_the_cut_one_are_read(tmp_path):
    items = made.recorded(9)  # 45 messages: three files of 15
    files = _split(tmp_path / "rec", items)
    content = files[2].read_bytes()
    cut = content.index(items[35].raw)
    files[2].write_bytes(content[:cut])
    found = open_bag(tmp_path / "rec")
    assert list(found.messages()) == items[:35]
    (span,) = found.damage
    assert (span.file, span.end, span.harm) == ("rec_2.mcap", cut, Harm.TAIL)
    check_closed(tmp_path / "rec")


def test_an_empty_last_file_costs_only_itself(tmp_path):
    items = made.recorded(9)
    files = _split(tmp_path / "rec", items)
    files[2].write_bytes(b"")
    found = open_bag(tmp_path / "rec")
    assert list(found.messages()) == items[:30]
    assert [span.words for span in found.damage] == [
        "rec_2.mcap, bytes 0 to 0: the end of the file is cut off or damaged"
    ]


def test_a_damaged_chunk_in_the_middle_file_costs_its_messages(tmp_path):
    items = made.recorded(9)
    files = _split(tmp_path / "rec", items)
    content = bytearray(files[1].read_bytes())
    content[len(content) // 3] ^= 0xFF
    files[1].write_bytes(content)
    found = open_bag(tmp_path / "rec")
    assert list(found.messages()) == items[:15] + items[30:]  # a file of 15 messages has one chunk
    (span,) = found.damage
    assert (span.file, span.harm) == ("rec_1.mcap", Harm.CHUNK)
    assert span.start < len(content) // 3 < span.end


def test_a_split_recording_without_a_whole_file_is_refused(tmp_path):
    for file in _split(tmp_path / "rec", made.recorded(9)):
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BagError, match="il-ros episodes recover"):
        open_bag(tmp_path / "rec")
    with pytest.raises(UnfinishedBagError, match="never closed"):
        check_closed(tmp_path / "rec")


def test_a_topic_of_two_types_is_rejected(tmp_path):
    path = tmp_path / "two.mcap"
    with path.open("wb") as stream:
        writer = McapWriter(stream)
        writer.start(profile="ros2")
        for kind in (made.ARRAY, made.STRING):
            schema = writer.register_schema(kind, "ros2msg", b"")
            writer.add_message(writer.register_channel("/a", "cdr", schema), 1, b"", 1)
        writer.finish()
    with pytest.raises(
        BagError, match="/a holds both std_msgs/msg/Float64MultiArray and std_msgs/msg/String"
    ):
        open_bag(path)


def test_raw_bytes_decode(tmp_path):
    bag = open_bag(made.write(tmp_path, made.recorded(2)))
    first = next(bag.messages({"/arm/commands"}))
    np.testing.assert_array_equal(messages.decode(first.type, first.raw).data, [1.0, 2.0])


def test_error_names_a_bag_that_is_being_recorded(tmp_path):
    with BagWriter(tmp_path / "episode_000001") as bag:
        bag.flush()
        with pytest.raises(UnfinishedBagError, match=r"episode_000001_0\.mcap: is being recorded"):
            check_closed(tmp_path / "episode_000001")
