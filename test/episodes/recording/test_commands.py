"""Shares of clipped and idle commands, computed by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from il_ros.core import contract, messages, share
from il_ros.episodes.recording.commands import CommandCounts
from il_ros.records.decision import Decision, GroupDecision, to_json

MS = 1_000_000


@pytest.fixture
def counts() -> CommandCounts:
    return CommandCounts(contract.load(share.path("config", "contracts", "arm_push.yaml")))


def string(text: str) -> bytes:
    return messages.encode("std_msgs/msg/String", messages.make("std_msgs/msg/String", data=text))


def decision(joint1: float, *limited: str) -> bytes:
    sent = (joint1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.08)
    return string(to_json(Decision(1, 1, "policy", "", sent=sent, limited=limited)))


def test_clipped_and_idle_come_from_the_decisions(counts: CommandCounts):
    counts.decision(0, decision(0.1))
    counts.decision(100 * MS, decision(0.2, "arm/joint1 speed"))  # moved
    counts.decision(200 * MS, decision(0.2))  # idle for 100 ms
    counts.decision(400 * MS, decision(0.3))  # moved, 200 ms
    assert counts.clipped_share == 0.25
    assert counts.idle_share == pytest.approx(100 / 400)


def decided(authority: str, joint1: float, *, mode: str = "hg_dagger", expert: float | None = None) -> bytes:
    sent, proposals = (joint1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.08), {}
    if expert is not None:
        proposals["expert"] = (expert, *sent[1:])
    return string(to_json(Decision(1, 1, authority, "", sent=sent, mode=mode, proposals=proposals)))


def test_where_a_policy_drove_as_well_motion_is_counted_among_the_labels(counts: CommandCounts):
    """The policy stands still for 199 of 204 ticks; of the five of the correction, the last one does not move."""
    for tick in range(199):
        counts.decision(50 * tick * MS, decided("policy", 0.0))
    assert (counts.by_labels, counts.idle_share) == (False, 1.0)
    for tick, value in enumerate([0.1, 0.2, 0.3, 0.4, 0.4], start=199):
        counts.decision(50 * tick * MS, decided("expert", value))
    assert (counts.by_labels, counts.idle_share) == (True, pytest.approx(1 / 5))


def test_a_correction_that_commands_no_motion_is_idle(counts: CommandCounts):
    """The policy moves at each of its 10 ticks: the person takes over and does nothing."""
    for tick in range(20):
        counts.decision(50 * tick * MS, decided("policy" if tick < 10 else "expert", 0.1 * min(tick, 9)))
    assert (counts.by_labels, counts.idle_share) == (True, 1.0)


def test_labels_for_a_policy_that_stands_still_are_motion(counts: CommandCounts):
    """In mode dagger what the expert would have done is the label: at each tick 0.1 rad from where the arm stands.

    Of the first tick it is not known from where.
    """
    for tick in range(10):
        counts.decision(50 * tick * MS, decided("policy", 0.0, mode="dagger", expert=0.1))
    assert counts.idle_share == pytest.approx(1 / 10)


@pytest.mark.parametrize("other", ["none", "expert"])
def test_without_a_policy_motion_is_a_share_of_the_time(counts: CommandCounts, other: str):
    """A demonstration is learnt from as a whole, with its pauses: two of three spans are without motion."""
    for tick, (authority, value) in enumerate([("expert", 0.1), ("expert", 0.2), (other, 0.2), (other, 0.2)]):
        counts.decision(50 * tick * MS, decided(authority, value))
    assert not counts.by_labels
    assert counts.idle_share == pytest.approx(2 / 3)


def test_a_policy_alone_is_judged_by_the_time(counts: CommandCounts):
    for tick in range(3):
        counts.decision(50 * tick * MS, decided("policy", 0.1))
    assert (counts.by_labels, counts.idle_share) == (False, 1.0)


def test_one_arm_that_is_not_sent_leaves_the_motion_of_the_other(counts: CommandCounts):
    """A group without a command is NaN in the record; the other one moves in one of two spans."""
    arm, hand = (
        GroupDecision(tuple(range(6)), "expert", ""),
        GroupDecision((6,), "none", "no source has proposed"),
    )
    for tick, value in enumerate([0.1, 0.2, 0.2]):
        sent = (value, *[0.0] * 5, float("nan"))
        made = Decision(1, 1, "expert+none", "", sent=sent, mode="expert", groups={"arm": arm, "hand": hand})
        counts.decision(50 * tick * MS, string(to_json(made)))
    assert counts.unreadable == 0
    assert (counts.by_labels, counts.idle_share) == (False, 0.5)


def test_one_arm_is_corrected_while_the_policy_moves_the_other(counts: CommandCounts):
    """The label is the arm's part alone: it moves at one of two ticks, while the policy moves the hand at both."""
    for tick, (value, hand) in enumerate([(0.1, 0.01), (0.2, 0.02), (0.2, 0.03)]):
        groups = {
            "arm": GroupDecision(tuple(range(6)), "expert" if tick else "policy", ""),
            "hand": GroupDecision((6,), "policy", ""),
        }
        sent = (value, *[0.0] * 5, hand)
        made = Decision(1, 1, "policy", "", sent=sent, mode="hg_dagger", groups=groups)
        counts.decision(50 * tick * MS, string(to_json(made)))
    assert (counts.by_labels, counts.idle_share) == (True, 0.5)


def test_a_source_drove_if_it_had_authority_once(counts: CommandCounts):
    """Where there are commands only, or nothing that can be read, it is not known, so it counts as driven."""
    assert counts.driven
    sent = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.08)
    counts.decision(0, string(to_json(Decision(1, 1, "none", "no source has proposed", sent=sent))))
    assert not counts.driven
    counts.decision(100 * MS, decision(0.1))
    counts.decision(200 * MS, string(to_json(Decision(1, 1, "none", "", sent=sent))))
    assert counts.driven


def test_the_limit_that_acted_most_is_named_with_its_joint(counts: CommandCounts):
    """Of four decisions, joint1's speed was limited in two and joint2's position in one."""
    assert counts.clipped_most == ""
    for limits in (("arm/joint1 speed",), ("arm/joint1 speed", "arm/joint2 position"), (), ()):
        counts.decision(0, decision(0.1, *limits))
    assert counts.clipped_most == "arm/joint1 speed (50 %)"


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
    counts.decision(0, string("{"))
    counts.command("arm_position_controller/commands", 0, b"\0\1\0\0")
    assert counts.unreadable == 2
    assert counts.idle_share is None


def test_one_odd_decision_is_counted_and_the_others_give_the_shares(counts: CommandCounts):
    counts.decision(0, decision(0.1))
    counts.decision(50 * MS, string('{"sent": 5, "limited": []}'))
    counts.decision(60 * MS, string(to_json(Decision(1, 1, "policy", "", sent=(1.0,)))))
    counts.decision(100 * MS, decision(0.1, "arm/joint1 speed"))
    assert (counts.total, counts.decisions, counts.unreadable) == (4, 2, 2)
    assert (counts.clipped_share, counts.idle_share, counts.unreadable_share) == (0.5, 1.0, 0.5)
    assert counts.fault == (
        "2 of 4 decisions and commands could not be read; the first: not a decision: a decision without "
        "'stamp_ns'; its fields: ['sent', 'limited']"
    )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.text(max_size=20))
def test_no_bytes_raise_an_error(raw: bytes, text: str):
    counts = CommandCounts(contract.load(share.path("config", "contracts", "arm_push.yaml")))
    for data in (raw, b"\0\1\0\0" + raw, string(text.encode(errors="replace").decode())):
        counts.decision(0, data)
        counts.command("arm_position_controller/commands", 0, data)
    assert counts.total == 6


BASE = contract.parse(
    """
name: base
rate_hz: 20
observations: {joints: {topic: j, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 0.2}}
actions:
  base: {topic: cmd_vel, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 1}}
""",
    "base",
)
STOPPING = contract.parse(BASE.text.replace("limits:", "expired: stop, limits:"), "base")
PLAN = contract.parse(
    BASE.text.replace("geometry_msgs/msg/Twist", "trajectory_msgs/msg/JointTrajectory").replace(
        "names: [linear.x]", "names: [a], reference: joints"
    ),
    "plan",
)


def twist(speed: float) -> bytes:
    vector = messages.make("geometry_msgs/msg/Vector3", x=speed)
    return messages.encode("geometry_msgs/msg/Twist", messages.make("geometry_msgs/msg/Twist", linear=vector))


def test_time_after_a_velocity_has_expired_is_without_label_and_not_idle():
    counts = CommandCounts(BASE)
    counts.command("cmd_vel", 0, twist(0.5))
    counts.command("cmd_vel", 100 * MS, twist(0.5))  # in force until 350 ms
    counts.command("cmd_vel", 750 * MS, twist(0.0))  # 400 ms after it had expired; idle until 1000 ms
    counts.end(2000 * MS)
    assert counts.expired_share == pytest.approx((400 + 1000) / 2000)
    assert counts.idle_share == pytest.approx(250 / 2000)


def test_a_velocity_that_becomes_a_stop_has_a_label_and_is_idle():
    counts = CommandCounts(STOPPING)
    counts.command("cmd_vel", 0, twist(0.5))
    counts.end(1000 * MS)
    assert (counts.expired_share, counts.idle_share) == (0.0, 0.75)


def test_a_trajectory_moves_until_its_end_and_never_expires():
    point = "trajectory_msgs/msg/JointTrajectoryPoint"
    duration = messages.make("builtin_interfaces/msg/Duration", sec=3)
    points = [
        messages.make(point, positions=np.array([0.0])),
        messages.make(point, positions=np.array([1.0]), time_from_start=duration),
    ]
    kind = "trajectory_msgs/msg/JointTrajectory"
    counts = CommandCounts(PLAN)
    counts.command("cmd_vel", 0, messages.encode(kind, messages.make(kind, joint_names=["a"], points=points)))
    counts.end(4000 * MS)
    assert (counts.expired_share, counts.idle_share) == (0.0, 0.25)


def test_steps_of_a_slow_ramp_are_motion_at_any_time_of_day():
    begin_ns = 1_760_000_000_000_000_003  # beyond the whole numbers that a float holds
    counts = CommandCounts(PLAN)
    kind, point = "trajectory_msgs/msg/JointTrajectory", "trajectory_msgs/msg/JointTrajectoryPoint"
    for k in range(11):
        points = [messages.make(point, positions=np.array([0.006 * k]))]
        raw = messages.encode(kind, messages.make(kind, joint_names=["a"], points=points))
        counts.command("cmd_vel", begin_ns + 20 * k * MS, raw)
    counts.end(begin_ns + 200 * MS)
    assert (counts.idle_share, counts.expired_share) == (0.0, 0.0)


def test_decisions_do_not_expire(counts: CommandCounts):
    counts.decision(0, decision(0.1))
    counts.decision(5000 * MS, decision(0.2))
    counts.end(9000 * MS)
    assert counts.expired_share is None
