"""Joined contracts: one key is one input or output, and what cannot be joined is named."""

import numpy as np
import pytest
import two_robots as robots
from two_robots import BASE, BASE_TEXT, PUSH, PUSH_TEXT, REACH, REACH_TEXT

from il_ros.core import contract
from il_ros.core.contract import ContractError
from il_ros.policies.joint.contracts import PART, joined, read


def changed(text, *pairs):
    for before, after in pairs:
        assert before in text
        text = text.replace(before, after)
    return contract.parse(text, "changed.yaml")


def test_a_key_of_several_contracts_is_there_once():
    own = joined([REACH, PUSH, BASE])
    assert [spec.key for spec in own.observations] == ["joints", "goal", "block", "scan", PART]
    assert own.action_names == ("arm/a", "arm/b", "wheels/linear.x")
    assert own.observation(PART).names == ("reach", "push", "base")
    assert own.partial == ("joints", "goal", "block", "scan")
    assert [(group.name, group.columns) for group in own.groups] == [("arm", (0, 1)), ("wheels", (2,))]


def test_tasks_with_the_same_actions_are_one_group():
    own = joined([REACH, PUSH])
    assert not own.grouped
    assert own.partial == ("block",)


def test_a_joined_contract_is_read_back_with_its_parts():
    own = joined([REACH, PUSH, BASE])
    again = read(own.text, "contract.yaml")
    assert (again.name, again.hash) == ("reach+push+base", own.hash)
    assert [(part.name, part.hash) for part in again.parts] == [
        (part.name, part.hash) for part in (REACH, PUSH, BASE)
    ]
    assert read(REACH_TEXT, "contract.yaml") == REACH


def test_other_parts_are_another_contract():
    slower = changed(BASE_TEXT, ("max_age_s: 0.1", "max_age_s: 0.2"))
    assert joined([REACH, BASE]).hash != joined([REACH, slower]).hash


def test_the_part_of_a_contract_is_found_by_its_meaning_then_by_its_name():
    other_name = changed(REACH_TEXT, ("name: reach", "name: mine"))
    assert joined([REACH, PUSH]).part(other_name).name == "reach"
    twice = joined([REACH, changed(REACH_TEXT, ("name: reach", "name: touch"))])
    assert twice.part(changed(REACH_TEXT, ("name: reach", "name: touch"))).name == "touch"
    with pytest.raises(
        ContractError, match=r"of several parts .reach, touch., which only the name tells apart"
    ):
        twice.part(other_name)
    with pytest.raises(ContractError, match=r"part 'push': observations.block.*absent here"):
        joined([PUSH, BASE]).part(REACH)


DIFFERENT = {
    "rate": ([REACH, changed(BASE_TEXT, ("rate_hz: 20", "rate_hz: 10"))], "'reach' and 'base' .* rate_hz is 20 and 10"),
    "one": ([REACH], "one contract only .reach.; joining needs two"),
    "name": ([REACH, changed(PUSH_TEXT, ("name: push", "name: reach"))], "two different contracts are named 'reach'"),
    "unit": (
        [REACH, changed(PUSH_TEXT, ("max_age_s: 0.1, unit: rad", "max_age_s: 0.1, unit: deg"))],
        "'reach' and 'push' cannot be joined: observations.joints: unit is rad and deg",
    ),
    "elements": (
        [REACH, changed(PUSH_TEXT, ("topic: goal, type: std_msgs/msg/Float64MultiArray, names: [x, y]",
                                    "topic: goal, type: std_msgs/msg/Float64MultiArray, names: [x, y, z]"))],
        r"observations.goal: elements is \['x', 'y'\] and \['x', 'y', 'z'\]; what differs needs different keys",
    ),
    "mode": (
        [REACH, changed(PUSH_TEXT, ("unit: rad, reference", "unit: rad, mode: delta, reference"))],
        "actions.arm: mode is absolute and delta",
    ),
    "part": ([REACH, changed(BASE_TEXT, ("  scan:", "  part:"))], "'base' cannot be joined: its observation 'part'"),
    "nested": ([joined([REACH, PUSH]), BASE], r"'reach\+push' is joined already; join its parts: reach, push"),
}  # fmt: skip


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_cannot_be_joined_is_named(what):
    parts, words = DIFFERENT[what]
    with pytest.raises(ContractError, match=words):
        joined(parts)


def test_topics_and_limits_may_differ():
    moved = changed(PUSH_TEXT, ("topic: joint_states", "topic: js"), ("trigger: joint_states", "trigger: js"))
    own = joined([REACH, moved])
    assert own.observation("joints").topic == "joint_states"
    np.testing.assert_array_equal(own.actions[0].limits.upper, [2, 2])


def test_a_robot_is_not_driven_by_a_joined_contract():
    own = joined([REACH, BASE])
    with pytest.raises(ContractError, match=r"own.yaml:\d+: parts: .* joint policy"):
        contract.parse(own.text, "own.yaml")


def test_a_damaged_part_is_named():
    text = joined([REACH, BASE]).text.replace("rate_hz: 20", "rate_hz: 0", 1)
    with pytest.raises(ContractError, match=r"contract.yaml, parts.reach:\d+: rate_hz"):
        read(text, "contract.yaml")
    assert robots.REACH.rate_hz == 20
