"""The table of what is learnt from whom, and how much it counts."""

import numpy as np
import pytest

from il_ros.control.decision import Decision
from il_ros.interactive.labels import Weighting, label, weights

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


def test_no_expert_no_label():
    assert label("dagger", decision("policy", expert=None)) is None


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode 'auto' is not known"):
        label("auto", decision("expert"))


def test_recoveries_count_more_and_the_lapse_before_them_less():
    ticks = [i * 500_000_000 for i in range(8)]  # every half second
    who = ["policy", "policy", "policy", "expert", "expert", "expert", "policy", "policy"]
    out = weights(ticks, who, Weighting(recovery=3, recovery_s=1.0, lapse=0.5, lapse_s=0.6))
    np.testing.assert_array_equal(out, [1, 1, 0.5, 3, 3, 1, 1, 1])


def test_an_episode_that_the_expert_drives_from_the_start_has_no_recovery():
    out = weights([0, 1, 2], ["expert"] * 3, Weighting(recovery=3))
    np.testing.assert_array_equal(out, [1, 1, 1])


def test_weights_below_zero_are_refused():
    with pytest.raises(ValueError, match="lapse must be"):
        Weighting(lapse=-1)
