"""Decoding of every message type and encoding of every command, without made-up values."""

import numpy as np
import pytest

from il_ros.core import codecs, contract, messages
from il_ros.core.codecs.joint_state import JointStateReader
from il_ros.core.messages import header, make

STAMP = header(1_500_000_000, "base")


def observation(type_name: str, extra: str = ""):
    text = f"""
name: t
rate_hz: 1
observations:
  it: {{topic: x, type: {type_name}, max_age_s: 1{extra}}}
  j: {{topic: j, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 1}}
actions:
  arm: {{topic: c, type: std_msgs/msg/Float64MultiArray, names: [a], reference: j, limits: {{speed: 1}}}}
"""
    return contract.parse(text, "t").observation("it")


def action(type_name: str, extra: str):
    text = f"""
name: t
rate_hz: 1
observations:
  j: {{topic: j, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 1}}
  p: {{topic: p, type: geometry_msgs/msg/PoseStamped, max_age_s: 1}}
actions:
  it: {{topic: c, type: {type_name}, limits: {{speed: 1}}{extra}}}
"""
    return contract.parse(text, "t").action("it")


def xyz(x, y, z, kind="Vector3"):
    return make(f"geometry_msgs/msg/{kind}", x=x, y=y, z=z)


def quaternion(x, y, z, w):
    return make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)


def joint_state(**fields):
    return make("sensor_msgs/msg/JointState", header=STAMP, **fields)


def test_joints_are_found_by_name_in_any_order():
    spec = observation("sensor_msgs/msg/JointState", ", names: [a, b], fields: [position, velocity]")
    message = joint_state(
        name=["b", "other", "a"], position=np.array([2.0, 9.0, 1.0]), velocity=np.array([20.0, 90.0, 10.0])
    )
    np.testing.assert_array_equal(codecs.decode(spec, message), [1, 2, 10, 20])


def test_a_joint_named_twice_has_no_value_and_other_joints_do():
    wanted = observation("sensor_msgs/msg/JointState", ", names: [a, b]")
    message = joint_state(name=["a", "b", "a"], position=np.array([1.0, 2.0, 3.0]))
    with pytest.raises(codecs.CodecError, match="joint 'a' is named twice"):
        codecs.decode(wanted, message)
    assert JointStateReader(wanted).read(messages.encode("sensor_msgs/msg/JointState", message)) is None
    message = joint_state(name=["a", "c", "b", "c"], position=np.array([1.0, 9.0, 2.0, 8.0]))
    np.testing.assert_array_equal(codecs.decode(wanted, message), [1.0, 2.0])


def test_a_command_that_names_a_joint_twice_is_rejected():
    spec = action("trajectory_msgs/msg/JointTrajectory", ", names: [a, b], reference: j")
    point = make("trajectory_msgs/msg/JointTrajectoryPoint", positions=np.array([1.0, 2.0, 3.0]))
    twice = make("trajectory_msgs/msg/JointTrajectory", joint_names=["a", "b", "a"], points=[point])
    with pytest.raises(codecs.CodecError, match="joint 'a' is named twice"):
        codecs.decode(spec, twice)


def test_the_error_names_the_missing_joint_and_those_present():
    spec = observation("sensor_msgs/msg/JointState", ", names: [a, b]")
    message = joint_state(name=["a", "c"], position=np.array([1.0, 2.0]))
    with pytest.raises(codecs.CodecError, match=r"it \(x\): joint 'b' is missing; the message has: a, c"):
        codecs.decode(spec, message)


def test_an_absent_field_of_joint_states_is_an_error():
    spec = observation("sensor_msgs/msg/JointState", ", names: [a], fields: [effort]")
    with pytest.raises(codecs.CodecError, match="has no 'effort'"):
        codecs.decode(spec, joint_state(name=["a"], position=np.array([1.0])))


def test_names_and_values_of_different_length_are_rejected():
    spec = observation("sensor_msgs/msg/JointState", ", names: [a]")
    with pytest.raises(codecs.CodecError, match="2 names but 1 value of 'position'"):
        codecs.decode(spec, joint_state(name=["a", "b"], position=np.array([1.0])))


def test_a_number_that_is_not_finite_is_named():
    spec = observation("sensor_msgs/msg/JointState", ", names: [a, b]")
    message = joint_state(name=["a", "b"], position=np.array([1.0, np.nan]))
    with pytest.raises(codecs.CodecError, match="position/b is nan"):
        codecs.decode(spec, message)


def test_imu_wrench_pose_twist_and_odometry_in_declared_order():
    turn, move, angular = quaternion(0.1, 0.2, 0.3, 0.9), xyz(1.0, 2.0, 3.0), xyz(4.0, 5.0, 6.0)
    imu = make(
        "sensor_msgs/msg/Imu",
        header=STAMP,
        orientation=turn,
        angular_velocity=angular,
        linear_acceleration=move,
    )
    spec = observation("sensor_msgs/msg/Imu", ", fields: [linear_acceleration, orientation.w]")
    np.testing.assert_array_equal(codecs.decode(spec, imu), [1, 2, 3, 0.9])

    wrench = make("geometry_msgs/msg/Wrench", force=move, torque=angular)
    message = make("geometry_msgs/msg/WrenchStamped", header=STAMP, wrench=wrench)
    spec = observation("geometry_msgs/msg/WrenchStamped")
    np.testing.assert_array_equal(codecs.decode(spec, message), [1, 2, 3, 4, 5, 6])

    pose = make("geometry_msgs/msg/Pose", position=xyz(1.0, 2.0, 3.0, "Point"), orientation=turn)
    message = make("geometry_msgs/msg/PoseStamped", header=STAMP, pose=pose)
    spec = observation("geometry_msgs/msg/PoseStamped")
    np.testing.assert_array_equal(codecs.decode(spec, message), [1, 2, 3, 0.1, 0.2, 0.3, 0.9])

    twist = make("geometry_msgs/msg/Twist", linear=move, angular=angular)
    message = make("geometry_msgs/msg/TwistStamped", header=STAMP, twist=twist)
    spec = observation("geometry_msgs/msg/TwistStamped", ", fields: [angular.z, linear.x]")
    np.testing.assert_array_equal(codecs.decode(spec, message), [6, 1])

    message = make(
        "nav_msgs/msg/Odometry",
        header=STAMP,
        pose=make("geometry_msgs/msg/PoseWithCovariance", pose=pose),
        twist=make("geometry_msgs/msg/TwistWithCovariance", twist=twist),
    )
    spec = observation("nav_msgs/msg/Odometry", ", fields: [position.x, orientation.z, linear, angular.z]")
    np.testing.assert_array_equal(codecs.decode(spec, message), [1, 0.3, 1, 2, 3, 6])


def test_arrays_and_text():
    spec = observation("std_msgs/msg/Float64MultiArray", ", size: 2")
    message = make("std_msgs/msg/Float64MultiArray", data=np.array([1.0, 2.0]))
    np.testing.assert_array_equal(codecs.decode(spec, message), [1, 2])
    spec = observation("std_msgs/msg/String")
    text = codecs.decode(spec, make("std_msgs/msg/String", data="put the cube in the bin"))
    assert text.shape == ()
    assert str(text) == "put the cube in the bin"


def test_another_message_type_is_rejected():
    spec = observation("sensor_msgs/msg/Imu")
    with pytest.raises(codecs.CodecError, match=r"not a sensor_msgs/msg/Imu"):
        codecs.decode(spec, make("std_msgs/msg/String", data="x"))


JOINTS = ", names: [b, a], reference: j"


@pytest.mark.parametrize(
    ("type_name", "extra", "values"),
    [
        ("std_msgs/msg/Float64MultiArray", JOINTS, [0.25, -1.5]),
        ("trajectory_msgs/msg/JointTrajectory", JOINTS, [0.25, -1.5]),
        ("sensor_msgs/msg/JointState", JOINTS, [0.25, -1.5]),
        ("sensor_msgs/msg/JointState", ", names: [b, a], quantity: velocity", [0.25, -1.5]),
        ("geometry_msgs/msg/Twist", "", [1, 2, 3, 4, 5, 6]),
        ("geometry_msgs/msg/TwistStamped", ", names: [linear.x, angular.z]", [0.5, -0.25]),
        ("geometry_msgs/msg/PoseStamped", ", reference: p", [1, 2, 3, 0, 0.6, 0, 0.8]),
    ],
)
def test_a_command_survives_encoding_and_decoding(type_name, extra, values):
    spec = action(type_name, extra)
    wire = messages.encode(type_name, codecs.encode(spec, np.array(values, dtype=float), 7))
    np.testing.assert_array_equal(codecs.decode(spec, messages.decode(type_name, wire)), values)
    assert codecs.command_encoder(spec)(tuple(map(float, values)), 7) == wire


@pytest.mark.parametrize("size", range(1, 10))
def test_a_packed_array_has_the_bytes_of_the_general_serialiser(size):
    names = ", ".join(f"j{index}" for index in range(size))
    spec = action("std_msgs/msg/Float64MultiArray", f", names: [{names}], quantity: velocity")
    values = tuple(1.0 / (3.0 + index) for index in range(size))
    wire = messages.encode(spec.type, codecs.encode(spec, values, 7))
    assert codecs.command_encoder(spec)(values, 7) == wire


def test_a_twist_leaves_the_other_axes_at_zero_and_carries_the_stamp():
    spec = action("geometry_msgs/msg/TwistStamped", ", names: [angular.z], frame_id: base_link")
    message = codecs.encode(spec, np.array([2.0]), 3_000_000_004)
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (3, 4)
    assert message.header.frame_id == "base_link"
    assert (message.twist.linear.x, message.twist.angular.x, message.twist.angular.z) == (0, 0, 2.0)


def test_quaternions_are_normalised_and_a_zero_one_is_rejected():
    spec = action("geometry_msgs/msg/PoseStamped", ", reference: p")
    message = codecs.encode(spec, np.array([0, 0, 0, 0, 0, 0, 2.0]), 1)
    assert message.pose.orientation.w == 1.0
    with pytest.raises(codecs.CodecError, match="quaternion is zero"):
        codecs.encode(spec, np.zeros(7), 1)


@pytest.mark.parametrize("bad", [[1.0], [1.0, np.inf], [np.nan, 0.0]])
def test_a_command_of_wrong_size_or_not_finite_is_rejected(bad):
    spec = action("std_msgs/msg/Float64MultiArray", JOINTS)
    with pytest.raises(codecs.CodecError, match="it: "):
        codecs.encode(spec, np.array(bad), 1)
    with pytest.raises(codecs.CodecError, match="it: "):
        codecs.command_encoder(spec)(tuple(bad), 1)
