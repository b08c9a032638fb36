"""Normalisation and its inverse."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from il_ros.policies.normaliser import Affine, Normaliser, fit_actions, fit_depth, fit_state

FINITE = st.floats(-1e6, 1e6)


@given(arrays(float, (5, 3), elements=FINITE))
def test_restore_undoes_normalise_whatever_it_was_fitted_on(values):
    for affine in (
        fit_state(values, ("a", "a", "b")),
        fit_actions(values, "min_max", np.array([2.0, np.inf, 1.0])),
        fit_actions(values, "std", np.array([2.0, np.inf, 1.0])),
    ):
        np.testing.assert_allclose(affine.restore(affine.normalise(values)), values, atol=1e-6)


def test_state_gets_mean_zero_and_deviation_one():
    affine = fit_state(np.array([[1.0], [3.0]]), ("a",))  # mean 2, deviation 1
    np.testing.assert_array_equal(affine.normalise(np.array([[1.0], [2.0], [5.0]])), [[-1], [0], [3]])


def test_a_constant_feature_is_only_centred():
    affine = fit_state(np.full((10, 1), 0.3), ("a",))
    np.testing.assert_allclose(affine.normalise(np.array([0.301])), [0.001], atol=1e-9)


def test_a_nearly_constant_feature_is_scaled_by_its_group():
    values = np.array([[0.0, 0.0, 0.0], [2.0, 2e-4, 2e-4]])  # deviations 1, 1e-4, 1e-4
    scale = fit_state(values, ("position", "position", "other")).scale
    np.testing.assert_allclose(scale, [1.0, 0.1, 1e-4])


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


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_that_is_not_invertible_is_rejected(scale):
    with pytest.raises(ValueError, match="scale above 0"):
        Affine(np.zeros(1), np.array([scale]))
