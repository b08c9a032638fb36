"""Each thing that spoils a demonstration is named in its grade."""

import numpy as np
import pytest

from il_ros import contract, messages, share
from il_ros.episodes.commands import CommandTally
from il_ros.episodes.grade import Bounds, grade
from il_ros.episodes.layout import Grade, StreamInfo

JOINTS = "sensor_msgs/msg/JointState"
MS = 1_000_000


def stream(**values) -> StreamInfo:
    return StreamInfo("/joint_states", JOINTS, **{"messages": 100, "required": True, **values})


def test_nothing_wrong_is_good():
    assert grade([stream()], 5.0, clipped_share=0.0, idle_share=0.1) == Grade(
        "good", (), clipped_share=0.0, idle_share=0.1
    )


@pytest.mark.parametrize(
    ("info", "level", "says"),
    [
        (stream(lost=1, messages=999), "fair", "/joint_states: 1 of 1000 messages lost"),
        (stream(lost=2, messages=98), "poor", "/joint_states: 2 of 100 messages lost"),
        (stream(stale_s=0.2), "fair", "/joint_states: stale for 0.20 s"),
        (stream(stale_s=3.1, silent_at_end_s=3.2), "poor", "silent for the last 3.20 s"),
        (stream(backwards=2), "fair", "/joint_states: its stamps went back 2 times"),
        (stream(messages=0), "poor", "/joint_states: no message"),
    ],
)
def test_a_stream_s_trouble_is_named(info: StreamInfo, level: str, says: str):
    result = grade([info], 5.0)
    assert result.level == level
    assert len(result.reasons) == 1
    assert says in result.reasons[0]


def test_the_worst_reason_comes_first_and_sets_the_level():
    result = grade([stream(backwards=1)], 5.0, clipped_share=0.6, idle_share=0.9, faults=["disk full"])
    assert result.level == "poor"
    assert result.reasons == (
        "disk full",
        "the safety gate changed 60% of the commands",
        "nothing was commanded to move for 90% of it",
        "/joint_states: its stamps went back 1 times",
    )


def test_a_blink_is_poor():
    assert grade([stream()], 0.1).reasons == ("only 0.10 s long",)


def test_bounds_the_wrong_way_round_are_refused():
    with pytest.raises(ValueError, match=r"fair 0\.5, poor 0\.1"):
        Bounds(0.5, 0.1)


@pytest.fixture
def tally() -> CommandTally:
    return CommandTally(contract.load(share.path("config", "contracts", "arm_push.yaml")))


def decision(joint1: float, limited: str = "[]") -> bytes:
    text = f'{{"stamp_ns": 1, "sent": [{joint1}, 0, 0, 0, 0, 0, 0.08], "limited": {limited}}}'
    return messages.encode("std_msgs/msg/String", messages.make("std_msgs/msg/String", data=text))


def test_clipped_and_idle_come_from_the_decisions(tally: CommandTally):
    tally.decision(0, decision(0.1))
    tally.decision(100 * MS, decision(0.2, '["arm/joint1 speed"]'))  # moved
    tally.decision(200 * MS, decision(0.2))  # idle for 100 ms
    tally.decision(400 * MS, decision(0.3))  # moved, 200 ms
    assert tally.clipped_share == 0.25
    assert tally.idle_share == pytest.approx(100 / 400)


def test_without_decisions_idle_comes_from_the_busiest_command_topic(tally: CommandTally):
    kind = "std_msgs/msg/Float64MultiArray"
    for k in range(3):
        arm = messages.make(kind, data=np.array([0.1 * k, 0, 0, 0, 0, 0]))
        tally.command("arm_position_controller/commands", k * 100 * MS, messages.encode(kind, arm))
        hand = messages.encode(kind, messages.make(kind, data=np.array([0.08])))
        tally.command("gripper_position_controller/commands", k * 100 * MS, hand)
    assert tally.idle_share == 0.0
    assert tally.clipped_share is None


def test_unreadable_commands_are_counted(tally: CommandTally):
    tally.decision(0, messages.encode("std_msgs/msg/String", messages.make("std_msgs/msg/String", data="{")))
    tally.command("arm_position_controller/commands", 0, b"\0\1\0\0")
    assert tally.unreadable == 2
    assert tally.idle_share is None
