"""Doubts of every kind on one scale, checked by hand."""

import numpy as np
import pytest

from il_ros.policies.uncertainty import UncertaintyModel, calibrate, distance, landmarks

ACTION = np.array([1.0, 2.0])


def episode(*ticks):
    """Return held-out ticks of (state, chunk, own doubt)."""
    return [(np.array(state, float), np.array(chunk, float), own) for state, chunk, own in ticks]


STILL = [[0.0, 0.0], [0.0, 0.0]]


def test_the_distance_is_that_to_the_nearest_shown_state():
    shown = np.array([[0.0, 0.0], [3.0, 4.0]], np.float32)
    assert distance(shown, np.array([0.0, 1.0])) == pytest.approx(np.sqrt(0.5))
    assert distance(shown, np.array([3.0, 4.0])) == 0.0


def test_landmarks_spread_over_what_was_shown_and_never_repeat():
    rng = np.random.default_rng(0)
    crowd = rng.normal(0.0, 0.01, (500, 2))
    far = np.array([[5.0, 0.0], [0.0, 5.0], [-5.0, 0.0]])
    chosen = landmarks(np.concatenate([crowd, far]), 4)
    assert all(distance(chosen, state) == 0.0 for state in far)  # one in the crowd, and all three far ones
    assert len(landmarks(np.zeros((10, 2)))) == 1


def test_one_is_what_a_twentieth_of_the_held_out_frames_exceeds():
    held_out = [episode(*(([0.0], STILL, own) for own in np.linspace(0.0, 1.0, 101)))]
    uncertainty_model = calibrate("own", np.zeros((1, 1)), held_out, ACTION)
    assert uncertainty_model.scale == pytest.approx(0.95)
    assert uncertainty_model.of(np.zeros(1), 1.9) == pytest.approx(2.0)
    by_distance = [episode(*(([x], STILL, None) for x in np.linspace(0.0, 2.0, 101)))]
    uncertainty_model = calibrate("distance", np.zeros((5, 1)), by_distance, ACTION)
    assert uncertainty_model.scale == pytest.approx(1.9)
    assert uncertainty_model.of(np.array([3.8]), 7.0) == pytest.approx(2.0)  # whatever the network says


def test_foresight_is_compared_from_one_tick_to_the_next_and_not_across_episodes():
    before, after = [[0.0, 0.0], [1.0, 1.0]], [[2.0, 3.0], [0.0, 0.0]]
    held_out = [episode(([0.0], before, None), ([0.0], after, None)), episode(([0.0], STILL, None))]
    uncertainty_model = calibrate("chunk", np.zeros((1, 1)), held_out, ACTION)
    assert uncertainty_model.scale == pytest.approx(1.0)  # (2 - 1) / 1 and (3 - 1) / 2
    assert uncertainty_model.of(np.zeros(1), 0.3) is None  # the caller knows the chunk before
    assert UncertaintyModel("chunk", 4.0).calibrated(2.0) == 0.5


def test_raw_is_what_the_network_says():
    assert calibrate("raw", np.zeros((1, 1)), [], ACTION).of(np.zeros(1), 0.25) == 0.25


@pytest.mark.parametrize(
    ("kind", "states", "said"),
    [
        ("own", np.zeros((1, 1)), "its network can't tell"),
        ("chunk", np.zeros((1, 1)), "chunks of 2 steps"),
        ("distance", np.empty((0, 0)), "needs numeric observations"),
    ],
)
def test_what_is_not_to_be_had_is_refused_by_name(kind, states, said):
    one_step = [episode(([0.0], [[0.0, 0.0]], None), ([0.0], [[0.0, 0.0]], None))]
    with pytest.raises(ValueError, match=said):
        calibrate(kind, states, one_step, ACTION)


def test_impossible_numbers_are_refused():
    for words in ({"kind": "mood"}, {"scale": 0.0}, {"kind": "distance"}, {"shown": np.array([[np.nan]])}):
        with pytest.raises(ValueError, match=r"doubt|states"):
            UncertaintyModel(**words)
