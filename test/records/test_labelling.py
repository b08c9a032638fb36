"""The labelling rule of each mode."""

import dataclasses

import pytest

from il_ros.records.decision import Decision
from il_ros.records.labelling import BY_MODE, DRIVEN, label

EXPERT_ACTION, POLICY_ACTION, SENT = (1.0,), (2.0,), (1.5,)


def decision(authority, expert=EXPERT_ACTION, sent=SENT):
    return Decision(
        stamp_ns=1,
        sent_ns=2,
        authority=authority,
        reason="",
        proposals={"expert": expert, "policy": POLICY_ACTION},
        sent=sent,
    )


@pytest.mark.parametrize(
    ("mode", "expert_label", "policy_label", "label_without_authority"),
    [
        ("priority", SENT, None, None),
        ("expert", SENT, None, None),
        ("policy", None, None, None),
        ("shadow", SENT, None, None),
        ("dagger", SENT, EXPERT_ACTION, EXPERT_ACTION),
        ("hg_dagger", SENT, None, None),
        ("gated", SENT, None, None),
    ],
)
def test_the_table(mode, expert_label, policy_label, label_without_authority):
    assert label(mode, decision("expert")) == expert_label
    assert label(mode, decision("policy")) == policy_label
    assert label(mode, decision("none", sent=None)) == label_without_authority


def test_in_priority_every_source_but_the_policy_gives_labels():
    assert label("priority", decision("leader")) == SENT
    assert label("hg_dagger", decision("leader")) is None


def test_in_dagger_a_proposal_without_a_query_is_not_a_label():
    not_queried = [
        dataclasses.replace(decision(source), queried=False) for source in ("policy", "none", "expert")
    ]
    assert [label("dagger", each) for each in not_queried] == [None, None, SENT]


def test_without_an_expert_proposal_there_is_no_label():
    assert label("dagger", decision("policy", expert=None)) is None


def test_an_unknown_mode_is_rejected():
    with pytest.raises(ValueError, match="mode 'auto' is not known"):
        label("auto", decision("expert"))


def test_the_rule_by_mode_reads_the_mode_in_the_record():
    assert BY_MODE.choose(dataclasses.replace(decision("policy"), mode="dagger")) == EXPERT_ACTION
    assert BY_MODE.choose(dataclasses.replace(decision("policy"), mode="hg_dagger")) is None
    assert BY_MODE.choose(decision("leader")) == SENT  # without mode: priority
    assert BY_MODE.choose(decision("policy")) is None


def test_the_rule_driven_returns_every_command_with_authority():
    assert DRIVEN.choose(dataclasses.replace(decision("policy"), mode="hg_dagger")) == SENT
    assert DRIVEN.choose(decision("none")) is None
