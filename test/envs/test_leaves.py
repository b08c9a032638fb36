"""Spaces as streams: actions round trip exactly, observations become the numbers expected by hand."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from il_ros.core import contract as contracts
from il_ros.core.codecs import decode
from il_ros.envs.from_env import contract_of_spaces
from il_ros.envs.leaves import commanded_leaves, observed_leaves, to_action, to_numbers
from il_ros.envs.tasks import SpaceError

NESTED = spaces.Dict(
    {
        "arm": spaces.Dict({"joints": spaces.Box(-1, 1, (2, 2), np.float32), "grip": spaces.Discrete(3, start=-1)}),
        "legs": spaces.Tuple((spaces.MultiBinary(2), spaces.MultiDiscrete([2, 3], start=[5, 0]))),
        "level": spaces.Box(-3, 4, (), np.int32),
    }
)  # fmt: skip


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return np.asarray(one).dtype == np.asarray(other).dtype and np.array_equal(one, other)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-2.0, 2.0, (1,), np.float32),
        spaces.Box(np.array([0.0, -0.1]), np.array([1e-7, 0.3]), dtype=np.float64),
        spaces.Box(-5, 5, (2, 3), np.int8),
        spaces.Discrete(4),
        spaces.Discrete(4, start=-2),
        spaces.MultiDiscrete([[2, 3], [4, 5]]),
        spaces.MultiBinary((2, 2)),
        NESTED,
    ],
    ids=lambda space: type(space).__name__,
)
def test_an_action_is_the_same_after_numbers_and_back(space):
    space.seed(0)
    for _ in range(20):
        action = space.sample()
        numbers = to_numbers(space, action)
        assert list(numbers) == [leaf.key for leaf in commanded_leaves(space)]
        assert same(to_action(space, numbers), action)


def test_the_leaves_of_nested_spaces_have_names_and_quantities():
    found = {leaf.key: (leaf.topic, leaf.quantity, leaf.names) for leaf in commanded_leaves(NESTED)}
    assert found["arm_joints"] == ("action/arm_joints", "bounded", tuple(f"arm_joints_{i}" for i in range(4)))
    assert found["arm_grip"] == ("action/arm_grip", "choice", ("choice_0", "choice_1", "choice_2"))
    assert found["legs_0_1"][1:] == ("choice", ("off", "on"))
    assert found["legs_1_1"][1:] == ("choice", ("choice_0", "choice_1", "choice_2"))
    assert found["level"] == ("action/level", "bounded", ("level_0",))


def test_scores_choose_the_largest_and_whole_numbers_are_rounded():
    assert to_action(spaces.Discrete(3, start=1), {"action": np.array([0.2, 0.9, -4.0])}) == 2
    rounded = to_action(spaces.Box(-5, 5, (2,), np.int8), {"action": np.array([1.6, -0.4])})
    assert (rounded.tolist(), rounded.dtype) == ([2, 0], np.int8)


@pytest.mark.parametrize(
    ("space", "value", "expected"),
    [
        (spaces.Box(-9, 9, (2, 2), np.float32), np.array([[1, 2], [3, 0.5]], np.float32), [1, 2, 3, 0.5]),
        (spaces.Box(-9, 9, (), np.float64), np.float64(0.1), [0.1]),
        (spaces.Discrete(3), 1, [0, 1, 0]),
        (spaces.Discrete(3, start=5), np.int64(7), [0, 0, 1]),
        (spaces.MultiDiscrete([2, 3]), np.array([1, 0]), [0, 1, 1, 0, 0]),
        (spaces.MultiBinary(3), np.array([1, 0, 1], np.int8), [1, 0, 1]),
        (spaces.Box(0, 255, (7, 7, 3), np.uint8), np.full((7, 7, 3), 9, np.uint8), [9] * 147),
    ],
)
def test_an_observation_becomes_the_expected_numbers(space, value, expected):
    own = contract_of_spaces("made", space, spaces.Discrete(2), 10.0)
    (leaf,) = observed_leaves(space)
    assert decode(own.observations[0], leaf.message(value, 1)).tolist() == expected


@pytest.mark.parametrize("shape", [(40, 32, 3), (40, 32, 1), (40, 32)])
def test_a_picture_is_an_image_of_the_same_pixels(shape):
    space = spaces.Box(0, 255, shape, np.uint8)
    space.seed(1)
    value = space.sample()
    own = contract_of_spaces("made", space, spaces.Discrete(2), 10.0)
    (leaf,) = observed_leaves(space)
    assert own.observations[0].shape == (40, 32, 3 if shape[2:] == (3,) else 1)
    np.testing.assert_array_equal(
        decode(own.observations[0], leaf.message(value, 1)), value.reshape(40, 32, -1)
    )


def test_text_is_text():
    own = contract_of_spaces("made", spaces.Text(20), spaces.Discrete(2), 10.0)
    (leaf,) = observed_leaves(spaces.Text(20))
    assert decode(own.observations[0], leaf.message("fold it", 1)) == "fold it"


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Sequence(spaces.Discrete(2)), r"the observation space is Sequence.*; only Box, Discrete"),
        (spaces.Dict({"a": spaces.Graph(spaces.Discrete(2), None)}), r"the observation space\['a'\] is Graph"),
        (spaces.Box(0, 255, (4, 84, 84), np.uint8), r"\(4, 84, 84\), uint8\): a picture needs its channels last"),
        (spaces.Box(0, 255, (84, 84, 4), np.uint8), "a picture has 3 channels"),
        (spaces.Box(-1, 1, (400, 400), np.float32), "160000 numbers; 1 to 100000 are possible"),
        (spaces.Dict({"a b": spaces.Discrete(2), "a_b": spaces.Discrete(2)}), "two parts .* would have the key 'a_b'"),
        (spaces.Dict({}), "the space is empty"),
    ],
)  # fmt: skip
def test_an_observation_that_does_not_fit_is_refused_by_name(space, message):
    with pytest.raises(SpaceError, match=message):
        observed_leaves(space)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (spaces.Box(-np.inf, np.inf, (2,)), r"the action space is Box\(-inf, inf.*needs finite bounds"),
        (spaces.Text(3), "the action space is Text.*can be commanded"),
        (
            spaces.Dict({"x": spaces.Discrete(1)}),
            r"the action space\['x'\] is Discrete\(1\): a choice needs two",
        ),
        (spaces.Box(1.0, 1.0, (1,)), "each lower bound must be below the upper one"),
    ],
)
def test_an_action_that_does_not_fit_is_refused_by_name(space, message):
    with pytest.raises(SpaceError, match=message):
        commanded_leaves(space)


@pytest.mark.parametrize(
    ("space", "action", "message"),
    [
        (spaces.Discrete(3), 3, r"the action space is Discrete\(3\), which has no np.int64\(3\)"),
        (spaces.Discrete(3), 0.5, "which has no"),
        (spaces.Box(-1, 1, (2,)), np.zeros(3), r"not of shape \(3,\)"),
        (spaces.Dict({"a": spaces.Discrete(2)}), {"b": 0}, "has no 'a'"),
    ],
)
def test_an_action_of_another_space_is_refused(space, action, message):
    with pytest.raises(SpaceError, match=message):
        to_numbers(space, action)


def test_a_whole_number_that_would_be_rounded_is_an_error():
    (leaf,) = observed_leaves(spaces.Box(0, 2**62, (1,), np.int64))
    leaf.message(np.array([2**53]), 1)
    with pytest.raises(SpaceError, match=r"beyond 2\^53"):
        leaf.message(np.array([2**53 + 1]), 1)


@pytest.mark.parametrize(
    "name", ["Pendulum-v1", "CartPole-v1", "MountainCar-v0", "FrozenLake-v1", "Blackjack-v1"]
)
def test_every_contract_is_read_back_the_same(name):
    from il_ros.envs.from_env import contract_of

    with gymnasium.make(name) as env:
        own = contract_of(env)
    assert contracts.parse(own.text, "again") == own
    assert own.name == name


def test_bounds_are_exact_and_the_rate_is_said():
    space = spaces.Box(np.array([-0.1, -1e-5], np.float32), np.array([0.4, 1e-5], np.float32))
    own = contract_of_spaces("made", spaces.Box(-1, 1, (1,)), space, 12.5)
    assert own.actions[0].limits.lower == (float(np.float32(-0.1)), float(np.float32(-1e-5)))
    assert own.rate_hz == 12.5
    with gymnasium.make("Pendulum-v1") as env:
        from il_ros.envs.from_env import rate_of

        assert rate_of(env) == (20.0, "its time step is 0.05 s")
