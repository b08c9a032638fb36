"""How often commands were clipped, and how long nothing moved, by hand."""

import numpy as np
import pytest

from il_ros.core import contract, messages, share
from il_ros.episodes.recording.commands import CommandCounts

MS = 1_000_000


@pytest.fixture
def tally() -> CommandCounts:
    return CommandCounts(contract.load(share.path("config", "contracts", "arm_push.yaml")))


def decision(joint1: float, limited: str = "[]") -> bytes:
    text = f'{{"stamp_ns": 1, "sent": [{joint1}, 0, 0, 0, 0, 0, 0.08], "limited": {limited}}}'
    return messages.encode("std_msgs/msg/String", messages.make("std_msgs/msg/String", data=text))


def test_clipped_and_idle_come_from_the_decisions(tally: CommandCounts):
    tally.decision(0, decision(0.1))
    tally.decision(100 * MS, decision(0.2, '["arm/joint1 speed"]'))  # moved
    tally.decision(200 * MS, decision(0.2))  # idle for 100 ms
    tally.decision(400 * MS, decision(0.3))  # moved, 200 ms
    assert tally.clipped_share == 0.25
    assert tally.idle_share == pytest.approx(100 / 400)


def test_without_decisions_idle_comes_from_the_busiest_command_topic(tally: CommandCounts):
    kind = "std_msgs/msg/Float64MultiArray"
    for k in range(3):
        arm = messages.make(kind, data=np.array([0.1 * k, 0, 0, 0, 0, 0]))
        tally.command("arm_position_controller/commands", k * 100 * MS, messages.encode(kind, arm))
        hand = messages.encode(kind, messages.make(kind, data=np.array([0.08])))
        tally.command("gripper_position_controller/commands", k * 100 * MS, hand)
    assert tally.idle_share == 0.0
    assert tally.clipped_share is None


def test_unreadable_commands_are_counted(tally: CommandCounts):
    tally.decision(0, messages.encode("std_msgs/msg/String", messages.make("std_msgs/msg/String", data="{")))
    tally.command("arm_position_controller/commands", 0, b"\0\1\0\0")
    assert tally.unreadable == 2
    assert tally.idle_share is None
