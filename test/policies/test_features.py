"""Conversion of observations to network inputs."""

import made_arrays as made
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from il_ros.core import contract
from il_ros.policies.features import Inputs
from il_ros.policies.protocol import PolicyError

INPUTS = Inputs.of(made.CONTRACT)


def test_keys_are_joined_in_the_order_of_the_contract():
    assert INPUTS.elements[:3] == ("joints/position/a", "joints/position/b", "object/position.x")
    raw = INPUTS.raw({"object": np.array([3.0, 4, 5, 0, 0, 0, 1]), "joints": np.array([1.0, 2])})
    np.testing.assert_array_equal(raw, [1, 2, 3, 4, 5, 0, 0, 0, 1])


def test_an_orientation_becomes_two_columns_of_its_rotation():
    half = np.sqrt(0.5)  # a quarter turn about z: x goes to y, y to -x
    raw = np.array([1.0, 2, 3, 4, 5, 0, 0, half, half])
    np.testing.assert_allclose(INPUTS.features(raw), [1, 2, 3, 4, 5, 0, 1, 0, -1, 0, 0], atol=1e-12)
    groups = ("joints/position [rad]",) * 2 + ("object/position [m]",) * 3
    assert INPUTS.groups == groups + ("object/orientation [1]",) * 6
    assert INPUTS.units == ("rad",) * 2 + ("m",) * 3 + ("1",) * 6
    assert INPUTS.features_of[4:7] == ("object/position.z", "object/orientation.0", "object/orientation.1")


def test_features_are_named_as_briefly_as_possible():
    def named(*places):
        return INPUTS.names_where(np.isin(np.arange(11), places))

    assert named() == ()
    assert named(0, 4) == ("joints/position/a", "object/position.z")
    assert named(0, 1, 2, 3, 4) == ("joints", "object/position")
    assert named(*range(2, 11)) == ("object",)


@given(arrays(float, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_both_signs_of_a_quaternion_are_one_rotation_of_two_unit_columns(quaternion):
    raw = np.concatenate([np.zeros(5), quaternion])
    columns = INPUTS.features(raw)[5:]
    np.testing.assert_allclose(INPUTS.features(np.concatenate([np.zeros(5), -quaternion]))[5:], columns)
    np.testing.assert_allclose(
        [columns[:3] @ columns[:3], columns[3:] @ columns[3:], columns[:3] @ columns[3:]],
        [1, 1, 0],
        atol=1e-9,
    )


def test_an_all_zero_quaternion_is_the_identity():
    np.testing.assert_array_equal(INPUTS.features(np.zeros(9))[5:], [1, 0, 0, 0, 1, 0])


def test_batched_features_equal_single_features():
    raws = np.random.default_rng(0).normal(size=(5, 9))
    np.testing.assert_allclose(INPUTS.features(raws), [INPUTS.features(raw) for raw in raws])


def test_only_the_named_keys_are_used():
    inputs = Inputs.of(made.CONTRACT, ("object",))
    assert len(inputs.elements) == 7
    with pytest.raises(ValueError, match="'hand'; it has: joints, object"):
        Inputs.of(made.CONTRACT, ("hand",))


def test_text_is_rejected_and_alternatives_are_listed():
    line = "  words: {topic: words, type: std_msgs/msg/String, max_age_s: 1}\nactions:"
    own = contract.parse(made.TEXT.replace("actions:", line), "text.yaml")
    with pytest.raises(ValueError, match=r"'words' is a text.*try \[joints, object\]"):
        Inputs.of(own)
    assert Inputs.of(own, ("joints",)).elements == ("joints/position/a", "joints/position/b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": None}, "'joints' is missing"),
        ({"joints": np.zeros(3)}, r"'joints' is \(3,\); \(2,\) is required"),
        ({"joints": np.array([0, np.nan])}, "'joints': position/b is nan"),
        ({"object": np.array([0, 0, np.inf, 0, 0, 0, 1])}, r"'object': position\.z is inf"),
    ],
)
def test_an_invalid_observation_is_named(changes, message):
    observation = {**made.observation(), **changes}
    observation = {key: value for key, value in observation.items() if value is not None}
    with pytest.raises(PolicyError, match=message):
        INPUTS.raw(observation)


def test_nan_in_an_episode_names_the_frame():
    joints = np.zeros((4, 2))
    joints[3, 0] = np.nan
    with pytest.raises(PolicyError, match="position/a is nan in frame 3"):
        INPUTS.raw({"joints": joints, "object": np.zeros((4, 7))})


def test_an_image_of_another_size_is_rejected():
    inputs = Inputs.of(made.WITH_CAMERA)
    (spec,) = inputs.images
    with pytest.raises(
        PolicyError, match=r"'camera' is \(10, 10, 3\) uint8; \(24, 32, 3\) uint8 is required"
    ):
        inputs.image(spec, {"camera": np.zeros((10, 10, 3), np.uint8)})


def test_a_continuous_joint_becomes_cosine_and_sine():
    text = made.TEXT.replace("reference: joints,", "reference: joints, continuous: [b],")
    own = contract.parse(text.replace("lower: -1, upper: 1,", ""), "turning.yaml")
    inputs = Inputs.of(own, ("joints",))
    assert inputs.groups == ("joints/position [rad]", *("joints/position [rad] turn",) * 2)
    assert inputs.units == ("rad", "1", "1")
    np.testing.assert_allclose(inputs.features(np.array([0.3, np.pi / 6])), [0.3, np.sqrt(0.75), 0.5])
    angles = np.array([[0.3, np.pi - 0.01], [0.3, -np.pi - 0.01], [0.3, 9 * np.pi - 0.01]])
    np.testing.assert_allclose(inputs.features(angles), np.tile(inputs.features(angles[0]), (3, 1)))
