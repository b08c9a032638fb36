"""A metadata.yaml of another recorder may hold anything."""

import contextlib
import sqlite3
import time

import made_episodes as made
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from il_ros.episodes.bag.reader import BagError, open_bag
from il_ros.episodes.bag.recover import recover
from il_ros.episodes.verify import verify

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]\n" for i in range(1, 9)
)
ODD = {
    "aliases": LAUGHS + "rosbag2_bagfile_information: {version: *a8, message_count: *a8}\n",
    "a time": "rosbag2_bagfile_information: {message_count: !!timestamp x}\n",
    "deep": "[" * 50_000,
    "a list": "[1]",
    "empty": "",
}


@pytest.fixture
def db3(tmp_path):
    path = tmp_path / "db3"
    with Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as bag:
        types = get_typestore(Stores.ROS2_JAZZY)
        connection = bag.add_connection("/joint_states", made.JOINTS, typestore=types)
        bag.write(connection, made.stamp(0), made.joints(0).raw)
    return path


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_an_odd_metadata_file_of_an_mcap_bag_is_a_warning(tmp_path, text):
    folder = made.write(tmp_path, made.recorded(4))
    (folder / "metadata.yaml").write_text(text)
    began_s = time.process_time()
    report = verify(folder)
    assert report.ok
    assert any("metadata.yaml" in warning for warning in report.warnings)
    assert all(len(warning) < 1000 for warning in report.warnings)
    assert recover(folder).messages == 4 * 5
    assert time.process_time() - began_s < 5.0


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_a_db3_bag_is_read_whatever_its_metadata_file_holds(db3, text):
    (db3 / "metadata.yaml").write_text(text)
    assert len(list(open_bag(db3).messages())) == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE messages SET data = 1000000000000",  # bytes(n) would be n zeros
        "UPDATE messages SET timestamp = 'late'",
        "UPDATE topics SET name = x'6100'",
        "UPDATE topics SET name = CAST(x'6195' AS TEXT)",
        "UPDATE topics SET type = 5.5",
    ],
)
def test_a_column_of_another_type_is_a_bag_error(db3, change):
    (path,) = db3.glob("*.db3")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(change)
        database.commit()
    with pytest.raises(BagError, match=r"another type|not UTF-8|only ROS 2|damaged"):
        list(open_bag(db3).messages())
