"""Joints in several messages on one topic are merged by name; two publishers of one joint are a fault."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.core import contract, messages
from il_ros.core.codecs.joint_layout import find_layout
from il_ros.core.codecs.joint_sources import MOST_LAYOUTS, JointSources
from il_ros.core.synchroniser import NoObservation, Synchroniser

MS = 1_000_000
START = 1_000_000 * MS
TYPE = "sensor_msgs/msg/JointState"
TEXT = """
name: t
rate_hz: 10
observations:
  joints: {{topic: j, type: sensor_msgs/msg/JointState, names: [a, b], fields: [{fields}], max_age_s: {age}}}
actions:
  arm: {{topic: c, type: std_msgs/msg/Float64MultiArray, names: [a, b], reference: joints, limits: {{speed: 1}}}}
"""


def raw(at_ms, names, position=(), velocity=(), effort=(), frame=""):
    message = messages.make(
        TYPE,
        header=messages.header(START + at_ms * MS, frame),
        name=list(names),
        position=np.array(position, float),
        velocity=np.array(velocity, float),
        effort=np.array(effort, float),
    )
    return messages.encode(TYPE, message)


def synchroniser(fields="position", age=0.2, publishers=lambda topic: ()):
    own = contract.parse(TEXT.format(fields=fields, age=age), "t")
    return Synchroniser(own.observations, publishers)


def fed(sync, *sent):
    for at_ms, *message in sent:
        kwargs = message.pop() if isinstance(message[-1], dict) else {}
        sync.push("j", raw(at_ms, *message, **kwargs), START + at_ms * MS)
    return sync


def value(sync, at_ms):
    out = sync.sample(START + at_ms * MS)
    return out.reasons if isinstance(out, NoObservation) else out.values["joints"].tolist()


def test_joints_of_two_publishers_are_merged_by_name():
    sync = fed(synchroniser(), (0, "a", [1]), (7, "b", [0.1]), (20, "a", [2]), (27, "b", [0.2]))
    assert value(sync, 10) == [1, 0.1]
    assert value(sync, 26) == [2, 0.1]
    out = sync.sample(START + 30 * MS)
    assert out.values["joints"].tolist() == [2, 0.2]
    assert out.ages_s["joints"] == pytest.approx(0.010)  # that of the older one


def test_messages_of_the_same_stamp_are_merged():
    sync = fed(synchroniser(), (0, "b", [5]), (0, "a", [1]))
    assert value(sync, 0) == [1, 5]
    assert sync.disordered["j"] == 0


def test_before_every_joint_was_received_the_missing_one_is_named():
    sync = fed(synchroniser(), (0, "a", [1]))
    assert value(sync, 0) == ("joints (j): joint 'b' is missing; the message has: a",)
    fed(sync, (1, "xy", [3, 4], {"frame": "base"}))
    assert value(sync, 1) == (
        "joints (j): joint 'b' is missing in 'position'; the messages have: [x, y] in frame 'base'; [a]",
    )


def test_each_joint_has_an_age():
    sync = fed(synchroniser(), (0, "b", [7]), *[(20 * index, "a", [index / 100]) for index in range(20)])
    assert value(sync, 200) == [0.1, 7]
    assert value(sync, 220) == (
        "joints (j): position/b is stale, 0.220 s old at the tick; max_age_s is 0.2; the newest message has [a]",
    )


def test_a_slow_joint_with_an_infinite_age_is_kept_while_the_fast_one_goes_on():
    sync = fed(synchroniser(age=".inf"), (0, "b", [7]), *[(10 * index, "a", [0]) for index in range(1, 1000)])
    assert value(sync, 9990) == [0, 7]
    assert sum(map(len, sync._streams["j"].values())) <= 103  # a second at 100 Hz, and the slow one


def test_a_velocity_or_effort_matters_only_where_it_is_asked_for():
    nan = [np.nan, np.nan]
    for velocity, effort in ((nan, nan), ([], nan), (nan, []), ([1], [1, 2, 3])):
        sync = fed(synchroniser(), (0, "ab", [1, 2], {"velocity": velocity, "effort": effort}))
        assert value(sync, 0) == [1, 2]
    sync = fed(synchroniser("position, effort"), (0, "ab", [1, 2], {"velocity": nan, "effort": nan}))
    assert value(sync, 0) == ("joints: effort/a is nan, not a finite number",)
    sync = fed(synchroniser("position, effort"), (0, "ab", [1, 2]))
    assert value(sync, 0) == ("joints (j): the message has no 'effort'",)


def test_fields_in_separate_messages_are_merged():
    sync = synchroniser("position, effort")
    fed(sync, (0, "ab", [1, 2]), (5, "ba", [], [], [20, 10]))
    assert value(sync, 5) == [1, 2, 10, 20]


def test_an_error_in_one_of_the_merged_messages_is_named():
    sync = fed(synchroniser(), (0, "a", [np.nan]), (1, "b", [1]))
    assert value(sync, 1) == ("joints: position/a is nan, not a finite number",)
    sync = fed(synchroniser(), (0, "a", [1]), (1, "bxb", [1, 2, 3]))
    assert value(sync, 1) == ("joints (j): joint 'b' is named twice, so its value is unknown",)
    sync = fed(synchroniser(), (0, "a", [1]), (1, "bx", [1]))
    assert value(sync, 1) == ("joints (j): 2 names but 1 value of 'position'",)


def test_a_damaged_message_costs_the_ticks_up_to_the_next_one():
    sync = fed(synchroniser(), (0, "a", [1]), (1, "b", [2]))
    sync.push("j", raw(10, "a", [1])[:30], START + 10 * MS)
    assert "not a sensor_msgs/msg/JointState" in value(sync, 10)[0]
    fed(sync, (20, "a", [3]))
    assert value(sync, 20) == [3, 2]


def test_two_publishers_of_a_joint_are_a_fault_that_names_both():
    sync = synchroniser(publishers=lambda topic: ("/broadcaster", "/gui"))
    fed(sync, (0, "ab", [1, 2], {"frame": "base_link"}), (5, "ba", [0, 0]))
    assert value(sync, 10) == (
        "joints (j): 'a', 'b' come from two publishers: [a, b] in frame 'base_link' and [b, a] within 1 s; stop one "
        "of them, or remap its topic; the topic's publishers: /broadcaster, /gui",
    )


def test_the_fault_ends_a_second_after_one_of_the_two():
    sync = fed(synchroniser(), (0, "ba", [0, 0]), *[(50 * index, "ab", [1, 2]) for index in range(30)])
    assert "'a', 'b' come from two publishers: [b, a] and [a, b]" in value(sync, 1000)[0]
    assert value(sync, 1001) == [1, 2]


def test_publishers_that_share_no_needed_joint_are_no_fault():
    sync = fed(synchroniser(), (0, "ax", [1, 9]), (1, "bx", [2, 8]))  # both have x, which nobody needs
    assert value(sync, 1) == [1, 2]


def test_names_that_change_in_the_middle_are_told():
    sync = fed(synchroniser(), *[(50 * index, "ab", [1, 2]) for index in range(10)])
    assert value(sync, 450) == [1, 2]
    fed(sync, (500, "ac", [1, 2]))
    assert value(sync, 500)[0].startswith(
        "joints (j): 'a' comes from two publishers: [a, b] and [a, c] within 1 s"
    )
    fed(sync, (1500, "ac", [1, 2]))
    assert value(sync, 1500) == (
        "joints (j): position/b is stale, 1.050 s old at the tick; max_age_s is 0.2; the newest message has [a, c]",
    )


def zeros_between(period_ms, count=50):
    """An arm at 50 Hz, and a second publisher of the same layout that sends zeros."""
    arm = [(20 * index, "ab", [1 + index / 500, 2]) for index in range(count)]
    zeros = [(period_ms * index + 7, "ab", [0, 0]) for index in range(20 * count // period_ms)]
    return sorted([*arm, *zeros], key=lambda each: each[0])


@pytest.mark.parametrize("period_ms", [20, 100, 500])
def test_a_second_publisher_with_the_same_names_is_known_by_its_jumps(period_ms):
    sync = fed(synchroniser(age=1), *zeros_between(period_ms, 200))
    assert value(sync, 3999)[0].startswith(
        "joints (j): 'a' jumps to and fro between messages [a, b], as with two"
    )


@pytest.mark.parametrize(
    "motion",
    [
        lambda second: np.sin(2 * np.pi * 3 * second),  # 3 Hz, 19 rad/s
        lambda second: np.remainder(2 * second, 2 * np.pi) - np.pi,  # a joint without end
        lambda second: np.pi * (-1) ** round(50 * second),  # noise at the end of its turn
        lambda second: 0.04 * (-1) ** round(50 * second),  # a coarse encoder
        lambda second: float(second > 0.5),  # a clock of its driver that stood still
        lambda second: 3.0 if round(50 * second) in (30, 60) else 0.0,  # two glitches
    ],
)
def test_what_one_robot_does_is_no_second_publisher(motion):
    sync = fed(synchroniser(), *[(20 * index, "ab", [motion(index / 50), 0]) for index in range(100)])
    assert len(value(sync, 1980)) == 2


def test_memory_is_bounded_whatever_the_names_are():
    sync = synchroniser()
    for index in range(500):
        fed(sync, (index, f"a{index}x", [index] * len(f"a{index}x")))
    assert len(sync._streams["j"]) <= MOST_LAYOUTS
    (sources,) = sync._sources.values()
    assert len(sources._plans) <= MOST_LAYOUTS
    assert len(sources._sources) <= MOST_LAYOUTS


def test_a_clock_that_is_set_back_forgets_the_publishers():
    sync = fed(synchroniser(), (5000, "ab", [1, 2]), (5001, "ba", [0, 0]))
    assert "two publishers" in value(sync, 5001)[0]
    sync.sample(START)
    fed(sync, (10, "ab", [1, 2]))
    assert value(sync, 10) == [1, 2]


# ---- layouts ---------------------------------------------------------------------------------------------

NAMES = st.lists(st.text(min_size=0, max_size=9), max_size=6)
NUMBERS = st.lists(st.floats(width=64), max_size=6)


@given(names=NAMES, position=NUMBERS, velocity=NUMBERS, effort=NUMBERS, frame=st.text(max_size=9))
def test_a_layout_is_what_full_decoding_finds(names, position, velocity, effort, frame):
    sent = raw(3, names, position, velocity, effort, frame)
    layout = find_layout(sent)
    assert (layout.frame_id, list(layout.names)) == (frame, names)
    assert layout.counts == (len(position), len(velocity), len(effort))
    assert layout.matches(sent)
    for field, values in (("position", position), ("velocity", velocity), ("effort", effort)):
        np.testing.assert_array_equal(layout.read(sent, field), values)


def test_big_endian_messages_have_a_layout():
    sent = b"\0\0\0\0" + struct.pack(">iI", 1, 2) + struct.pack(">I", 2) + b"f\0\0\0"
    sent += struct.pack(">II", 1, 2) + b"a\0\0\0" + struct.pack(">I", 1)
    sent += struct.pack(">d", 1.5) + struct.pack(">II", 0, 0)
    message = messages.decode(TYPE, sent)
    assert (message.header.frame_id, message.name, message.position.tolist()) == ("f", ["a"], [1.5])
    layout = find_layout(sent)
    assert (layout.names, layout.counts, layout.value(sent, "position", "a")) == (("a",), (1, 0, 0), 1.5)
    assert not layout.matches(raw(0, "a", [1.5], frame="f"))


def test_bytes_that_are_cut_off_have_no_layout():
    sent = raw(0, ["joint_1", "joint_2"], [1, 2], [3, 4], frame="base")
    whole = find_layout(sent)
    for cut in range(len(sent)):
        assert find_layout(sent[:cut]) is None
        assert not whole.matches(sent[:cut])


@given(st.binary(max_size=200))
def test_any_bytes_have_a_layout_or_none(sent):
    find_layout(sent)
    JointSources(contract.parse(TEXT.format(fields="position", age=1), "t").observations).observe(sent, 0)
