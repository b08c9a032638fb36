"""Uncertainty models, checked by hand."""

import numpy as np
import pytest

from il_ros.policies.disagreement import scaled
from il_ros.policies.uncertainty import UncertaintyModel, calibrate, distance, landmarks

ACTION = scaled(np.array([1.0, 2.0]))


def episode(*ticks):
    """Return held-out ticks of (state, chunk, own uncertainty)."""
    return [(np.array(state, float), np.array(chunk, float), own) for state, chunk, own in ticks]


STILL = [[0.0, 0.0], [0.0, 0.0]]


def test_distance_is_to_the_nearest_demonstrated_state():
    shown = np.array([[0.0, 0.0], [3.0, 4.0]], np.float32)
    assert distance(shown, np.array([0.0, 1.0])) == pytest.approx(np.sqrt(0.5))
    assert distance(shown, np.array([3.0, 4.0])) == 0.0


def test_landmarks_cover_the_demonstrations_without_repetition():
    rng = np.random.default_rng(0)
    crowd = rng.normal(0.0, 0.01, (500, 2))
    far = np.array([[5.0, 0.0], [0.0, 5.0], [-5.0, 0.0]])
    chosen = landmarks(np.concatenate([crowd, far]), 4)
    assert all(distance(chosen, state) == 0.0 for state in far)  # one in the crowd, and all three far ones
    assert len(landmarks(np.zeros((10, 2)))) == 1


def test_five_percent_of_held_out_frames_exceed_one():
    held_out = [episode(*(([0.0], STILL, own) for own in np.linspace(0.0, 1.0, 101)))]
    uncertainty_model = calibrate("own", np.zeros((1, 1)), held_out, ACTION)
    assert uncertainty_model.scale == pytest.approx(0.95)
    assert uncertainty_model.of(np.zeros(1), 1.9) == pytest.approx(2.0)
    by_distance = [episode(*(([x], STILL, None) for x in np.linspace(0.0, 2.0, 101)))]
    uncertainty_model = calibrate("distance", np.zeros((5, 1)), by_distance, ACTION)
    assert uncertainty_model.scale == pytest.approx(1.9)
    assert uncertainty_model.of(np.array([3.8]), 7.0) == pytest.approx(2.0)  # independent of the network


def test_chunks_are_compared_within_episodes_only():
    before, after = [[0.0, 0.0], [1.0, 1.0]], [[2.0, 3.0], [0.0, 0.0]]
    held_out = [episode(([0.0], before, None), ([0.0], after, None)), episode(([0.0], STILL, None))]
    uncertainty_model = calibrate("chunk", np.zeros((1, 1)), held_out, ACTION)
    assert uncertainty_model.scale == pytest.approx(1.0)  # (2 - 1) / 1 and (3 - 1) / 2
    assert uncertainty_model.of(np.zeros(1), 0.3) is None  # the caller knows the chunk before
    assert UncertaintyModel("chunk", 4.0).calibrated(2.0) == 0.5


def test_raw_is_the_networks_own_uncertainty():
    assert calibrate("raw", np.zeros((1, 1)), [], ACTION).of(np.zeros(1), 0.25) == 0.25


@pytest.mark.parametrize(
    ("kind", "states", "message"),
    [
        ("own", np.zeros((1, 1)), "its network predicts none"),
        ("chunk", np.zeros((1, 1)), "horizon must be at least 2"),
        ("distance", np.empty((0, 0)), "needs numeric observations"),
    ],
)
def test_an_unavailable_kind_is_rejected_by_name(kind, states, message):
    one_step = [episode(([0.0], [[0.0, 0.0]], None), ([0.0], [[0.0, 0.0]], None))]
    with pytest.raises(ValueError, match=message):
        calibrate(kind, states, one_step, ACTION)


def test_invalid_values_are_rejected():
    for words in ({"kind": "mood"}, {"scale": 0.0}, {"kind": "distance"}, {"shown": np.array([[np.nan]])}):
        with pytest.raises(ValueError, match=r"uncertainty|states"):
            UncertaintyModel(**words)
