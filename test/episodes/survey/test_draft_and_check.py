"""A contract drafted from what was seen of a graph, and checked against it; what was seen is written by hand."""

import dataclasses

import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.core.contract import ContractError
from il_ros.core.specs import ARRAY, IMAGE, JOINT_STATE, JOINT_TRAJECTORY
from il_ros.core.units import suspicion
from il_ros.episodes.layout import StreamInfo
from il_ros.episodes.survey.check import CheckState, check_contract
from il_ros.episodes.survey.description import joint_limits
from il_ros.episodes.survey.draft import draft_contract
from il_ros.episodes.survey.survey import GraphEndpoint, GraphSurvey, SeenTopic

URDF = """<robot name="r"><link name="base"/><link name="one"/><link name="two"/><link name="three"/>
  <joint name="shoulder" type="revolute"><parent link="base"/><child link="one"/>
    <limit lower="-1.5" upper="1.25" velocity="0.8" effort="5"/></joint>
  <joint name="turret" type="continuous"><parent link="one"/><child link="two"/><limit velocity="3" effort="5"/></joint>
  <joint name="lift" type="prismatic"><parent link="two"/><child link="three"/>
    <limit lower="0" upper="0.4" velocity="0.05" effort="5"/></joint>
</robot>"""
JOINTS = ("shoulder", "turret", "lift")


def info(name, kind, rate_hz=50.0, **changes):
    values = {"messages": 200, "rate_hz": rate_hz, "age_p50_s": 0.004, "age_p99_s": 0.01, "required": True}
    return StreamInfo(name, kind, **{**values, **changes})


def topic(
    name, kind, samples=(), publishers=("/driver",), subscribers=(), rate_hz=50.0, joints=(), **changes
):
    return SeenTopic(
        name,
        (kind,),
        tuple(map(GraphEndpoint, publishers)),
        tuple(map(GraphEndpoint, subscribers)),
        info(name, kind, rate_hz, **changes) if samples else None,
        tuple(samples),
        tuple(joints),
    )


def joint_states(names=JOINTS):
    message = messages.make(
        JOINT_STATE, header=messages.header(1), name=list(names), position=np.zeros(len(names))
    )
    return messages.encode(JOINT_STATE, message)


def picture(width=640, height=480):
    pixels = np.zeros(height * width * 3, np.uint8)
    values = {"width": width, "height": height, "encoding": "bgr8", "step": 3 * width, "data": pixels}
    return messages.encode(IMAGE, messages.make(IMAGE, header=messages.header(1), **values))


def survey(*changed, description=URDF, **values):
    topics = [
        topic("/joint_states", JOINT_STATE, [joint_states()]),
        topic("/front/image_raw", IMAGE, [picture()], rate_hz=15.0),
        topic(
            "/arm_controller/commands", ARRAY, publishers=(), subscribers=("/arm_controller",), joints=JOINTS
        ),
        topic("/parameter_events", "rcl_interfaces/msg/ParameterEvent"),
    ]
    return GraphSurvey({each.name: each for each in (*topics, *changed)}, 4.0, description, **values)


def test_joints_limits_rate_and_camera_are_what_was_seen():
    made = draft_contract(survey(), "bench arm")
    assert (made.name, made.rate_hz, made.trigger) == ("bench_arm", 15.0, "joint_states")  # the camera's rate
    joints, camera = made.observations
    assert (joints.names, joints.unit, joints.continuous) == (JOINTS, "rad (lift m)", ("turret",))
    assert (camera.image.width, camera.image.height, camera.image.fit) == (
        160,
        120,
        "resize",
    )  # a quarter of 640 x 480
    (action,) = made.actions
    assert (action.topic, action.names, action.reference) == (
        "arm_controller/commands",
        JOINTS,
        "joints",
    )
    assert action.limits.lower == (-1.5, -np.inf, 0.0)
    assert action.limits.upper == (1.25, np.inf, 0.4)
    assert action.limits.speed == (0.8, 1.0, 0.05)  # the description's, at most 1 rad/s


def test_what_is_guessed_is_marked():
    made = draft_contract(survey(description=""))
    assert "No /robot_description: all limits are cautious guesses" in made.text
    assert made.actions[0].limits.speed == (0.5, 0.5, 0.5)
    assert "# CHECK: a guess" in made.text


def test_the_joints_of_a_command_come_from_the_user_the_controller_a_message_or_the_names():
    gripper = topic(
        "/gripper_controller/commands", ARRAY, publishers=(), subscribers=("/gripper_controller",)
    )
    arm = topic("/arm_controller/commands", ARRAY, publishers=(), subscribers=("/arm_controller",))
    states = topic("/joint_states", JOINT_STATE, [joint_states(("a", "b", "gripper"))])
    made = draft_contract(survey(states, arm, gripper, description=""))
    assert {each.key: each.names for each in made.actions} == {
        "arm": ("a", "b"),
        "gripper": ("gripper",),
    }
    assert "CHECK: guessed" in made.text
    asked = draft_contract(
        survey(states, arm, gripper, description=""), joints={"/arm_controller/commands": ("b", "a")}
    )
    assert asked.action("arm").names == ("b", "a")
    sent = messages.encode(JOINT_TRAJECTORY, messages.make(JOINT_TRAJECTORY, joint_names=["b", "gripper"]))
    moved = topic("/arm_controller/commands", JOINT_TRAJECTORY, [sent], subscribers=("/arm_controller",))
    assert draft_contract(survey(states, moved, description="")).actions[0].names == ("b", "gripper")


def test_a_robot_without_command_topic_or_with_unknown_joints_is_an_error_that_says_what_to_do():
    with pytest.raises(ContractError, match="there is nothing to command; start the robot's controllers"):
        draft_contract(survey(topic("/arm_controller/commands", ARRAY, publishers=())))
    unknown = topic("/arm_controller/commands", ARRAY, publishers=(), subscribers=("/c",))
    other = topic("/second/commands", ARRAY, publishers=(), subscribers=("/c",))
    with pytest.raises(ContractError, match="give them with --joints /arm_controller/commands=NAME,NAME"):
        draft_contract(survey(unknown, other))


def test_a_description_that_is_no_robot_is_refused():
    with pytest.raises(ValueError, match="/robot_description: not XML"):
        joint_limits("<robot")
    with pytest.raises(ValueError, match="has a document type or entities"):
        joint_limits("<!DOCTYPE robot><robot/>")
    assert joint_limits(URDF)["turret"].upper == np.inf


def rows(changed=(), own=None, **values):
    seen = survey(*changed, **values)
    return check_contract(own or draft_contract(survey()), seen, ahead_s=0.02)


def failures(found):
    return [(row.key, row.checked) for row in found if row.state is not CheckState.PASS]


def test_the_graph_that_a_contract_was_drafted_from_passes_line_by_line():
    found = rows()
    assert failures(found) == []
    assert [row.key for row in found] == ["joints"] * 5 + ["front"] * 5 + ["arm"] * 3


@pytest.mark.parametrize(
    ("changed", "state", "line", "remedy"),
    [
        (
            topic("/front/image_raw", IMAGE, publishers=()),
            CheckState.FAIL, "/front/image_raw: no publisher", "ros2 topic find sensor_msgs/msg/Image",
        ),
        (
            topic("/front/image_raw", IMAGE),
            CheckState.FAIL, "/front/image_raw: no message within 4 s, though /driver publishes it", "Start the driver",
        ),
        (
            topic("/front/image_raw", "sensor_msgs/msg/CompressedImage", [b""]),
            CheckState.FAIL, "/front/image_raw: type sensor_msgs/msg/CompressedImage on the graph", "correct 'type'",
        ),
        (
            topic("/joint_states", JOINT_STATE, [joint_states()], rate_hz=9.0),
            CheckState.FAIL, "/joint_states: 9.0 Hz; 15 Hz are needed of the contract, as it is the trigger", "Lower "
            "rate_hz to 9",
        ),
        (
            topic("/joint_states", JOINT_STATE, [joint_states()], rate_hz=14.0),
            CheckState.WARN, "/joint_states: 14.0 Hz; 15 Hz are needed", "Some ticks will have no observation",
        ),
        (
            topic("/joint_states", JOINT_STATE, [joint_states()], age_p50_s=-0.5),
            CheckState.FAIL, "/joint_states: stamps are ahead of this computer's clock", "chrony",
        ),
        (
            topic("/joint_states", JOINT_STATE, [joint_states()], age_p50_s=5000.0),
            CheckState.FAIL, "/joint_states: 5000 s old; it is stamped by another clock: check use_sim_time", "chrony",
        ),
        (
            topic("/joint_states", JOINT_STATE, [joint_states()], age_p50_s=0.4, age_p99_s=0.5),
            CheckState.FAIL, "/joint_states: 400.0 ms old on arrival, 500.0 ms at most (99 %)", "load and",
        ),
        (
            topic("/front/image_raw", IMAGE, [picture()], publishers=("/a", "/b"), rate_hz=15.0),
            CheckState.WARN, "/front/image_raw: published by /a, /b (2 publishers)", "stop one of them",
        ),
        (
            topic("/arm_controller/commands", ARRAY, publishers=()),
            CheckState.FAIL, "/arm_controller/commands: no subscriber", "Start (and activate) the controller",
        ),
        (
            topic("/arm_controller/commands", ARRAY, publishers=("/gui",), subscribers=("/arm_controller",)),
            CheckState.FAIL, "/arm_controller/commands: /gui publishes commands", "Only the supervisor may command the "
            "robot",
        ),
    ],
)  # fmt: skip
def test_each_difference_is_one_line_that_says_what_to_do(changed, state, line, remedy):
    (row,) = [each for each in rows([changed]) if each.state is not CheckState.PASS]
    assert row.state is state
    assert row.checked.startswith(line)
    assert remedy in row.remedy


def test_the_supervisor_and_a_recorder_are_no_strangers_on_the_command_topic():
    own = topic(
        "/arm_controller/commands", ARRAY,
        publishers=("/dagger_supervisor",), subscribers=("/arm_controller", "/recorder"),
    )  # fmt: skip
    assert failures(rows([own])) == []


def test_two_publishers_of_a_joint_an_unusable_observation_and_qos_are_named():
    twice = dataclasses.replace(
        topic("/joint_states", JOINT_STATE, [joint_states()], publishers=("/a", "/b")),
        fault="joint 'lift' has two publishers",
    )
    assert failures(rows([twice])) == [("joints", "/joint_states: joint 'lift' has two publishers")]
    reason = "front: the picture is 64x48"
    assert failures(rows(unusable={"front": reason})) == [("front", reason)]
    mixed = topic("/front/image_raw", IMAGE, [picture()], rate_hz=15.0)
    mixed = dataclasses.replace(mixed, publishers=(GraphEndpoint("/a"), GraphEndpoint("/a", reliable=False)))
    assert ("front", "/front/image_raw: its publishers offer different QoS") in failures(rows([mixed]))
    wants = topic("/arm_controller/commands", ARRAY, publishers=())
    wants = dataclasses.replace(wants, subscribers=(GraphEndpoint("/arm_controller", latched=True),))
    assert (
        "arm",
        "/arm_controller/commands: /arm_controller asks for transient local",
    ) in failures(rows([wants]))


def test_transforms_are_offered_as_a_comment_that_is_an_observation_without_the_marks():
    transform = messages.make(
        "geometry_msgs/msg/TransformStamped", header=messages.header(1, "base"), child_frame_id="tool"
    )
    raw = messages.encode(
        "tf2_msgs/msg/TFMessage", messages.make("tf2_msgs/msg/TFMessage", transforms=[transform])
    )
    made = draft_contract(survey(topic("/tf", "tf2_msgs/msg/TFMessage", [raw])))
    block = [line[2:] for line in made.text.split("\n") if line.startswith("#   ")]
    text = made.text.replace("\nactions:", "\n".join(["", *block, "", "actions:"]), 1)
    assert contract.parse(text, "with the block").observation("tool").frames == ("base", "tool")


def test_joints_that_look_like_degrees_and_limits_in_degrees_are_named():
    own = draft_contract(survey())
    values = np.full((1, own.observation("joints").size), 57.3)
    found = rows(own=own, suspicions={"joints": suspicion(own.observation("joints"), values)})
    assert [
        (row.key, row.checked.partition(" reaches ")[2]) for row in found if row.state is CheckState.FAIL
    ] == [("joints", "57.3 rad, which looks like degrees")]
    arm = own.actions[0]
    limits = dataclasses.replace(arm.limits, lower=(-170.0,) * arm.size)
    wide = dataclasses.replace(own, actions=(dataclasses.replace(arm, limits=limits, unit="rad"),))
    warned = [row.checked for row in rows(own=wide) if row.state is CheckState.WARN]
    assert warned[0].endswith(f"{arm.names[0]} may go to -170 rad, which looks like degrees")


def test_one_message_that_cannot_be_read_costs_that_message_and_not_the_draft():
    own = draft_contract(survey(topic("/joint_states", JOINT_STATE, [joint_states(), b"\x00\x01"])))
    assert own.observation("joints").names == JOINTS
    nothing = topic("/front/image_raw", IMAGE, [b"no message"], rate_hz=15.0)
    own = draft_contract(survey(nothing))
    assert [each.key for each in own.observations] == ["joints"]
    assert (
        "Not drafted: /front/image_raw: none of its messages can be read as sensor_msgs/msg/Image" in own.text
    )
    empty = topic("/front/image_raw", IMAGE, [picture(0, 480)], rate_hz=15.0)
    assert "/front/image_raw: its newest picture has the size 0x480" in draft_contract(survey(empty)).text
    silent = topic("/joint_states", JOINT_STATE, [joint_states(())])
    with pytest.raises(ContractError, match=r"no usable message .*/joint_states: its messages name no joint"):
        draft_contract(survey(silent, nothing))
