"""The reader returns messages as written, and its errors say what to do."""

import made_episodes as made
import numpy as np
import pytest
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as RosbagWriter

from il_ros.core import messages
from il_ros.episodes.bag.reader import BagError, UnfinishedBagError, check_closed, open_bag
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


def _rosbag(folder, plugin, items):
    with RosbagWriter(folder, version=9, storage_plugin=plugin) as writer:
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


def test_error_names_a_damaged_sqlite_bag(tmp_path):
    folder = _rosbag(tmp_path / "foreign", StoragePlugin.SQLITE3, made.recorded(2))
    (folder / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"foreign: rosbags can't read it .*metadata\.yaml"):
        open_bag(folder)


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
