"""Asking for help: hysteresis, HG-DAgger's learnt threshold, and a budget that is never overdrawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.interactive.gates import HOUR_S, AttentionBudget, DoubtGate, InterventionThreshold

S = 1_000_000_000


def test_asks_above_the_upper_and_is_satisfied_only_below_the_lower_threshold():
    gate = DoubtGate(ask=1.0, release=0.4)
    states, was = [], False
    for doubt in [0.9, 1.1, 0.9, 0.5, 0.39, 0.9, 1.0]:
        was = gate.doubtful(doubt, was)
        states.append(was)
    assert states == [False, True, True, True, False, False, False]


def test_no_doubt_is_no_request_and_nonsense_is_one():
    gate = DoubtGate(ask=1.0, release=0.4)
    assert not gate.doubtful(None, was=True)
    assert gate.doubtful(float("nan"), was=False)
    assert gate.doubtful(float("inf"), was=False)


def test_thresholds_the_wrong_way_round_are_refused():
    with pytest.raises(ValueError, match="release <= ask"):
        DoubtGate(ask=0.4, release=1.0)


def test_threshold_is_the_mean_of_the_last_quarter_of_interventions():
    threshold = InterventionThreshold()
    assert threshold.value is None
    for doubt in [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]:
        threshold.intervened(doubt)
    assert threshold.value == 1.5  # the last two of eight
    with pytest.raises(ValueError, match="finite number"):
        threshold.intervened(float("nan"))


def test_one_intervention_is_a_quarter_too():
    threshold = InterventionThreshold()
    threshold.intervened(0.25)
    assert threshold.value == 0.25


def test_the_budget_refills_an_hour_after_each_request():
    budget = AttentionBudget(per_hour=2, rate_hz=10)
    budget.spend(0)
    budget.spend(10 * S)
    assert budget.left(20 * S) == 0
    with pytest.raises(ValueError, match="budget of 2 requests an hour is spent"):
        budget.spend(20 * S)
    assert budget.left(int(HOUR_S) * S) == 1
    assert budget.left(int(HOUR_S + 10) * S) == 2


def test_threshold_leaves_the_budgets_share_of_ticks_above_it():
    # 36 requests of 10 ticks in an hour of 3600 ticks: a tenth of them
    budget = AttentionBudget(per_hour=36, rate_hz=1, ticks_per_request=10)
    assert budget.threshold() is None
    for doubt in np.random.default_rng(0).permutation(100):
        budget.saw(float(doubt))
    above = [doubt for doubt in range(100) if doubt > budget.threshold()]
    assert above == list(range(90, 100))


@given(st.lists(st.integers(0, 3 * 3600), min_size=1, max_size=200), st.integers(1, 20))
def test_no_hour_ever_holds_more_requests_than_the_budget(times, per_hour):
    budget = AttentionBudget(per_hour, rate_hz=10)
    spent = []
    for time in sorted(times):
        if budget.left(time * S) > 0:
            budget.spend(time * S)
            spent.append(time)
    for start in spent:
        assert sum(start <= time < start + 3600 for time in spent) <= per_hour
