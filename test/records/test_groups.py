"""Records under a contract with several action groups: decisions, labels, takeovers, proposals of some groups."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest

from il_ros.core import messages
from il_ros.core.specs import ActionGroup
from il_ros.records import proposal
from il_ros.records.decision import NOBODY, Decision, DecisionError, GroupDecision, from_json, to_json
from il_ros.records.labelling import BY_MODE, DRIVEN, label
from il_ros.records.proposal import Proposal, ProposalError
from il_ros.records.takeovers import LastDrivers, group_takeovers, takeovers

NAN = math.nan
SENT = (0.1, 0.2, 0.3)
NAMES, PERIOD = ("left/a", "base/x", "left/b"), 50_000_000
GROUPS = (ActionGroup("left", ("left",), (0, 2)), ActionGroup("base", ("base",), (1,)))


def decided(left, base, mode="hg_dagger", **changes):
    """Return a decision on three numbers: the first and the last are the left arm's, the second is the base's."""
    groups = {
        "left": GroupDecision((0, 2), left, "one reason", "v3" if left == "policy" else "", uncertainty=0.25),
        "base": GroupDecision((1,), base, "another reason", disagreement=0.5),
    }
    proposals = {"expert": (1.1, NAN, 1.3), "policy": (2.1, 2.2, 2.3)}
    values = {"proposals": proposals, "sent": SENT, "mode": mode, "groups": groups}
    return Decision(7, 8, f"{left}+{base}", "a reason", **{**values, **changes})


def known(values):
    return None if values is None else [None if math.isnan(value) else value for value in values]


# ---- the record ---------------------------------------------------------------------------------------------


def test_a_decision_survives_its_record_with_null_for_what_was_not_proposed():
    before = decided("expert", "policy")
    record = json.loads(to_json(before))
    assert record["proposals"]["expert"] == [1.1, None, 1.3]
    assert record["groups"]["left"] == {
        "actions": [0, 2], "authority": "expert", "reason": "one reason", "version": "", "disagreement": None,
        "uncertainty": 0.25,
    }  # fmt: skip
    after = from_json(to_json(before))
    assert after.groups == before.groups
    assert known(after.proposals["expert"]) == [1.1, None, 1.3]
    assert to_json(after) == to_json(before)


def test_a_record_from_before_groups_had_uncertainties_has_none():
    before = decided("expert", "policy")
    record = json.loads(to_json(before))
    for part in record["groups"].values():
        del part["uncertainty"]
    assert [part.uncertainty for part in from_json(json.dumps(record)).groups.values()] == [None, None]


def test_a_decision_of_one_group_has_no_field_for_groups():
    record = json.loads(to_json(decided("expert", "policy", groups={}, proposals={})))
    assert "groups" not in record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sent": [0.1, None, None]}, "sent must be finite numbers in group 'left', or none of it"),
        ({"sent": [0.1, 0.2]}, "different numbers of actions"),
        ({"groups": {"left": {"actions": [0, 1]}}}, r"groups\[left\] without 'authority'"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(change, message):
    record = json.loads(to_json(decided("expert", "policy")))
    with pytest.raises(DecisionError, match=message):
        from_json(json.dumps({**record, **change}))


@pytest.mark.parametrize("actions", [[1], [0, 0], [0, 1]])
def test_every_number_is_in_exactly_one_group(actions):
    record = json.loads(to_json(decided("expert", "policy")))
    record["groups"]["left"]["actions"] = actions
    with pytest.raises(DecisionError, match=r"each place must be in exactly one group|groups have"):
        from_json(json.dumps(record))


def test_null_in_a_record_without_groups_is_refused():
    record = json.loads(to_json(decided("expert", "policy", groups={}, proposals={})))
    with pytest.raises(DecisionError, match="sent"):
        from_json(json.dumps({**record, "sent": [0.1, None, 0.3]}))


def test_infinity_is_no_number_of_a_group():
    with pytest.raises(DecisionError, match="group 'base'"):
        decided("expert", "policy", sent=(0.1, math.inf, 0.3))


# ---- labels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "left", "base", "expected"),
    [
        ("hg_dagger", "expert", "policy", [0.1, None, 0.3]),
        ("hg_dagger", "policy", "expert", [None, 0.2, None]),
        ("hg_dagger", "expert", "expert", [0.1, 0.2, 0.3]),
        ("hg_dagger", "policy", "policy", None),
        ("hg_dagger", "policy", NOBODY, None),
        ("gated", "expert", NOBODY, [0.1, None, 0.3]),
        ("priority", "joystick", "policy", [0.1, None, 0.3]),
        ("dagger", "policy", "policy", [1.1, None, 1.3]),  # the expert's proposal, where it covers the group
        ("dagger", "policy", "expert", [1.1, 0.2, 1.3]),
        ("policy", "policy", "policy", None),
    ],
)
def test_the_rule_applies_to_each_group(mode, left, base, expected):
    assert known(label(mode, decided(left, base))) == expected
    assert known(BY_MODE.choose(decided(left, base, mode))) == expected


def test_without_a_query_the_proposal_is_no_label_in_any_group():
    asked = decided("policy", "expert", "dagger", queried=False)
    assert known(label("dagger", asked)) == [None, 0.2, None]


def test_a_group_that_was_not_sent_has_no_label():
    assert known(label("hg_dagger", decided("expert", "expert", sent=(NAN, 0.2, NAN)))) == [None, 0.2, None]


def test_driven_is_what_was_sent_where_a_source_had_authority():
    assert known(DRIVEN.choose(decided("policy", NOBODY))) == [0.1, None, 0.3]
    assert DRIVEN.choose(decided(NOBODY, NOBODY)) is None


# ---- takeovers ----------------------------------------------------------------------------------------------

LEFT, BASE = "ppeepppe-e", "peeeeppeee"
"""The driver of each group at ten ticks: p the policy, e the expert, - none."""
DRIVERS = {"p": "policy", "e": "expert", "-": NOBODY}


def test_each_group_has_its_own_takeovers_by_the_one_definition():
    pairs = [
        ({"left": DRIVERS[left], "base": DRIVERS[base]}, "hg_dagger")
        for left, base in zip(LEFT, BASE, strict=True)
    ]
    found = group_takeovers(pairs)
    assert found == {1: ("base",), 2: ("left",), 7: ("left", "base")}
    for name in ("left", "base"):
        alone = takeovers((authorities[name], mode) for authorities, mode in pairs)
        assert alone == tuple(index for index, names in found.items() if name in names)


def test_a_decision_says_the_authority_and_the_version_of_each_group():
    assert decided("policy", "expert").authorities == {"left": "policy", "base": "expert"}
    assert decided("policy", "expert").versions == {"left": "v3", "base": ""}
    whole = dataclasses.replace(decided("policy", "policy"), groups={}, proposals={}, authority="policy")
    assert whole.authorities == {"all": "policy"}


def test_the_authority_over_a_number_is_that_of_its_group():
    made = decided("expert", "policy", sent=(0.1, NAN, 0.3))
    assert made.authority_at(2) == ("expert", "one reason")
    assert made.authority_at(1) == (NOBODY, "another reason")  # not sent
    whole = Decision(7, 8, "policy", "a reason", sent=SENT)
    assert whole.authority_at(1) == ("policy", "a reason")
    assert Decision(7, 8, "policy", "a reason").authority_at(1) == (NOBODY, "a reason")


def test_the_last_driver_of_a_group_keeps_its_version():
    first = decided("policy", "expert")
    last = LastDrivers().after(first.authorities, first.mode, first.versions)
    assert last.of("left").version == "v3"
    assert last.took_over({"left": "expert", "base": "expert"}, "hg_dagger") == ("left",)


# ---- proposals of some groups -------------------------------------------------------------------------------


def test_a_proposal_of_one_group_names_its_joints_alone():
    chunk = np.array([[0.1, NAN, 0.3], [0.4, NAN, 0.6]])
    one = Proposal("expert", 5 * PERIOD, chunk, version="v1", groups=("left",))
    raw = proposal.encode(one, NAMES, PERIOD, GROUPS)
    message = proposal.to_message(one, NAMES, PERIOD, GROUPS)
    assert list(message.joint_names) == ["left/a", "left/b"]
    after = proposal.decode(raw, NAMES, PERIOD, GROUPS)
    np.testing.assert_array_equal(after.chunk, chunk)
    assert (after.groups, after.stamp_ns, after.version) == (("left",), 5 * PERIOD, "v1")


def test_the_uncertainties_of_groups_survive_encoding_bit_for_bit():
    values = {"left": 0.1 + 0.2, "base": 0.0}
    one = Proposal("policy", PERIOD, np.array([[0.1, 0.2, 0.3]]), uncertainty=0.5, uncertainties=values)
    raw = proposal.encode(one, NAMES, PERIOD, GROUPS)
    after = proposal.decode(raw, NAMES, PERIOD, GROUPS)
    assert (after.uncertainty, after.uncertainties) == (0.5, values)
    message = proposal.to_message(one, NAMES, PERIOD, GROUPS)
    assert proposal.from_message(message, NAMES, PERIOD, GROUPS).uncertainties == values
    without = Proposal("policy", PERIOD, np.array([[0.1, 0.2, 0.3]]))
    assert proposal.decode(proposal.encode(without, NAMES, PERIOD), NAMES, PERIOD).uncertainties is None


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("uncertainties=left", "'left' is not GROUP:NUMBER"),
        ("uncertainties=left:high", "'left:high' is not GROUP:NUMBER"),
        ("uncertainties=left:1,left:2", "names left twice"),
        ("uncertainties=left:-1", "uncertainty of left must be a finite number of at least 0, not -1"),
        ("uncertainties=left:nan", "uncertainty of left must be a finite number"),
        ("uncertainties=:1", "group '' is not one of the contract's"),
        ("uncertainties=right:1", "group 'right' is not one of the contract's: left, base"),
    ],
)
def test_wrong_uncertainties_of_groups_are_refused_by_name(word, message):
    made = proposal.to_message(Proposal("policy", PERIOD, np.array([[0.1, 0.2, 0.3]])), NAMES, PERIOD, GROUPS)
    made.header.frame_id += f" {word}"
    raw = messages.encode(proposal.TYPE, made)
    with pytest.raises(proposal.ProposalError, match=re.escape(message)):
        proposal.decode(raw, NAMES, PERIOD, GROUPS)


def test_the_joints_of_a_group_may_come_in_another_order():
    message = proposal.to_message(
        Proposal("expert", PERIOD, np.array([[0.1, NAN, 0.3]]), groups=("left",)), NAMES, PERIOD, GROUPS
    )
    message.joint_names.reverse()
    np.testing.assert_array_equal(
        proposal.from_message(message, NAMES, PERIOD, GROUPS).chunk, [[0.3, NAN, 0.1]]
    )


def test_a_proposal_of_all_groups_is_as_without_groups():
    whole = Proposal("policy", PERIOD, np.array([[0.1, 0.2, 0.3]]))
    raw = proposal.encode(whole, NAMES, PERIOD, GROUPS)
    assert raw == proposal.encode(whole, NAMES, PERIOD)
    assert proposal.decode(raw, NAMES, PERIOD, GROUPS).groups == ()


def test_a_release_of_one_group_has_no_steps_and_names_it():
    raw = proposal.encode(proposal.releasing("expert", PERIOD, 3, ("base",)), NAMES, PERIOD, GROUPS)
    after = proposal.decode(raw, NAMES, PERIOD, GROUPS)
    assert after.releases
    assert after.groups == ("base",)


def test_a_part_of_a_group_is_refused():
    message = proposal.to_message(
        Proposal("expert", PERIOD, np.array([[0.1, NAN, 0.3]]), groups=("left",)), NAMES, PERIOD, GROUPS
    )
    message.joint_names = ["left/a"]
    with pytest.raises(ProposalError, match=r"joint 'left/b' is missing; there are: left/a"):
        proposal.from_message(message, NAMES, PERIOD, GROUPS)


def test_a_part_of_a_robot_without_groups_is_refused():
    raw = proposal.encode(
        Proposal("expert", PERIOD, np.array([[0.1, NAN, 0.3]]), groups=("left",)), NAMES, PERIOD, GROUPS
    )
    with pytest.raises(ProposalError, match="joint 'base/x' is missing"):
        proposal.decode(raw, NAMES, PERIOD)


def test_an_unknown_group_is_refused():
    wrong = Proposal("expert", PERIOD, np.array([[0.1, NAN, 0.3]]), groups=("arm",))
    with pytest.raises(ProposalError, match="group 'arm' is not one of the contract's: left, base"):
        proposal.encode(wrong, NAMES, PERIOD, GROUPS)
