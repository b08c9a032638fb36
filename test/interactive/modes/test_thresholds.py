"""Hysteresis of the trigger, HG-DAgger's learnt threshold, and a budget that is never exceeded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.interactive.modes.thresholds import (
    HOUR_S,
    AttentionBudget,
    AttentionHistory,
    InterventionThreshold,
    UncertaintyTrigger,
    requests_left,
)

S = 1_000_000_000


def test_fires_above_the_upper_threshold_and_stops_only_below_the_lower_one():
    trigger = UncertaintyTrigger(ask=1.0, release=0.4)
    states, fired = [], False
    for uncertainty in [0.9, 1.1, 0.9, 0.5, 0.39, 0.9, 1.0]:
        fired = trigger.fires(uncertainty, fired)
        states.append(fired)
    assert states == [False, True, True, True, False, False, False]


def test_unknown_uncertainty_does_not_fire_and_nan_or_infinity_does():
    trigger = UncertaintyTrigger(ask=1.0, release=0.4)
    assert not trigger.fires(None, fired=True)
    assert trigger.fires(float("nan"), fired=False)
    assert trigger.fires(float("inf"), fired=False)


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="release <= ask"):
        UncertaintyTrigger(ask=0.4, release=1.0)


def test_threshold_is_the_mean_of_the_last_quarter_of_interventions():
    threshold = InterventionThreshold()
    assert threshold.value is None
    for uncertainty in [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]:
        threshold.intervened(uncertainty)
    assert threshold.value == 1.5  # the last two of eight
    with pytest.raises(ValueError, match="finite number"):
        threshold.intervened(float("nan"))


def test_one_intervention_gives_a_threshold():
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


def test_the_budgets_share_of_ticks_lies_above_the_threshold():
    # 36 requests of 10 ticks in an hour of 3600 ticks: a tenth of them
    budget = AttentionBudget(per_hour=36, rate_hz=1, ticks_per_request=10)
    assert budget.threshold() is None
    for uncertainty in np.random.default_rng(0).permutation(100):
        budget.observe(float(uncertainty))
    above = [uncertainty for uncertainty in range(100) if uncertainty > budget.threshold()]
    assert above == list(range(90, 100))


def test_the_budget_is_ready_after_the_warm_up_and_enough_ticks_for_the_quantile():
    def ready_after(**options):
        budget, ticks = AttentionBudget(rate_hz=10, **options), 0
        while not budget.ready:
            budget.observe(0.5)
            ticks += 1
        return ticks

    assert ready_after(per_hour=36, warm_up_s=20.0) == 200
    assert ready_after(per_hour=36, warm_up_s=0.0) == 50  # 36 requests of 20 ticks: 1 tick in 50
    assert ready_after(per_hour=3600, warm_up_s=500.0) == 5000  # more than are stored


def test_the_bucket_refills_evenly():
    # 2 at once, 10 more in the hour: one every 360 s
    made = [0, 0]
    left = [requests_left(made, at_s * S, per_hour=12, at_once=2) for at_s in (0, 180, 360, 720, 3000)]
    np.testing.assert_allclose(left, [0, 0.5, 1, 2, 2])


def test_the_bucket_refills_between_requests():
    # one every 360 s: 1 left at 0, 1.5 at 180, spent; 1.5 at 540, spent; 0.5
    assert requests_left([0, 180 * S, 540 * S], 540 * S, per_hour=12, at_once=2) == pytest.approx(0.5)


def test_a_burst_of_the_whole_budget_is_allowed_again_an_hour_later():
    budget = AttentionBudget(per_hour=3, rate_hz=10, at_once=5)
    for _ in range(3):
        budget.spend(0)
    assert budget.left(3599 * S) == 0
    assert budget.left(3600 * S) == 3


def test_after_the_clock_is_set_back_requests_count_as_made_now():
    budget = AttentionBudget(per_hour=2, rate_hz=10)
    budget.spend(9000 * S)
    budget.spend(9000 * S)
    assert budget.left(10 * S) == 0
    assert budget.left(3609 * S) == 0
    assert budget.left(3610 * S) == 2


@given(st.lists(st.integers(0, 3 * 3600), min_size=1, max_size=200), st.integers(1, 20), st.integers(1, 5))
def test_no_span_has_more_requests_than_the_budget_allows(times, per_hour, at_once):
    budget, hold = AttentionBudget(per_hour, rate_hz=10, at_once=at_once), min(at_once, per_hour)
    spent = []
    for time in sorted(times):
        if budget.left(time * S) > 0:
            budget.spend(time * S)
            spent.append(time)
    for first, start in enumerate(spent):
        for more, end in enumerate(spent[first:], start=1):
            if end - start < HOUR_S:
                assert more <= hold + (per_hour - hold) * (end - start) / HOUR_S + 1e-6


@given(st.lists(st.integers(0, 3 * 3600), min_size=1, max_size=200), st.integers(1, 20))
def test_no_hour_has_more_requests_than_the_budget(times, per_hour):
    budget = AttentionBudget(per_hour, rate_hz=10, attention=AttentionHistory())
    spent = []
    for time in sorted(times):
        if budget.left(time * S) > 0:
            budget.spend(time * S)
            spent.append(time)
    for start in spent:
        assert sum(start <= time < start + 3600 for time in spent) <= per_hour
