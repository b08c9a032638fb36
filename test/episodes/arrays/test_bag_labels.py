"""Ticks and labels come from decisions, or from the newest commands."""

import dataclasses
import tracemalloc

import made_episodes as made
import numpy as np
import pytest

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.episodes.arrays.tick_labels import Span, TickLabel, label_ticks, label_topics
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.bag.topics import MismatchError, find_streams, resolve
from il_ros.episodes.layout import load_info
from il_ros.records.labelling import Rule

MS = made.MS
WHOLE = Span(made.START_NS, made.stamp(1000))


def found(tmp_path, items, contract=made.CONTRACT, span=WHOLE, **options):
    folder = made.write(tmp_path, items)
    bag = open_bag(folder)
    streams = find_streams(contract, bag, load_info(folder))
    return label_ticks(bag.messages(label_topics(contract, streams)), contract, streams, span, **options)


def labels(out):
    return [(round((m.tick_ns - made.START_NS) / made.PERIOD_NS, 3), m.command) for m in out]


# ---- decisions


def test_with_decisions_ticks_are_their_stamps_and_labels_the_sent_commands(tmp_path):
    out, left_out = found(tmp_path, made.recorded(3))
    assert left_out == []
    one = out[1]
    assert (one.tick_ns, one.arrival_ns) == (made.stamp(1), made.stamp(1) + 4 * MS)
    assert (one.triggered, one.authority) == (True, "expert")
    np.testing.assert_array_equal([m.command for m in out], [[1, 2, 0.05], [2, 3, 0.05], [3, 4, 0.05]])


def test_a_decision_between_trigger_messages_is_not_triggered(tmp_path):
    out, _ = found(tmp_path, [*made.recorded(3), made.decision(1.4)])
    assert [m.triggered for m in out] == [True, True, False, True]


def test_a_decision_without_authority_or_command_gives_a_reason_instead_of_a_label(tmp_path):
    items = [
        made.decision(0, authority="none", reason="no proposal"),
        made.decision(1, sent=None),
        made.decision(2),
    ]
    out, _ = found(tmp_path, made.recorded(3, decisions=False) + items)
    assert [m.reason for m in out] == [
        "no source drove: no proposal",
        "expert drove, and no command was sent",
        "",
    ]
    assert [m.command is None for m in out] == [True, True, False]


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("hg_dagger", "commands of policy are not learnt in mode hg_dagger"),
        ("", "commands of policy are not learnt"),
    ],
)
def test_where_the_policy_drove_the_reason_says_that_its_commands_are_not_learnt(tmp_path, mode, reason):
    out, _ = found(
        tmp_path, [*made.recorded(1, decisions=False), made.decision(0, authority="policy", mode=mode)]
    )
    assert [m.reason for m in out] == [reason]


def test_the_rule_chooses_the_labels(tmp_path):
    rule = Rule("proposed", lambda decision: decision.proposals.get("expert"))
    items = [made.decision(0, proposals={"expert": (7.0, 8.0, 9.0)}, authority="policy")]
    out, _ = found(tmp_path, made.recorded(1, decisions=False) + items, rule=rule)
    np.testing.assert_array_equal(out[0].command, [7, 8, 9])
    assert out[0].authority == "policy"


def test_the_later_of_two_decisions_for_one_tick_is_used(tmp_path):
    later = made.decision(1, sent=(0.0, 0.0, 0.0))
    out, _ = found(tmp_path, [*made.recorded(3), later._replace(log_ns=later.log_ns + MS)])
    assert len(out) == 3
    np.testing.assert_array_equal(out[1].command, [0, 0, 0])


def test_decisions_recorded_out_of_order_are_sorted_by_tick(tmp_path):
    late = made.decision(1)
    items = [made.decision(0), made.decision(1.2), late._replace(log_ns=made.stamp(1.9)), made.decision(2)]
    out, left_out = found(tmp_path, made.recorded(3, decisions=False) + items)
    assert [tick for tick, _ in labels(out)] == [0, 1, 1.2, 2]
    assert left_out == []


def test_ticks_after_a_clock_reset_are_left_out_with_a_reason(tmp_path):
    items = [made.decision(tick) for tick in range(60)]
    items += [made.decision(tick)._replace(log_ns=made.stamp(60 + tick)) for tick in range(5)]
    out, left_out = found(tmp_path, made.recorded(1, decisions=False) + items)
    assert len(out) == 60
    assert left_out[0] == "time went back by 2.950 s"  # from tick 59 to tick 0, 50 ms each
    assert len(left_out) == 5


def test_a_string_that_is_not_a_decision_is_reported(tmp_path):
    broken = made.decision(1)
    raw = broken.raw.replace(b"stamp_ns", b"stump_ns")
    out, left_out = found(tmp_path, [*made.recorded(1), broken._replace(raw=raw)])
    assert len(out) == 1
    assert "is not a decision: a decision without 'stamp_ns'" in left_out[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (('"sent":[2.0,3.0,0.05]', '"sent":5'), "sent is 5; it must be a list"),
        (('"mode":""', '"mode":"future"'), "mode is 'future'; it must be one of"),
        (('"sent":[2.0,3.0,0.05]', '"sent":[2.0,3.0,0.05,1.0]'), "has 4 numbers; the contract has 3 actions"),
        (
            ('"stamp_ns":1000050000000', '"stamp_ns":9000050000000'),
            "stamp_ns is 7999.996 s after the message",
        ),
    ],
)
def test_one_odd_decision_costs_its_tick_and_is_named(tmp_path, change, says):
    odd = made.decision(1)
    text = messages.decode(made.STRING, odd.raw).data
    assert change[0] in text
    raw = messages.encode(made.STRING, messages.make(made.STRING, data=text.replace(*change)))
    items = [made.decision(0), odd._replace(raw=raw), *(made.decision(tick) for tick in range(2, 9))]
    out, left_out = found(tmp_path, made.recorded(9, decisions=False) + items)
    assert [tick for tick, _ in labels(out)] == [0, *range(2, 9)]
    (reason,) = left_out
    assert reason.startswith("a message of /dagger_supervisor/decision is not a ")
    assert says in reason


def test_decisions_outside_the_demonstration_are_not_ticks(tmp_path):
    span = Span(made.stamp(1), made.stamp(2.5))
    out, _ = found(tmp_path, made.recorded(5), span=span)
    assert [tick for tick, _ in labels(out)] == [1, 2]


# ---- commands


def test_without_decisions_the_label_is_the_newest_command_before_the_next_tick(tmp_path):
    items = [item for item in made.recorded(4, decisions=False) if "commands" not in item.topic]
    at = [(0.5, 1.0), (0.9, 2.0), (1.0, 3.0), (2.98, 4.0), (3.4, 5.0)]  # in ticks after the joints' arrival
    items += [made.command("/arm/commands", [value, 0], made.stamp(tick) + MS) for tick, value in at]
    items += [made.command("/gripper/commands", [0.02], made.stamp(0.1))]
    out, _ = found(tmp_path, items)
    # a command at exactly tick 1 belongs to tick 1; in tick 2's period only the one at 2.98 arrives
    np.testing.assert_array_equal([m.command[0] for m in out], [2, 3, 4, 5])


def test_there_is_no_label_before_every_action_was_commanded(tmp_path):
    items = [item for item in made.recorded(4, decisions=False) if "commands" not in item.topic]
    items += [made.command("/arm/commands", [1, 1], made.stamp(0))]
    items += [made.command("/gripper/commands", [0.02], made.stamp(2.5))]
    out, _ = found(tmp_path, items)
    assert [m.reason for m in out] == ["gripper (gripper/commands): no command yet"] * 2 + ["", ""]


def test_a_command_of_the_wrong_size_gives_no_label(tmp_path):
    items = [item for item in made.recorded(2, decisions=False) if "arm" not in item.topic]
    items += [made.command("/arm/commands", [1, 2, 3], made.stamp(0))]
    out, _ = found(tmp_path, items)
    assert out[0].reason == "arm (arm/commands): data has 3 numbers; the contract says 2"


def test_without_a_trigger_the_ticks_are_a_regular_grid(tmp_path):
    timed = dataclasses.replace(made.CONTRACT, trigger=None)
    span = Span(made.START_NS + 10 * MS, made.START_NS + 130 * MS)
    out, _ = found(tmp_path, made.recorded(4, decisions=False), timed, span)
    assert [(m.tick_ns - made.START_NS) // MS for m in out] == [10, 60, 110]
    assert all(isinstance(m, TickLabel) and not m.triggered for m in out)
    # commands come 3 ms after ticks 0, 50, 100, 150 ms: those of tick 50 are the newest before the tick at 60
    np.testing.assert_array_equal([m.command[0] for m in out], [2, 3, 4])


def test_a_trigger_faster_than_the_rate_is_downsampled(tmp_path):
    items = made.recorded(4, decisions=False) + [made.joints(tick + 0.5) for tick in range(4)]
    out, _ = found(tmp_path, items)
    assert [tick for tick, _ in labels(out)] == [0, 1, 2, 3]


# ---- contract and bag


@pytest.mark.parametrize("decisions", [True, False])
def test_of_the_triggers_images_only_the_stamps_are_kept(tmp_path, decisions):
    """400 images of 400 kB pass by, 160 MB; the labels take less than an eighth of it."""
    text = made.TEXT.replace("trigger: joint_states", "trigger: camera/image_raw")
    contract = contracts.parse(text, "camera")
    few = made.recorded(2, decisions)
    folder = made.write(tmp_path, few, text=text)
    streams = find_streams(contract, open_bag(folder), load_info(folder))

    def passing():
        for tick in range(400):
            image = made.image(tick)
            yield image._replace(raw=image.raw[:100] + bytes(400_000))
            yield made.decision(tick) if decisions else made.commands(tick)[0]

    tracemalloc.start()
    out, _ = label_ticks(passing(), contract, streams, WHOLE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(out) == 400
    assert all(tick.triggered for tick in out)
    assert peak < 20_000_000


def test_the_error_lists_all_missing_topics(tmp_path):
    items = [item for item in made.recorded(2, decisions=False) if "camera" not in item.topic]
    items = [item._replace(topic="/elsewhere") if "arm" in item.topic else item for item in items]
    with pytest.raises(MismatchError) as caught:
        found(tmp_path, items)
    text = str(caught.value)
    assert "camera needs topic camera/image_raw (sensor_msgs/msg/Image), which is not in the bag" in text
    assert "arm needs topic arm/commands" in text
    assert "The bag holds: /elsewhere (std_msgs/msg/Float64MultiArray), /gripper/commands" in text


def test_the_error_names_a_topic_of_another_type(tmp_path):
    joints = "joint_states, type: sensor_msgs/msg/JointState, names: [a, b, gripper]"
    array = "joint_states, type: std_msgs/msg/Float64MultiArray, names: [a, b, gripper]"
    text = made.TEXT.replace(joints, array).replace("trigger: joint_states\n", "")
    with pytest.raises(
        MismatchError, match=r"as std_msgs/msg/Float64MultiArray, but the bag has sensor_msgs/msg/JointState"
    ):
        found(tmp_path, made.recorded(2), contracts.parse(text, "t"))


def test_actions_in_another_order_than_recorded_are_found_by_name(tmp_path):
    text = made.TEXT.replace("names: [a, b], unit", "names: [b], unit")
    out, _ = found(tmp_path, made.recorded(2), contracts.parse(text, "t"))
    np.testing.assert_array_equal(out[1].command, [3, 0.05])  # arm/b is the second number of [2, 3, 0.05]


def test_an_action_never_commanded_or_of_another_unit_is_rejected(tmp_path):
    added = contracts.parse(made.TEXT.replace("names: [a, b], unit", "names: [a, gripper], unit"), "t")
    with pytest.raises(MismatchError, match="action arm/gripper was not commanded under the bag's contract"):
        found(tmp_path / "a", made.recorded(2), added)
    scaled = contracts.parse(made.TEXT.replace("unit: m,", "unit: mm,"), "t")
    with pytest.raises(MismatchError, match="action gripper: unit is 'mm', but 'm' in the bag's contract"):
        found(tmp_path / "b", made.recorded(2), scaled)


def test_topics_are_found_at_the_root_or_alone_under_a_namespace(tmp_path):
    items = [made.command("/left/arm/commands", [1], 1), made.command("/top", [1], 1)]
    items += [made.command("/left/gripper", [1], 1), made.command("/right/gripper", [1], 1)]
    bag = open_bag(made.write(tmp_path, items))
    assert resolve("top", bag, None) == "/top"
    assert resolve("arm/commands", bag, None) == "/left/arm/commands"
    assert resolve("gripper", bag, None) is None  # two candidates: ambiguous
