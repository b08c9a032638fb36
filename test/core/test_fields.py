"""Numbers of any message, named by their paths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.core import codecs, contract, messages
from il_ros.core.contract_differences import differences
from il_ros.core.messages import fields, make
from il_ros.core.messages.fields import FieldError
from il_ros.core.messages.values import extractor, inserter

TOOL = "acme_tool_msgs/msg/Tool"
LINE = "=" * 80
DEFINITION = f"""\
std_msgs/Header header
string name
geometry_msgs/Wrench[] wrenches
Finger[2] fingers
float32 level
bool closed
uint8[] codes
int16[3] ticks
{LINE}
MSG: acme_tool_msgs/Finger
float64 width
float64[2] forces
"""
messages.register(DEFINITION, TOOL)
LISTED = (
    "header.stamp.sec, header.stamp.nanosec, wrenches[].force.x, wrenches[].force.y, wrenches[].force.z, "
    "wrenches[].torque.x, wrenches[].torque.y, wrenches[].torque.z, fingers[0:2].width, fingers[0:2].forces[0:2], "
    "level, closed, codes[], ticks[0:3]"
)


def tool() -> messages.Message:
    """Return a message in which every number is another one."""
    wrench = [
        make(
            "geometry_msgs/msg/Wrench",
            force=make("geometry_msgs/msg/Vector3", x=base + 1.0, y=base + 2.0, z=base + 3.0),
            torque=make("geometry_msgs/msg/Vector3", x=base + 4.0, y=base + 5.0, z=base + 6.0),
        )
        for base in (0.0, 10.0)
    ]
    finger = [
        make("acme_tool_msgs/msg/Finger", width=width, forces=np.array([width + 1, width + 2]))
        for width in (30.0, 40.0)
    ]
    return make(
        TOOL,
        header=messages.header(2_000_000_000, "tool0"),
        name="gripper",
        wrenches=wrench,
        fingers=finger,
        level=0.5,
        closed=True,
        codes=np.array([7, 8, 9], np.uint8),
        ticks=np.array([-1, -2, -3], np.int16),
    )


@pytest.mark.parametrize(
    ("paths", "names", "values"),
    [
        (["level"], ["level"], [0.5]),
        (["closed", "level"], ["closed", "level"], [1, 0.5]),
        (["wrenches[1].force.x"], ["wrenches[1].force.x"], [11]),
        (["wrenches[0].torque"], [f"wrenches[0].torque.{axis}" for axis in "xyz"], [4, 5, 6]),
        (["ticks"], ["ticks[0]", "ticks[1]", "ticks[2]"], [-1, -2, -3]),
        (["ticks[1:3]", "ticks[0]"], ["ticks[1]", "ticks[2]", "ticks[0]"], [-2, -3, -1]),
        (["codes[1:3]"], ["codes[1]", "codes[2]"], [8, 9]),
        (["fingers[0:2].width"], ["fingers[0].width", "fingers[1].width"], [30, 40]),
        (["fingers[1]"], ["fingers[1].width", "fingers[1].forces[0]", "fingers[1].forces[1]"], [40, 41, 42]),
        (["header.stamp.sec"], ["header.stamp.sec"], [2]),
    ],
)
def test_a_path_selects_numbers_in_the_order_of_the_definition(paths, names, values):
    assert [number.path for number in fields.select(TOOL, paths)] == names
    read = extractor(TOOL, tuple(paths))
    np.testing.assert_array_equal(read(tool()), values)
    assert read(tool()).dtype == np.float64
    raw = messages.encode(TOOL, tool())
    np.testing.assert_array_equal(read(messages.decode(TOOL, raw)), values)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("levle", f"'levle' is not in {TOOL}; its numbers: {LISTED}"),
        ("wrenches[0].force.q", f"'wrenches[0].force.q' is not in {TOOL}; its numbers: {LISTED}"),
        ("level.x", f"'level.x' is not in {TOOL}; its numbers: {LISTED}"),
        ("wrenches.force", f"wrenches of {TOOL} is a list: name an element, wrenches[0].force"),
        (
            "wrenches",
            "'wrenches': wrenches is a list whose length is not fixed; name an element, wrenches[0], or some",
        ),
        (
            "codes",
            "'codes': codes is a list whose length is not fixed; name an element, codes[0], or some, codes[0:3]",
        ),
        ("name", f"'name': name is a text; the numbers of {TOOL}: {LISTED}"),
        ("ticks[3]", "'ticks[3]': there are only 3 elements"),
        ("ticks[1:4]", "'ticks[1:4]': there are only 3 elements"),
        ("ticks[2:2]", "'ticks[2:2]': the range 2:2 is empty"),
        ("level[0]", "'level[0]': level is not a list"),
        ("ticks[-1]", "'ticks[-1]' is not a path; write it as position.x, data[3] or data[0:6]"),
        ("", "'' is not a path; write it as position.x, data[3] or data[0:6]"),
        ("codes[0:999999]", "'codes[0:999999]' selects more than 100000 numbers"),
    ],
)
def test_a_wrong_path_says_what_numbers_there_are(path, said):
    with pytest.raises(FieldError) as error:
        fields.select(TOOL, [path])
    assert str(error.value).startswith(said)


def test_a_number_is_selected_once():
    with pytest.raises(FieldError, match=r"ticks\[1\] is selected twice"):
        fields.select(TOOL, ["ticks", "ticks[1]"])


def test_a_list_that_is_too_short_says_what_is_missing():
    for path, said in (
        ("wrenches[2].force.x", r"wrenches has 2 elements; the contract needs wrenches\[2\]\.force\.x"),
        ("codes[2:5]", r"codes has 3 elements; the contract needs codes\[4\]"),
    ):
        with pytest.raises(ValueError, match=said):
            extractor(TOOL, (path,))(tool())


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4),
    st.integers(0, 255),
    st.integers(-(2**15), 2**15 - 1),
)
def test_reading_is_the_inverse_of_writing(numbers, code, tick):
    paths = ("wrenches[1].force", "level", "codes[2]", "ticks[1]")
    values = [*numbers, code, tick]
    message = inserter(TOOL, paths)(values)
    back = messages.decode(TOOL, messages.encode(TOOL, message))
    np.testing.assert_array_equal(extractor(TOOL, paths)(back), values)
    assert (len(back.wrenches), back.wrenches[0].force.x, list(back.codes[:2])) == (2, 0.0, [0, 0])


def test_whole_numbers_are_rounded_and_a_bool_is_true_from_a_half_on():
    write = inserter(TOOL, ("codes[0]", "closed"))
    for value, code in ((2.4, 2), (2.5, 3), (0.0, 0), (254.6, 255)):
        assert write([value, 0.0]).codes[0] == code
    for value, closed in ((0.49, False), (0.5, True), (1.0, True)):
        assert write([0.0, value]).closed is closed
    with pytest.raises(ValueError, match=r"256 does not fit into codes\[0\]: uint8 holds 0 to 255"):
        write([256.0, 0.0])
    with pytest.raises(ValueError, match="does not fit into level"):
        inserter(TOOL, ("level",))([1e39])


# ---- in a contract -----------------------------------------------------------------------------------------

TEXT = f"""\
name: any
rate_hz: 10
observations:
  joints: {{topic: joints, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 1}}
  tool:
    topic: tool
    type: {TOOL}
    fields: ["wrenches[0].force", level]
    max_age_s: 1
actions:
  grip:
    topic: grip
    type: std_msgs/msg/Float64
    names: [a]
    reference: joints
    limits: {{speed: 1}}
"""


def observed(type_name: str, extra: str = "") -> contract.ObservationSpec:
    text = TEXT.replace(f"    type: {TOOL}\n", f"    type: {type_name}\n")
    return contract.parse(
        text.replace('    fields: ["wrenches[0].force", level]\n', extra), "any"
    ).observation("tool")


def commanded(type_name: str, extra: str = "") -> contract.ActionSpec:
    return contract.parse(TEXT.replace("std_msgs/msg/Float64\n", f"{type_name}\n{extra}"), "any").action(
        "grip"
    )


def test_several_fields_of_any_type_are_one_vector():
    spec = contract.parse(TEXT, "any").observation("tool")
    assert spec.elements == (*(f"wrenches[0].force.{axis}" for axis in "xyz"), "level")
    np.testing.assert_array_equal(codecs.decode(spec, tool()), [1, 2, 3, 0.5])
    named = observed(TOOL, "    fields: [level, closed]\n    names: [fill, shut]\n")
    assert (named.elements, named.shape) == (("fill", "shut"), (2,))
    with pytest.raises(codecs.CodecError, match=r"tool: fill is inf, not a finite number"):
        codecs.decode(named, make(TOOL, level=float("inf")))


def test_a_contract_carries_the_definitions_of_types_that_are_not_everywhere(tmp_path):
    own = contract.parse(TEXT, "any")
    assert "definitions:" in own.text
    again = contract.parse(own.text, "copy")
    assert (again.hash, again.text) == (own.hash, own.text)
    assert differences(own, again) == []
    elsewhere = own.text.replace(TOOL, "acme_copy_msgs/msg/Tool").replace(
        "acme_tool_msgs/Finger", "acme_copy_msgs/Finger"
    )
    assert not messages.known("acme_copy_msgs/msg/Tool")
    spec = contract.parse(elsewhere, "elsewhere").observation("tool")
    assert spec.elements == own.observation("tool").elements
    changed = own.text.replace("    float32 level\n", "    string note\n    float32 level\n")
    assert changed != own.text
    assert contract.parse(changed, "of another version of the package").hash == own.hash
    with pytest.raises(contract.ContractError, match=r"definitions\.acme_tool_msgs/msg/Tool: must be text"):
        contract.parse(f"{TEXT}definitions: {{{TOOL}: 3}}\n", "odd")


def test_a_contract_of_standard_types_is_kept_as_written():
    text = TEXT.replace(f"    type: {TOOL}\n", "    type: std_msgs/msg/Float32\n")
    text = text.replace('    fields: ["wrenches[0].force", level]\n', "")
    assert contract.parse(text, "any").text == text


@pytest.mark.parametrize(
    ("type_name", "elements", "message", "values"),
    [
        ("std_msgs/msg/Float64", ("data",), {"data": 2.5}, [2.5]),
        ("std_msgs/msg/Float32", ("data",), {"data": 2.5}, [2.5]),
        ("std_msgs/msg/Bool", ("data",), {"data": True}, [1.0]),
        ("std_msgs/msg/Int32", ("data",), {"data": -7}, [-7.0]),
        ("geometry_msgs/msg/Vector3Stamped", ("vector.x", "vector.y", "vector.z"), {}, [0, 0, 0]),
        ("sensor_msgs/msg/Range", ("range",), {"range": 1.5}, [1.5]),
        ("sensor_msgs/msg/Range", ("range",), {"range": np.inf, "min_range": 0.25, "max_range": 4.0}, [4.0]),
        (
            "sensor_msgs/msg/Range",
            ("range",),
            {"range": -np.inf, "min_range": 0.25, "max_range": 4.0},
            [0.25],
        ),
    ],
)
def test_simple_messages_need_no_fields(type_name, elements, message, values):
    spec = observed(type_name)
    assert spec.elements == elements
    np.testing.assert_array_equal(codecs.decode(spec, make(type_name, **message)), values)


def test_other_numbers_of_a_standard_type_are_named_by_their_paths():
    spec = observed("nav_msgs/msg/Odometry", '    fields: ["pose.covariance[0]", twist.twist.linear.x]\n')
    odometry = make("nav_msgs/msg/Odometry")
    odometry.pose.covariance[0], odometry.twist.twist.linear.x = 0.5, 2.0
    np.testing.assert_array_equal(codecs.decode(spec, odometry), [0.5, 2.0])
    spec = observed("sensor_msgs/msg/LaserScan", '    fields: ["ranges[2]"]\n')
    scan = make("sensor_msgs/msg/LaserScan", ranges=np.array([1, 2, 3], np.float32))
    np.testing.assert_array_equal(codecs.decode(spec, scan), [3.0])


def test_a_float32_array_is_observed_and_commanded():
    name = "std_msgs/msg/Float32MultiArray"
    spec = observed(name, "    names: [left, right]\n")
    np.testing.assert_array_equal(
        codecs.decode(spec, make(name, data=np.array([1, 2], np.float32))), [1.0, 2.0]
    )
    action = commanded(name)
    message = codecs.encode(action, [0.1], 9)
    assert message.data.dtype == np.float32
    np.testing.assert_array_equal(codecs.decode(action, message), [np.float32(0.1)])


@pytest.mark.parametrize(
    ("type_name", "value", "data"),
    [
        ("std_msgs/msg/Float64", 0.25, 0.25),
        ("std_msgs/msg/Float32", 0.25, 0.25),
        ("std_msgs/msg/Int32", 2.6, 3),
        ("std_msgs/msg/Bool", 0.75, True),
    ],
)
def test_a_simple_message_is_a_command(type_name, value, data):
    action = commanded(type_name)
    assert (action.names, action.paths) == (("a",), ("data",))
    message = codecs.encode(action, [value], 9)
    assert message.data == data
    again = messages.decode(type_name, messages.encode(type_name, message))
    np.testing.assert_array_equal(codecs.decode(action, again), [float(data)])


def test_a_robots_own_message_is_a_command_with_a_header_and_zeros_elsewhere():
    action = commanded(TOOL, '    fields: ["fingers[1].width"]\n    frame_id: tool0\n')
    message = codecs.encode(action, [0.04], 2_000_000_007)
    assert (messages.stamp_ns(message), message.header.frame_id) == (2_000_000_007, "tool0")
    assert (message.fingers[0].width, message.fingers[1].width) == (0.0, 0.04)
    assert codecs.decode(action, message) == [0.04]
    with pytest.raises(codecs.CodecError, match=r"grip: 300 does not fit into codes\[0\]"):
        codecs.encode(commanded(TOOL, '    fields: ["codes[0]"]\n'), [300.0], 0)


@pytest.mark.parametrize(
    ("type_name", "extra", "said"),
    [
        (
            "sensor_msgs/msg/PointCloud2",
            "",
            "cannot be observed: a point cloud has no fixed number of points",
        ),
        ("sensor_msgs/msg/PointCloud2", "    fields: [width]\n", "what fits: every type with numbers"),
        ("std_msgs/msg/Empty", "", "std_msgs/msg/Empty has no numbers; what fits: every type with numbers"),
        (
            "sensor_msgs/msg/Joy",
            "",
            r"fields: missing; name numbers of sensor_msgs/msg/Joy: .*axes\[\], buttons\[\]",
        ),
        (
            "trajectory_msgs/msg/JointTrajectory",
            "",
            "JointTrajectory cannot be observed; what fits: every type",
        ),
        (
            "acme_msgs/msg/Absent",
            "",
            r"unknown message type 'acme_msgs/msg/Absent': none of .* has share/acme_msgs/msg/Absent",
        ),
        (
            "std_msgs/Float64",
            "",
            r"unknown message type 'std_msgs/Float64'; did you mean 'std_msgs/msg/Float64'",
        ),
        ("std_msgs/msg/Float64", "    names: [a, b]\n", "names: has 2 names; selected is 1 number: data"),
        (
            TOOL,
            "    fields: [levle]\n",
            r"any:8: observations\.tool\.fields: 'levle' is not in .*; its numbers: ",
        ),
    ],
)
def test_an_observation_that_does_not_fit_says_what_does(type_name, extra, said):
    with pytest.raises(contract.ContractError, match=said):
        observed(type_name, extra)


@pytest.mark.parametrize(
    ("type_name", "extra", "said"),
    [
        (
            "sensor_msgs/msg/PointCloud2",
            "",
            "cannot be commanded: a point cloud .*; what fits: std_msgs/msg/Float64Multi",
        ),
        ("sensor_msgs/msg/Imu", "", "Imu cannot be commanded; what fits: std_msgs/msg/Float64MultiArray"),
        ("sensor_msgs/msg/Image", "", "Image cannot be commanded; what fits"),
        (
            "geometry_msgs/msg/Pose",
            "",
            "has a rotation there, .*; command a pose as geometry_msgs/msg/PoseStamped",
        ),
        (
            TOOL,
            '    fields: ["fingers[0:2].width"]\n',
            r"names: has 1 name; selected are 2 numbers: fingers\[0\]",
        ),
    ],
)
def test_an_action_that_does_not_fit_says_what_does(type_name, extra, said):
    with pytest.raises(contract.ContractError, match=said):
        commanded(type_name, extra)


def test_a_path_in_a_yaml_list_needs_quotes_which_the_error_says():
    with pytest.raises(contract.ContractError, match="put a text with brackets into quotes"):
        observed(TOOL, "    fields: [wrenches[0].force, level]\n")
