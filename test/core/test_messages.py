"""Messages equal those of ROS, byte for byte."""

import numpy as np
import pytest

from il_ros.core import messages


def test_ros_and_this_module_agree_on_the_bytes():
    serialization = pytest.importorskip("rclpy.serialization", reason="rclpy is not installed")
    from sensor_msgs.msg import JointState

    ours = messages.make(
        "sensor_msgs/msg/JointState",
        header=messages.header(3_000_000_007, "base"),
        name=["a", "bc"],
        position=np.array([1.5, -2.0]),
    )
    raw = messages.encode("sensor_msgs/msg/JointState", ours)
    theirs = serialization.deserialize_message(raw, JointState)
    assert (theirs.header.stamp.sec, theirs.header.stamp.nanosec) == (3, 7)
    assert theirs.name == ["a", "bc"]
    assert list(theirs.position) == [1.5, -2.0]
    back = messages.decode("sensor_msgs/msg/JointState", bytes(serialization.serialize_message(theirs)))
    assert back.name == ["a", "bc"]
    np.testing.assert_array_equal(back.position, [1.5, -2.0])


def test_the_stamp_is_read_from_bytes_of_either_byte_order():
    little = bytes([0, 1, 0, 0]) + (5).to_bytes(4, "little") + (7).to_bytes(4, "little")
    big = bytes([0, 0, 0, 0]) + (5).to_bytes(4, "big") + (7).to_bytes(4, "big")
    for raw in (little, big):
        assert messages.raw_stamp_ns("sensor_msgs/msg/Image", raw) == 5_000_000_007


def test_without_header_or_with_a_zero_stamp_there_is_no_stamp():
    assert messages.raw_stamp_ns("std_msgs/msg/String", b"\0\1\0\0") is None
    zero = messages.encode("sensor_msgs/msg/Imu", messages.make("sensor_msgs/msg/Imu"))
    assert messages.raw_stamp_ns("sensor_msgs/msg/Imu", zero) is None
    assert messages.stamp_ns(messages.make("sensor_msgs/msg/Imu")) is None
    imu = messages.make("sensor_msgs/msg/Imu", header=messages.header(12))
    assert messages.stamp_ns(imu) == 12


def test_unknown_types_and_invalid_bytes_are_rejected():
    with pytest.raises(ValueError, match="did you mean 'sensor_msgs/msg/Image'"):
        messages.make("sensor_msgs/Image")
    with pytest.raises(ValueError, match="unknown message type"):
        messages.decode("nobody_msgs/msg/Thing", b"")
    with pytest.raises(ValueError, match="not a sensor_msgs/msg/JointState"):
        messages.decode("sensor_msgs/msg/JointState", b"\0\1\0\0\xff")
    with pytest.raises(ValueError, match="header alone takes 12"):
        messages.raw_stamp_ns("sensor_msgs/msg/Imu", b"\0\1\0\0")


def test_a_type_can_be_registered_from_its_definition():
    messages.register("float64 level\nstring name", "tank_msgs/msg/Level")
    message = messages.make("tank_msgs/msg/Level", level=2.5, name="left")
    back = messages.decode("tank_msgs/msg/Level", messages.encode("tank_msgs/msg/Level", message))
    assert (back.level, back.name) == (2.5, "left")
    assert "float64 level" in messages.definition("tank_msgs/msg/Level")
