"""Uncertainty models, checked by hand."""

import numpy as np
import pytest

from il_ros.policies.disagreement import scaled
from il_ros.policies.uncertainty import (
    ChunkUse,
    HeldOut,
    PolicyAnswer,
    UncertaintyModel,
    UncertaintyScale,
    calibrate,
    distance,
    landmarks,
)

ACTION = scaled(np.array([1.0, 2.0]))


def answers(*ticks):
    """Return held-out ticks of (state, own uncertainty), whose chunks are still."""
    found = [(np.array(state, float), PolicyAnswer(np.zeros((2, 2)), own, 0.0)) for state, own in ticks]
    return HeldOut(found, {})


def pairs(**chunks):
    """Return held-out pairs of chunks; `ticks_2_committed_1`: those of this use."""
    uses = {ChunkUse(*(int(word) for word in name.split("_")[1::2])): found for name, found in chunks.items()}
    return HeldOut([], uses)


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
    held_out = answers(*(([0.0], own) for own in np.linspace(0.0, 1.0, 101)))
    uncertainty_model = calibrate("own", np.zeros((1, 1)), held_out, ACTION)
    assert uncertainty_model.scale == pytest.approx(0.95)
    assert uncertainty_model.of(np.zeros(1), 1.9) == pytest.approx(2.0)
    by_distance = answers(*(([x], None) for x in np.linspace(0.0, 2.0, 101)))
    uncertainty_model = calibrate("distance", np.zeros((5, 1)), by_distance, ACTION)
    assert uncertainty_model.scale == pytest.approx(1.9)
    assert uncertainty_model.of(np.array([3.8]), 7.0) == pytest.approx(2.0)  # independent of the network


def test_each_action_group_has_a_scale_of_its_own():
    found = [
        (np.zeros(1), PolicyAnswer(np.zeros((1, 2)), 1.0, 0.0, {"left": left, "right": 2 * left}))
        for left in np.linspace(0.0, 1.0, 101)
    ]
    model = calibrate("own", np.zeros((1, 1)), HeldOut(found, {}), ACTION)
    assert {group: model.scale_of(group) for group in ("left", "right", "all")} == {
        "left": pytest.approx(0.95),
        "right": pytest.approx(1.9),
        "all": 1.0,
    }
    assert model.of_groups({"left": 0.95, "right": 0.95}) == {
        "left": pytest.approx(1.0),
        "right": pytest.approx(0.5),
    }
    assert model.scale_of("base") == 1.0  # a group of a later contract has the scale of the whole


BEFORE, AFTER = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[2.0, 3.0], [0.0, 0.0]])
"""Apart by (2 - 1) / 1 and (3 - 1) / 2."""


def test_the_disagreement_of_chunks_is_left_to_the_caller():
    model = calibrate("chunk", np.zeros((1, 1)), pairs(ticks_1_committed_0=[(BEFORE, AFTER)]), ACTION)
    assert model.scale == pytest.approx(1.0)
    assert model.of(np.zeros(1), 0.3) is None  # the caller knows the chunk before
    assert UncertaintyModel("chunk", 4.0).of_chunks(BEFORE, 2 * AFTER, ChunkUse(), ACTION, {}) == (
        pytest.approx(np.sqrt((3**2 + 2.5**2) / 2) / 4),
        None,
    )


def test_the_disagreement_of_a_group_is_of_its_numbers():
    columns = {"left": np.array([0]), "right": np.array([1])}
    found = pairs(ticks_1_committed_0=[(BEFORE, np.array([[3.0, 2.0], [0.0, 0.0]]))])  # apart by 2 and 0.5
    model = calibrate("chunk", np.zeros((1, 1)), found, ACTION, columns)
    assert (model.scale_of("left"), model.scale_of("right")) == (2.0, 0.5)
    assert model.of_chunks(BEFORE, AFTER, ChunkUse(), ACTION, columns)[1] == {"left": 0.5, "right": 2.0}
    assert model.of_chunks(BEFORE, AFTER, ChunkUse(2), ACTION, columns) == (None, None)  # no overlap


def test_chunks_are_calibrated_as_they_are_used():
    """After one committed step, the second step of the second chunk is compared with the third of the first."""
    before = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    after = np.array(
        [[1.0, 0.0], [7.0, 0.0], [0.0, 0.0]]
    )  # apart by 0 and 5; without the committed step by 5
    found = pairs(ticks_1_committed_0=[(before, after)], ticks_1_committed_1=[(before, after)])
    model = calibrate("chunk", np.zeros((1, 1)), found, ACTION)
    assert model.scale_of(use=ChunkUse(1, 0)) == pytest.approx(np.sqrt(25 / 4))
    assert model.scale_of(use=ChunkUse(1, 1)) == pytest.approx(np.sqrt(25 / 2))
    assert model.of_chunks(before, after, ChunkUse(1, 1), ACTION, {})[0] == pytest.approx(1.0)


def test_the_scale_is_of_the_use_that_is_most_alike():
    scales = [(1, 0, 0.1), (1, 1, 0.2), (2, 0, 0.3), (2, 2, 0.4)]
    model = UncertaintyModel(
        "chunk", scales=tuple(UncertaintyScale(value, use=ChunkUse(a, b)) for a, b, value in scales)
    )
    asked = [(1, 0), (1, 3), (3, 0), (3, 3), (9, 1)]
    assert [model.scale_of(use=ChunkUse(*each)) for each in asked] == [0.1, 0.2, 0.3, 0.4, 0.3]


def test_raw_is_the_networks_own_uncertainty():
    model = calibrate("raw", np.zeros((1, 1)), HeldOut([], {}), ACTION)
    assert model.of(np.zeros(1), 0.25) == 0.25
    assert model.of_groups({"left": 0.25}) == {"left": 0.25}


@pytest.mark.parametrize(
    ("kind", "states", "message"),
    [
        ("own", np.zeros((1, 1)), "its network predicts none"),
        ("chunk", np.zeros((1, 1)), "horizon must be at least 2"),
        ("distance", np.empty((0, 0)), "needs numeric observations"),
    ],
)
def test_an_unavailable_kind_is_rejected_by_name(kind, states, message):
    one_step = HeldOut(answers(([0.0], None)).answers, {ChunkUse(): [(np.zeros((1, 2)), np.zeros((1, 2)))]})
    with pytest.raises(ValueError, match=message):
        calibrate(kind, states, one_step, ACTION)


def test_invalid_values_are_rejected():
    never, early = UncertaintyScale(0.0), UncertaintyScale(1.0, use=ChunkUse(0, 0))
    for words in (
        {"kind": "mood"},
        {"scale": 0.0},
        {"kind": "distance"},
        {"shown": np.array([[np.nan]])},
        {"scales": (never,)},
        {"scales": (early,)},
    ):
        with pytest.raises(ValueError, match=r"uncertainty|states|ticks must be 1 or more"):
            UncertaintyModel(**words)
