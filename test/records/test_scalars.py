"""The numbers of a decision that are plotted."""

from pathlib import Path

import pytest

from il_ros.core import contract
from il_ros.records.decision import Decision, GroupDecision
from il_ros.records.scalars import SCALARS, SEVERAL, scalars_of, values_of

SOURCES = ("policy", "expert")


def decision(authority="policy", **values):
    return Decision(stamp_ns=1, sent_ns=2, authority=authority, reason="because", **values)


@pytest.mark.parametrize(
    ("authority", "number"), [("none", 0), ("policy", 1), ("expert", 2), ("remote", SEVERAL)]
)
def test_authority_is_the_place_among_the_sources(authority, number):
    assert values_of(decision(authority), SOURCES, None)["authority"] == number


def test_a_number_that_a_decision_lacks_is_absent():
    assert values_of(decision(), SOURCES, None) == {"authority": 1, "limited": 0}


def test_all_numbers_of_a_decision():
    made = decision(
        "expert",
        sent=(0.1,),
        limited=("arm/joint1 speed", "arm/joint2 speed"),
        uncertainty=0.25,
        disagreement=0.5,
        beta=0.85,
        age_s=0.03,
    )
    found = values_of(made, SOURCES, 0.4)
    assert found == {
        "authority": 2,
        "limited": 2,
        "uncertainty": 0.25,
        "threshold": 0.4,
        "disagreement": 0.5,
        "beta": 0.85,
        "observation_age": 0.03,
    }
    assert set(found) == {scalar.name for scalar in SCALARS}


def test_what_a_message_cannot_hold_is_its_largest():
    found = values_of(decision(uncertainty=1e300, limited=["limit"] * 200), SOURCES, -1e300)
    assert (found["uncertainty"], found["threshold"], found["limited"]) == (3.4e38, -3.4e38, 127)


GROUPED = {"left": GroupDecision((0,), "policy", "a"), "right": GroupDecision((1,), "expert", "b")}


def test_groups_have_an_authority_each():
    found = values_of(decision("policy+expert", groups=GROUPED), SOURCES, None)
    assert found == {"authority": SEVERAL, "authority_left": 1, "authority_right": 2, "limited": 0}


def test_the_how_to_lists_every_number_with_its_type():
    text = (Path(__file__).resolve().parents[2] / "docs" / "plots.md").read_text()
    for scalar in SCALARS:
        assert f"| `{scalar.name}` | {scalar.type.rpartition('/')[2]}{', s' if scalar.unit else ''} |" in text


def test_a_grouped_contract_declares_a_number_for_each_group():
    text = """
name: two
rate_hz: 20
observations:
  left: {topic: left/joint_states, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 1.0}
  right: {topic: right/joint_states, type: sensor_msgs/msg/JointState, names: [b], max_age_s: 1.0}
actions:
  left_arm:
    {topic: l, type: std_msgs/msg/Float64MultiArray, names: [a], reference: left, limits: {speed: 1}}
  right_arm:
    {topic: r, type: std_msgs/msg/Float64MultiArray, names: [b], reference: right, limits: {speed: 1}}
groups: {left: [left_arm], right: [right_arm]}
"""
    assert [scalar.name for scalar in scalars_of(contract.parse(text, "two.yaml"))[len(SCALARS) :]] == [
        "authority_left",
        "authority_right",
    ]
    assert scalars_of(contract.find("arm_push")) == SCALARS
