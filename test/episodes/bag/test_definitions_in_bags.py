"""Bags bring the definitions of their message types along, so that they are read without the packages of the robot."""

import numpy as np
import pytest
from mcap.writer import Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as RosbagsWriter
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from il_ros.core import codecs, contract, messages
from il_ros.core.codecs import UnknownTypeError
from il_ros.episodes.arrays.replay import open_replay
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.bag.topics import MismatchError, find_streams
from il_ros.episodes.verify import verify
from il_ros.training.trainer.opening import contract_of

S = 1_000_000_000
DEFINITION = f"std_msgs/Header header\nfloat32[] widths\n{'=' * 80}\nMSG: std_msgs/Header\n" + (
    f"builtin_interfaces/Time stamp\nstring frame_id\n{'=' * 80}\nMSG: builtin_interfaces/Time\nint32 sec\n"
    "uint32 nanosec\n"
)
TEXT = """\
name: own
rate_hz: 10
trigger: tool
observations:
  tool:
    topic: tool
    type: TYPE
    fields: ["widths[1]"]
    max_age_s: 1
actions:
  base: {topic: cmd, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 1}}
"""


def read(type_name: str) -> contract.Contract:
    return contract.parse(TEXT.replace("TYPE", type_name), "own")


def message(stamp_ns: int, *widths: float) -> bytes:
    """Return the bytes of a message; frame_id is empty, and the list begins after three bytes of padding."""
    head = b"\0\1\0\0" + (stamp_ns // S).to_bytes(4, "little") + (stamp_ns % S).to_bytes(4, "little")
    count = len(widths).to_bytes(4, "little")
    return head + b"\1\0\0\0\0\0\0\0" + count + np.array(widths, "<f4").tobytes()


def write_mcap(file, type_name: str, definition: str = DEFINITION, encoding: str = "ros2msg"):
    """Write three messages of a type that this process does not know, and three commands."""
    with file.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        twist = "geometry_msgs/msg/Twist"
        schemas = {
            "/tool": (type_name, encoding, definition),
            "/cmd": (twist, "ros2msg", messages.definition(twist)),
        }
        channels = {
            topic: writer.register_channel(
                topic, "cdr", writer.register_schema(name, language, text.encode())
            )
            for topic, (name, language, text) in schemas.items()
        }
        command = messages.encode(twist, messages.make(twist))
        for second in (1, 2, 3):
            raw = message(second * S, 0.5, second / 4)
            writer.add_message(channels["/cmd"], second * S - 1, command, second * S - 1)
            writer.add_message(channels["/tool"], second * S, raw, second * S)
        writer.finish()


def test_a_type_that_only_the_bag_defines_is_replayed(tmp_path):
    name = "acme_bag_a_msgs/msg/Tool"
    write_mcap(tmp_path / "robot.mcap", name)
    with pytest.raises(contract.ContractError, match="source the workspace that provides acme_bag_a_msgs"):
        read(name)
    bag = open_bag(tmp_path / "robot.mcap")
    frames = list(open_replay(bag, read(name), None))
    assert [frame.observation.values["tool"].tolist() for frame in frames] == [[0.25], [0.5], [0.75]]


def test_a_bag_of_another_version_of_the_robots_package_is_read_by_its_own_definition(tmp_path):
    """Since then, a text was put in front, and the numbers are doubles."""
    name = "acme_bag_h_msgs/msg/Tool"
    messages.register("std_msgs/Header header\nstring name\nfloat64[] widths", name)
    write_mcap(tmp_path / "robot_0.mcap", name)
    replay = open_replay(open_bag(tmp_path / "robot_0.mcap"), read(name), None)
    assert [frame.observation.values["tool"].tolist() for frame in replay] == [[0.25], [0.5], [0.75]]
    (note,) = replay.notes
    assert (
        note == f"topic tool is read by the bag's own definition of {name}, which differs from the one here"
    )
    (tmp_path / "bag").mkdir()
    (tmp_path / "robot_0.mcap").rename(tmp_path / "bag" / "bag_0.mcap")
    assert verify(tmp_path / "bag", read(name)).errors == ()


def test_a_definition_inside_another_one_may_differ_too(tmp_path):
    line = "=" * 80
    name = "acme_bag_i_msgs/msg/Tool"
    own = DEFINITION.replace("float32[] widths", "Finger finger").replace(
        f"{line}\nMSG: std_msgs/Header",
        f"{line}\nMSG: acme_bag_i_msgs/Finger\nfloat32[] widths\n{line}\nMSG: std_msgs/Header",
    )
    messages.register(own.replace("float32[] widths", "int32 number\nfloat32[] widths"), name)
    write_mcap(tmp_path / "robot.mcap", name, own)
    text = TEXT.replace("TYPE", name).replace("widths[1]", "finger.widths[1]")
    replay = open_replay(open_bag(tmp_path / "robot.mcap"), contract.parse(text, "own"), None)
    assert [frame.observation.values["tool"].tolist() for frame in replay] == [[0.25], [0.5], [0.75]]


def test_a_bag_whose_type_lacks_what_the_contract_names_is_refused(tmp_path):
    name = "acme_bag_b_msgs/msg/Tool"
    messages.register("std_msgs/Header header\nstring name\nfloat32[] sizes", name)
    write_mcap(tmp_path / "robot.mcap", name)
    own = contract.parse(TEXT.replace("TYPE", name).replace("widths", "sizes"), "own")
    bag = open_bag(tmp_path / "robot.mcap")
    with pytest.raises(MismatchError) as error:
        find_streams(own, bag, None)
    assert (
        "tool needs /tool, whose type has another definition in the bag (acme_bag_b_msgs/msg/Tool has the fields "
        "header, widths there and header, name, sizes here): 'sizes' of 'sizes[1]' is not in acme_bag_b_msgs/msg/Tool_"
    ) in str(error.value)


def test_a_contract_of_a_robot_that_is_not_installed_is_read_beside_its_bags(tmp_path):
    name = "acme_bag_g_msgs/msg/Tool"
    (tmp_path / "own.yaml").write_text(TEXT.replace("TYPE", name))
    (tmp_path / "episodes" / "broken").mkdir(parents=True)
    (tmp_path / "episodes" / "broken" / "broken_0.mcap").write_bytes(b"no bag")
    with pytest.raises(UnknownTypeError):
        contract_of(str(tmp_path / "own.yaml"), tmp_path / "episodes")
    (tmp_path / "episodes" / "robot").mkdir()
    write_mcap(tmp_path / "episodes" / "robot" / "robot_0.mcap", name)
    own = contract_of(str(tmp_path / "own.yaml"), tmp_path / "episodes")
    assert own.observation("tool").elements == ("widths[1]",)


@pytest.mark.parametrize("definition", ["", "3 = 4", "int32 3a"])
def test_a_bag_without_a_usable_definition_is_read_as_before(tmp_path, definition):
    write_mcap(tmp_path / "robot.mcap", "acme_bag_c_msgs/msg/Tool", definition)
    bag = open_bag(tmp_path / "robot.mcap")
    assert bag.topics["/tool"].messages == 3
    assert not messages.known("acme_bag_c_msgs/msg/Tool")
    messages.register(DEFINITION, "acme_bag_d_msgs/msg/Tool")
    write_mcap(tmp_path / "other.mcap", "acme_bag_d_msgs/msg/Tool", definition)
    assert (
        len(list(open_replay(open_bag(tmp_path / "other.mcap"), read("acme_bag_d_msgs/msg/Tool"), None))) == 3
    )


def test_the_definitions_of_an_sqlite_bag_are_read(tmp_path):
    name = "acme_bag_e_msgs/msg/Level"
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg("float64 data", name))
    with RosbagsWriter(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/level", name, typestore=store)
        raw = store.serialize_cdr(store.types[name](data=2.5), name)
        writer.write(connection, S, bytes(raw))
    bag = open_bag(tmp_path / "bag")
    (item,) = bag.messages()
    assert messages.decode(item.type, item.raw).data == 2.5


def test_an_old_sqlite_bag_has_no_definitions_and_is_read(tmp_path):
    store = get_typestore(Stores.ROS2_HUMBLE)
    with RosbagsWriter(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/level", "std_msgs/msg/Float64", typestore=store)
        message = store.types["std_msgs/msg/Float64"](data=2.5)
        writer.write(connection, S, bytes(store.serialize_cdr(message, "std_msgs/msg/Float64")))
    (item,) = open_bag(tmp_path / "bag").messages()
    assert messages.decode(item.type, item.raw).data == 2.5


def test_several_observations_of_one_topic_decode_a_message_once(tmp_path, monkeypatch):
    name = "acme_bag_f_msgs/msg/Tool"
    messages.register(DEFINITION, name)
    text = TEXT.replace(
        "  tool:\n", f"  first: {{topic: tool, type: {name}, fields: ['widths[0]'], max_age_s: 1}}\n  tool:\n"
    )
    own = contract.parse(text.replace("TYPE", name), "own")
    write_mcap(tmp_path / "robot.mcap", name)
    bag = open_bag(tmp_path / "robot.mcap")
    decoded = []
    decode = messages.decode
    monkeypatch.setattr(messages, "decode", lambda kind, raw: decoded.append(kind) or decode(kind, raw))
    frames = list(open_replay(bag, own, None))
    assert [frame.observation.values["first"].tolist() for frame in frames] == [[0.5]] * 3
    assert decoded.count(name) == 3
    assert codecs.decode(own.observation("first"), decode(name, message(S, 7.0, 8.0))) == [7.0]
