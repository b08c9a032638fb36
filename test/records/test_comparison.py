"""Paired comparison: exact tests by hand, and a sequential test that may be looked at after each pair."""

import numpy as np
import pytest

from il_ros.records.comparison import LEVEL, PairedComparison, corrected


def test_only_pairs_that_differ_count():
    made = PairedComparison.of("a", "b", [(0, 1), (1, 1), (0, 0), (1, 0), (0, 1)])
    assert (made.wins, made.losses, made.signs, made.better) == (2, 1, (1, 0, 0, -1, 1), "b")
    # at least two of three heads: 4 of 8, twice
    assert made.p_value == 1.0


def test_the_sign_test_by_hand():
    # at least nine of ten heads: (10 + 1) / 1024, both ways
    assert PairedComparison("a", "b", (1,) * 9 + (-1,)).p_value == pytest.approx(22 / 1024)
    assert PairedComparison("a", "b", (-1,) * 9 + (1,)).p_value == pytest.approx(22 / 1024)
    assert PairedComparison("a", "b", (0, 0)).p_value == 1.0


def test_the_sequential_p_value_by_hand():
    # after n wins: 2 * integral of (2q)^n over 1/2..1 = (2^(n+1) - 1) / (n+1); 7 wins: 255 / 8
    made = PairedComparison("a", "b", (1,) * 7)
    wealth = [(2 ** (n + 1) - 1) / (n + 1) for n in range(1, 8)]
    np.testing.assert_allclose(made.sequential_p_values, np.minimum(1, 2 / np.array(wealth)))
    # a loss, then a win: 2 * integral of 4 q (1 - q) over 1/2..1 = 2/3 either way; p stays at what it was
    assert PairedComparison("a", "b", (1, -1)).sequential_p_value == 1.0


def test_it_is_the_integral_also_after_many_pairs():
    q = (np.arange(200_000) + 0.5) / 400_000 + 0.5
    integral = 2 * np.mean((2 * q) ** 60 * (2 * (1 - q)) ** 25) / 2
    made = PairedComparison("a", "b", (-1,) * 25 + (1,) * 60)
    assert made.sequential_p_value == pytest.approx(min(2 / integral, made.sequential_p_values[-2]), rel=1e-4)


def test_the_sentence_names_the_better_one_and_the_pairs_it_took():
    made = PairedComparison("v1", "v2", (1,) * 8 + (0,) * 3)
    assert made.decided_after() == 8  # 2 * 9 / 511 = 0.035
    assert made.sentence() == "v2 is better than v1, p = 0.035, after 8 pairs"
    assert (
        PairedComparison("v1", "v2", (-1,) * 8).sentence() == "v1 is better than v2, p = 0.035, after 8 pairs"
    )
    assert (
        PairedComparison("v1", "v2", (0,)).sentence()
        == "no difference of v1 and v2 is shown by 1 pair, p = 1"
    )


def test_equal_policies_are_told_apart_in_at_most_a_share_of_the_level_however_long_one_looks():
    """With LEVEL 0.05 and 300 runs, more than 28 false findings have a chance below 0.1 % if the rate is 0.05."""
    rng = np.random.default_rng(1)
    false = sum(
        PairedComparison("a", "b", tuple(rng.choice((-1, 1), 100).tolist())).decided_after() is not None
        for _ in range(300)
    )
    assert 0 < false <= 28
    assert LEVEL == 0.05


def test_a_real_difference_is_found():
    rng = np.random.default_rng(2)
    found = [
        PairedComparison("a", "b", tuple(rng.choice((-1, 1), 200, p=(0.2, 0.8)).tolist())).decided_after()
        for _ in range(100)
    ]
    assert None not in found
    assert 10 < np.median(found) < 40


def test_p_values_are_corrected_for_their_number():
    # 0.01 * 3, 0.02 * 2 (at least the one before), 0.5 * 1
    assert corrected([0.5, 0.01, 0.02]) == [0.5, 0.03, 0.04]
    assert corrected([0.6, 0.6]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("signs", "problem"), [((), "no pair of trials of a and b"), ((2,), "signs must be -1, 0")]
)
def test_invalid_pairs_are_refused(signs, problem):
    with pytest.raises(ValueError, match=problem):
        PairedComparison("a", "b", signs)
