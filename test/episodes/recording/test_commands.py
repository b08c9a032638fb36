"""Shares of clipped and idle commands, computed by hand."""

import numpy as np
import pytest

from il_ros.core import contract, messages, share
from il_ros.episodes.recording.commands import CommandCounts

MS = 1_000_000


@pytest.fixture
def counts() -> CommandCounts:
    return CommandCounts(contract.load(share.path("config", "contracts", "arm_push.yaml")))


def decision(joint1: float, limited: str = "[]") -> bytes:
    text = f'{{"stamp_ns": 1, "sent": [{joint1}, 0, 0, 0, 0, 0, 0.08], "limited": {limited}}}'
    return messages.encode("std_msgs/msg/String", messages.make("std_msgs/msg/String", data=text))


def test_clipped_and_idle_come_from_the_decisions(counts: CommandCounts):
    counts.decision(0, decision(0.1))
    counts.decision(100 * MS, decision(0.2, '["arm/joint1 speed"]'))  # moved
    counts.decision(200 * MS, decision(0.2))  # idle for 100 ms
    counts.decision(400 * MS, decision(0.3))  # moved, 200 ms
    assert counts.clipped_share == 0.25
    assert counts.idle_share == pytest.approx(100 / 400)


def test_without_decisions_idle_comes_from_the_busiest_command_topic(counts: CommandCounts):
    kind = "std_msgs/msg/Float64MultiArray"
    for k in range(3):
        arm = messages.make(kind, data=np.array([0.1 * k, 0, 0, 0, 0, 0]))
        counts.command("arm_position_controller/commands", k * 100 * MS, messages.encode(kind, arm))
        hand = messages.encode(kind, messages.make(kind, data=np.array([0.08])))
        counts.command("gripper_position_controller/commands", k * 100 * MS, hand)
    assert counts.idle_share == 0.0
    assert counts.clipped_share is None


def test_unreadable_commands_are_counted(counts: CommandCounts):
    counts.decision(0, messages.encode("std_msgs/msg/String", messages.make("std_msgs/msg/String", data="{")))
    counts.command("arm_position_controller/commands", 0, b"\0\1\0\0")
    assert counts.unreadable == 2
    assert counts.idle_share is None
