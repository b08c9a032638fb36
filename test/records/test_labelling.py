"""The table of what is learnt from whom."""

import dataclasses

import pytest

from il_ros.records.decision import Decision
from il_ros.records.labelling import BY_MODE, DRIVEN, label

EXPERT_SAYS, POLICY_SAYS, SENT = (1.0,), (2.0,), (1.5,)


def decision(authority, expert=EXPERT_SAYS, sent=SENT):
    return Decision(
        stamp_ns=1,
        sent_ns=2,
        authority=authority,
        reason="",
        proposals={"expert": expert, "policy": POLICY_SAYS},
        sent=sent,
    )


@pytest.mark.parametrize(
    ("mode", "expert_drives", "policy_drives", "nobody"),
    [
        ("priority", SENT, None, None),
        ("expert", SENT, None, None),
        ("policy", None, None, None),
        ("shadow", SENT, None, None),
        ("dagger", SENT, EXPERT_SAYS, EXPERT_SAYS),
        ("hg_dagger", SENT, None, None),
        ("gated", SENT, None, None),
    ],
)
def test_the_table(mode, expert_drives, policy_drives, nobody):
    assert label(mode, decision("expert")) == expert_drives
    assert label(mode, decision("policy")) == policy_drives
    assert label(mode, decision("none", sent=None)) == nobody


def test_in_priority_whoever_is_not_the_policy_teaches():
    assert label("priority", decision("leader")) == SENT
    assert label("hg_dagger", decision("leader")) is None


def test_in_dagger_what_the_expert_proposes_unasked_is_no_label():
    unasked = [dataclasses.replace(decision(who), queried=False) for who in ("policy", "none", "expert")]
    assert [label("dagger", each) for each in unasked] == [None, None, SENT]


def test_no_expert_no_label():
    assert label("dagger", decision("policy", expert=None)) is None


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode 'auto' is not known"):
        label("auto", decision("expert"))


def test_the_rule_by_mode_reads_the_mode_in_the_record():
    assert BY_MODE.choose(dataclasses.replace(decision("policy"), mode="dagger")) == EXPERT_SAYS
    assert BY_MODE.choose(dataclasses.replace(decision("policy"), mode="hg_dagger")) is None
    assert BY_MODE.choose(decision("leader")) == SENT  # recorded before there were modes: priority
    assert BY_MODE.choose(decision("policy")) is None


def test_an_episode_is_looked_at_with_all_that_was_driven():
    assert DRIVEN.choose(dataclasses.replace(decision("policy"), mode="hg_dagger")) == SENT
    assert DRIVEN.choose(decision("none")) is None
