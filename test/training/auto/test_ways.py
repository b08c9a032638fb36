"""Whether demonstrations show several ways: found where there are, and few false alarms."""

import dataclasses
import math

import gaps
import made_arrays as made
import numpy as np
import pytest

from il_ros.core import contract
from il_ros.training.auto import ways
from il_ros.training.auto.ways import find_ways, gap_p_value, resampled, separated, told_by


@pytest.mark.parametrize(
    ("count", "shares", "aside", "found"),
    [
        (2, (0.5, 0.5), 0.0, (20, 20)),
        (2, (0.5, 0.5), 0.2, (20, 20)),  # starts 0.2 m to either side, as likely for both ways
        (3, (1 / 3, 1 / 3, 1 / 3), 0.05, (20, 20, 20)),
        (2, (0.9, 0.1), 0.0, (36, 4)),
        (2, (1.0, 0.0), 0.2, None),
    ],
)
def test_ways_around_an_obstacle_are_counted_and_one_way_is_none(count, shares, aside, found):
    shown, _ = gaps.demonstrations(count, shares, 60 if count == 3 else 40, seed=3, aside=aside)
    several = find_ways(shown.contract, shown.train)
    assert (several and several.counts) == found
    if several is not None:
        assert several.p_value <= ways.LEVEL
        assert several.sentence.startswith(f"from like starts the episodes do it in {count} ways, ")


def test_a_way_that_the_start_tells_is_none():
    """Round the nearer side: two groups of paths, as far apart as two ways, by the sign of the start's y."""
    shown, _ = gaps.demonstrations(2, (0.5, 0.5), 60, seed=1, aside=0.2)
    nearer = [
        episode
        for episode in shown.train
        if episode.observations["point"][0, 1] * episode.observations["point"][11, 1] > 0
    ]
    assert 20 < len(nearer) < 40
    assert find_ways(shown.contract, nearer) is None


def test_too_few_episodes_and_a_way_of_three_say_nothing():
    shown, _ = gaps.demonstrations(2, (0.5, 0.5), 40, seed=0)
    assert find_ways(shown.contract, shown.train[: ways.LEAST_EPISODES - 1]) is None
    left = [one for one in shown.train if one.observations["point"][11, 1] > 0]
    right = [one for one in shown.train if one.observations["point"][11, 1] < 0]
    assert find_ways(shown.contract, [*left, *right[:3]]) is None
    several = find_ways(shown.contract, [*left, *right[:4]])
    assert several is not None
    assert several.counts == (20, 4)


def test_unrelated_inputs_do_not_hide_the_ways_and_chosen_inputs_count_only():
    rng = np.random.default_rng(0)
    own = contract.parse(
        """
name: more
rate_hz: 10
observations:
  point: {topic: point, type: std_msgs/msg/Float64MultiArray, names: [x, y], unit: m, max_age_s: 1}
  other: {topic: other, type: std_msgs/msg/Float64MultiArray, names: [z], unit: m, max_age_s: 1}
actions:
  step: {topic: step, type: std_msgs/msg/Float64MultiArray, names: [x, y], quantity: bounded,
         limits: {lower: -0.1, upper: 0.1}}
""",
        "more",
    )
    shown, _ = gaps.demonstrations(2, (0.5, 0.5), 40, seed=0)
    episodes = [
        dataclasses.replace(
            one,
            observations={**one.observations, "other": np.repeat(rng.uniform(-1, 1, (1, 1)), len(one), 0)},
        )
        for one in shown.train
    ]
    assert find_ways(own, episodes) is not None
    assert find_ways(own, episodes, ["other"]) is None
    lacking = [
        dataclasses.replace(one, observations={"point": one.observations["point"]}) for one in episodes
    ]
    assert find_ways(own, [*episodes[:30], *lacking[30:]]) is not None
    assert find_ways(own, lacking, ["other"]) is None  # no episode has it
    assert find_ways(made.WITH_CAMERA, [made.episode(n) for n in range(12)], ["camera"]) is None


def test_a_gap_is_as_probable_as_the_largest_spacing_of_even_numbers():
    # two numbers between 0 and 1 leave three spacings; that one exceeds g > 1/2 has the probability 3 (1 - g)^2
    assert gap_p_value(0.6, 4) == pytest.approx(3 * 0.4**2)
    assert gap_p_value(0.2, 4) == 1.0  # one of three spacings is always larger than a fifth
    draws = np.sort(np.random.default_rng(0).uniform(size=(20_000, 10)), axis=1)
    largest = np.diff(draws, axis=1).max(axis=1) / np.ptp(draws, axis=1)
    for gap in (0.3, 0.4):
        share = float((largest >= gap).mean())
        assert gap_p_value(gap, 10) == pytest.approx(share, abs=4 * math.sqrt(share / 20_000))


def test_scores_with_one_peak_are_one_group_in_all_but_a_few_draws():
    rng = np.random.default_rng(0)
    for draw in (rng.normal, rng.uniform, rng.laplace):
        found = [separated(draw(size=25))[1] <= ways.LEVEL for _ in range(400)]
        assert np.mean(found) <= 0.01, draw
    groups, p_value = separated(np.concatenate([rng.normal(0, 1, 12), rng.normal(12, 1, 8)]))
    assert (groups == [0] * 12 + [1] * 8).all()
    assert p_value <= ways.LEVEL
    assert separated(np.zeros(20))[1] == 1.0


def test_starts_tell_groups_by_a_side_a_threshold_or_a_neighbour_and_not_by_chance():
    rng = np.random.default_rng(0)
    starts = rng.uniform(-1, 1, (40, 5))
    assert told_by(starts, (starts[:, 2] > 0).astype(int))
    assert told_by(starts, (starts @ [1, -1, 1, 0, 0] > 0).astype(int))
    assert told_by(starts[:, :2], ((starts[:, :2] > 0).sum(axis=1) == 1).astype(int))  # a chequerboard
    by_chance = [told_by(starts, rng.permutation([0] * 20 + [1] * 20)) for _ in range(50)]
    assert np.mean(by_chance) < 0.2
    assert not told_by(np.zeros((40, 5)), (starts[:, 2] > 0).astype(int))


def test_a_path_is_resampled_at_equal_distances_however_fast_it_was():
    path = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [3.0, 1.0]])
    np.testing.assert_allclose(resampled(path, 5), [[0, 0], [1, 0], [2, 0], [3, 0], [3, 1]])
    np.testing.assert_allclose(resampled(path[:2], 3), np.zeros((3, 2)))
