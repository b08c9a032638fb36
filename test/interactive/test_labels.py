"""How much each label counts."""

import numpy as np
import pytest

from il_ros.interactive.labels import Weighting, weights


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
