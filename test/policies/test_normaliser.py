"""Normalisation and its inverse."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from il_ros.policies.normaliser import (
    Affine,
    Normaliser,
    ShownRange,
    extended,
    fit_actions,
    fit_depth,
    fit_shown,
    fit_state,
    noise_floors,
)

FINITE = st.floats(-1e6, 1e6)


@given(arrays(float, (5, 3), elements=FINITE))
def test_restore_undoes_normalise_whatever_it_was_fitted_on(values):
    for affine in (
        fit_state(values, ("a", "a", "b"), np.full(3, 1e-3)),
        fit_actions(values, "min_max", np.array([2.0, np.inf, 1.0])),
        fit_actions(values, "std", np.array([2.0, np.inf, 1.0])),
    ):
        np.testing.assert_allclose(affine.restore(affine.normalise(values)), values, atol=1e-6)


def test_state_gets_mean_zero_and_deviation_one():
    affine = fit_state(np.array([[1.0], [3.0]]), ("a",), np.zeros(1))  # mean 2, deviation 1
    np.testing.assert_array_equal(affine.normalise(np.array([[1.0], [2.0], [5.0]])), [[-1], [0], [3]])


def test_a_constant_feature_is_only_centred():
    affine = fit_state(np.full((10, 1), 0.3), ("a",), np.zeros(1))
    np.testing.assert_allclose(affine.normalise(np.array([0.301])), [0.001], atol=1e-9)


def test_a_nearly_constant_feature_is_scaled_by_its_group():
    values = np.array([[0.0, 0.0, 0.0], [2.0, 2e-4, 2e-4]])  # deviations 1, 1e-4, 1e-4
    scale = fit_state(values, ("position", "position", "other"), np.zeros(3)).scale
    np.testing.assert_allclose(scale, [1.0, 0.1, 1e-4])


def test_noise_is_scaled_by_the_noise_floor_of_its_unit():
    values = np.array([[0.4, 9.81, 0.0], [0.40002, 9.81002, 0.0]])  # deviations 1e-5, 1e-5, 0
    floors = noise_floors(values, ("m", "", "N"))
    np.testing.assert_allclose(floors, [1e-3, 9.81002e-3, 0.1])  # a thousandth of 9.81002 without a unit
    np.testing.assert_allclose(fit_state(values, tuple("abc"), floors).scale, floors)


# two features: the first moved from 0 to 2 m, the second stood at 0.4 m
SEEN = np.array([[0.0, 0.4], [2.0, 0.4]])
UNITS = ("m", "m")


def fitted(values, groups=("position", "goal"), margin=1.0):
    floors = noise_floors(values, UNITS)
    state = fit_state(values, groups, floors)
    return Normaliser(state, Affine(np.zeros(1), np.ones(1)), {}, fit_shown(values, floors, margin))


def test_inputs_are_clipped_to_what_was_shown_and_the_margin_beyond():
    normaliser = fitted(SEEN)  # mean 1 and deviation 1: up to 2 + 1 m, 2 deviations from the mean
    np.testing.assert_allclose(normaliser.inputs(np.array([2.5, 0.4])), [1.5, 0.0])
    np.testing.assert_allclose(normaliser.inputs(np.array([9.0, 0.41])), [2.0, 0.0])
    np.testing.assert_allclose(normaliser.inputs(np.array([[-9.0, 0.3]])), [[-2.0, 0.0]])
    assert fitted(SEEN).shown.still.tolist() == [False, True]


def test_the_excess_is_the_distance_beyond_range_and_noise_floor_in_scales():
    normaliser = fitted(SEEN)
    assert normaliser.excess(np.array([2.9, 0.4009])).tolist() == [0, 0]
    # 5 m is 2 m beyond the margin, less 0.001; 0.41 m is 0.01 beyond, less 0.001, in scales of 0.001 m
    np.testing.assert_allclose(normaliser.excess(np.array([5.0, 0.41])), [1.999, 9.0])


def test_a_normaliser_without_a_range_clips_nothing():
    normaliser = Normaliser(Affine(np.zeros(1), np.ones(1)), Affine(np.zeros(1), np.ones(1)))
    assert normaliser.inputs(np.array([1e6])) == 1e6
    assert normaliser.excess(np.array([1e6])) == 0
    assert "shown" not in normaliser.to_plain()
    assert extended(normaliser, np.array([[5.0]]), ("a",), 1.0) is normaliser


def test_further_training_widens_the_range_and_keeps_what_the_weights_depend_on():
    before = fitted(SEEN)
    after = extended(before, np.array([[-2.0, 0.4], [2.0, 0.4]]), ("position", "goal"), 1.0)
    np.testing.assert_array_equal(after.state.centre, before.state.centre)
    np.testing.assert_array_equal(after.state.scale, before.state.scale)
    np.testing.assert_allclose(after.shown.lower, [-4.0, 0.4])  # deviation 2 below -2; 0.4 as before
    np.testing.assert_allclose(after.shown.upper, [4.0, 0.4])
    assert after.shown.still.tolist() == [False, True]


def test_a_feature_that_begins_to_move_gets_a_scale_that_fits():
    before = fitted(SEEN)
    after = extended(before, np.array([[1.0, 0.1], [1.0, 0.7]]), ("position", "goal"), 1.0)
    np.testing.assert_allclose(after.state.scale, [1.0, 0.3])  # 0.3 m about the former value
    np.testing.assert_allclose(after.inputs(np.array([1.0, 0.4])), before.inputs(np.array([1.0, 0.4])))
    np.testing.assert_allclose(after.shown.lower, [-1.0, -0.2])
    assert not after.shown.still.any()


def test_a_feature_that_stands_elsewhere_now_has_moved():
    after = extended(fitted(SEEN), np.array([[1.0, 0.7], [1.0, 0.7]]), ("position", "goal"), 1.0)
    np.testing.assert_allclose(after.state.scale, [1.0, 0.3])
    assert not after.shown.still.any()


@given(arrays(float, (4, 2), elements=FINITE), arrays(float, 2, elements=FINITE))
def test_no_input_is_farther_from_the_shown_values_than_the_margin(values, now):
    normaliser = fitted(values, margin=0.5)
    shown = normaliser.state.normalise(values)
    beyond = 0.5 * values.std(axis=0) / normaliser.state.scale + 1e-6
    clipped = normaliser.inputs(now)
    assert (clipped >= shown.min(axis=0) - beyond).all()
    assert (clipped <= shown.max(axis=0) + beyond).all()
    np.testing.assert_array_equal(normaliser.inputs(values), shown)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lower": np.zeros(3)}, "one length"),
        ({"still": np.zeros(2)}, "one length"),
        ({"lower": np.array([2.0, 0.0])}, "lower <= upper"),
        ({"upper": np.array([np.nan, 1.0])}, "finite"),
        ({"floor": np.array([-1.0, 1.0])}, "floor >= 0"),
    ],
)
def test_an_invalid_range_is_rejected(changes, said):
    right = {"lower": np.zeros(2), "upper": np.ones(2), "floor": np.ones(2), "still": np.zeros(2, bool)}
    with pytest.raises(ValueError, match=said):
        ShownRange(**{**right, **changes})
    with pytest.raises(ValueError, match="shown has 2 features, but state has 1"):
        Normaliser(Affine(np.zeros(1), np.ones(1)), Affine(np.zeros(1), np.ones(1)), {}, ShownRange(**right))


def test_actions_are_brought_to_between_minus_one_and_one():
    affine = fit_actions(np.array([[0.0], [0.5], [4.0]]), "min_max", np.array([10.0]))
    np.testing.assert_array_equal(affine.normalise(np.array([[0.0], [2.0], [4.0]])), [[-1], [0], [1]])


def test_a_constant_action_is_scaled_by_a_thousandth_of_its_range():
    affine = fit_actions(np.array([[0.05], [0.05]]), "min_max", np.array([0.08]))
    np.testing.assert_allclose(affine.restore(np.array([[-1.0], [1.0]])), [[0.04992], [0.05008]])


def test_depth_is_fitted():
    assert fit_depth(np.array([1.0, 3.0]).reshape(2, 1, 1, 1)) == (2.0, 1.0)


def test_json_keeps_every_bit():
    affine = Affine(np.array([0.1, 1 / 3]), np.array([np.pi, 1e-9]))
    normaliser = Normaliser(affine, affine, {"camera": (127.5, 63.75)})
    back = Normaliser.from_plain(json.loads(json.dumps(normaliser.to_plain())))
    np.testing.assert_array_equal(back.state.centre, affine.centre)
    np.testing.assert_array_equal(back.actions.scale, affine.scale)
    assert back.images == {"camera": (127.5, 63.75)}
    shown = Normaliser.from_plain(json.loads(json.dumps(fitted(SEEN / 3).to_plain()))).shown
    assert shown.to_plain() == fitted(SEEN / 3).shown.to_plain()


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_not_invertible_is_rejected(scale):
    with pytest.raises(ValueError, match="scale above 0"):
        Affine(np.zeros(1), np.array([scale]))


def test_quantiles_leave_outliers_out_of_the_scale_and_are_undone():
    # 0, 1, ..., 100 and one at 5000: the 1 % and 99 % quantiles of 102 numbers lie at 1.01 and 99.99
    values = np.array([*range(101), 5000.0])[:, None]
    affine = fit_actions(values, "quantile", np.array([np.inf]))
    assert affine.normalise(np.array([1.01])) == pytest.approx(-1.0)
    assert affine.normalise(np.array([99.99])) == pytest.approx(1.0)
    np.testing.assert_allclose(affine.restore(affine.normalise(values)), values, atol=1e-12)


def test_a_number_that_seldom_or_never_moves_keeps_its_whole_range():
    # a gripper that closes in one frame of 200, a joint that stands still, and one without a label in some frames
    gripper = np.zeros(200)
    gripper[7] = 0.08
    joint = np.where(np.arange(200) < 50, np.nan, np.linspace(-1, 1, 200))
    affine = fit_actions(
        np.stack([gripper, np.full(200, 0.3), joint], axis=1), "quantile", np.array([0.08, 2.0, np.inf])
    )
    np.testing.assert_allclose(affine.centre[:2], [0.04, 0.3])
    np.testing.assert_allclose(affine.scale[:2], [0.04, 0.002])  # a thousandth of the range of 2
    low, high = np.quantile(joint[50:], [0.01, 0.99])
    assert (affine.centre[2], affine.scale[2]) == pytest.approx(((low + high) / 2, (high - low) / 2))
