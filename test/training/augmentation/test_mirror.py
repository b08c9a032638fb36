"""Mirrored episodes: each number by hand, and what a wrong declaration says."""

import dataclasses

import made_arrays as made
import numpy as np
import pytest

from il_ros.core import contract
from il_ros.episodes.arrays.episode import UnlabelledTicks
from il_ros.episodes.arrays.pictures import CompressedPictures, PictureFile, compressed
from il_ros.training.augmentation.mirror import Mirror, MirrorError, mirrored_too
from il_ros.training.recipe import Recipe, changed
from il_ros.training.run import train

LINES = ("joints[a] = -joints[a]", "object[position.y] = -object[position.y]", "arm[a] = -arm[a]")


def test_a_mirrored_episode_has_the_declared_signs_and_nothing_else():
    one = made.episode(0, frames=3)
    shown, mirrored = mirrored_too([one], LINES, made.CONTRACT)
    assert shown is one
    assert mirrored.name == one.name
    np.testing.assert_array_equal(mirrored.observations["joints"], one.observations["joints"] * [-1, 1])
    np.testing.assert_array_equal(
        mirrored.observations["object"], one.observations["object"] * [1, -1, 1, 1, 1, 1, 1]
    )
    np.testing.assert_array_equal(mirrored.commands, one.commands * [-1, 1])
    np.testing.assert_array_equal(mirrored.ticks_ns, one.ticks_ns)
    again = Mirror.of(LINES, made.CONTRACT).episode(mirrored)
    assert again.digest == one.digest


def test_a_mirror_says_what_changes_and_what_stays():
    text = made.TEXT.replace(
        "actions:",
        "  scan: {topic: scan, type: sensor_msgs/msg/LaserScan, size: 4, max_age_s: 0.2}\n"
        "  camera: {topic: c, type: sensor_msgs/msg/Image, image: {width: 32, height: 24}, max_age_s: 0.1}\nactions:",
    )
    own = contract.parse(text, "seen.yaml")
    assert Mirror.of([*LINES, "scan"], own).sentence().splitlines() == [
        "each episode is also learnt mirrored",
        "changed: joints (position/a), object (position.y), scan, arm (a)",
        "unchanged: joints (position/b), object (position.x, position.z, orientation.x, orientation.y, orientation.z, "
        "orientation.w), arm (b), camera",
    ]
    lines = [line.replace("[a]", "[b]") for line in LINES if "[a]" in line]
    assert "\nunchanged: object, scan, camera" in Mirror.of([*LINES[::2], *lines], own).sentence()


def test_two_joints_change_places_in_all_fields_and_offsets_follow():
    text = made.TEXT.replace("names: [a, b], max", "fields: [position, velocity], names: [a, b], max")
    own = contract.parse(text.replace("unit: rad,", "unit: rad, mode: delta,"), "two.yaml")
    one = dataclasses.replace(
        made.episode(0, frames=1),
        observations={"joints": np.array([[0.1, 0.2, 3.0, 4.0]]), "object": np.zeros((1, 7))},
        commands=np.array([[0.5, 0.6]]),
        offsets=np.array([[0.1, 0.2]]),
    )
    mirrored = Mirror.of(["joints[a] = -joints[b]", "arm[a] = -arm[b]"], own).episode(one)
    assert mirrored.observations["joints"].tolist() == [[-0.2, -0.1, -4.0, -3.0]]
    assert mirrored.commands.tolist() == [[-0.6, -0.5]]
    assert mirrored.offsets.tolist() == [[-0.2, -0.1]]


ARMS = """
name: arms
rate_hz: 20
observations:
  left: {topic: l, type: sensor_msgs/msg/JointState, names: [j], max_age_s: 0.1}
  right: {topic: r, type: sensor_msgs/msg/JointState, names: [j], max_age_s: 0.1}
actions:
  left_arm: {topic: lc, type: std_msgs/msg/Float64MultiArray, names: [j], reference: left, limits: {speed: 1}}
  right_arm: {topic: rc, type: std_msgs/msg/Float64MultiArray, names: [j], reference: right, limits: {speed: 1}}
groups: {left: [left_arm], right: [right_arm]}
"""


def test_two_arms_change_places_with_their_labels_authority_and_missing_observations():
    own = contract.parse(ARMS, "arms.yaml")
    one = dataclasses.replace(
        made.episode(0, frames=2),
        observations={"left": np.array([[1.0], [2.0]]), "right": np.array([[3.0], [0.0]])},
        commands=np.array([[1.5, np.nan], [2.5, 3.5]]),
        offsets=np.zeros((2, 2)),
        groups=own.groups,
        authorities={"left": ("expert", "expert"), "right": ("policy", "expert")},
        group_takeovers_ns={"left": (), "right": (7,)},
        absent={"right": np.array([False, True])},
        unlabelled=UnlabelledTicks(np.array([5]), {"left": np.array([[8.0]]), "right": np.array([[9.0]])}),
    )
    mirrored = Mirror.of(["left[j] = right[j]", "left_arm[j] = -right_arm[j]"], own).episode(one)
    assert mirrored.observations["left"].tolist() == [[3.0], [0.0]]
    assert mirrored.observations["right"].tolist() == [[1.0], [2.0]]
    np.testing.assert_array_equal(mirrored.commands, [[np.nan, -1.5], [-3.5, -2.5]])
    assert mirrored.authorities == {"left": ("policy", "expert"), "right": ("expert", "expert")}
    assert mirrored.group_takeovers_ns == {"left": (7,), "right": ()}
    assert {key: mask.tolist() for key, mask in mirrored.absent.items()} == {"left": [False, True]}
    assert mirrored.unlabelled.observations["left"].tolist() == [[9.0]]
    assert mirrored.labelled.tolist() == [[False, True], [True, True]]


def test_pictures_and_scans_are_reversed_also_compressed_ones(tmp_path):
    shot = np.zeros((2, 24, 32, 3), np.uint8)
    shot[:, :, :16] = 200
    with PictureFile(tmp_path / "camera") as file:
        for picture in shot:
            file.append(compressed(picture))
    stored = CompressedPictures(tmp_path / "camera", (24, 32, 3), np.dtype(np.uint8))
    one = made.episode(0, frames=2, own=made.WITH_CAMERA)
    for pictures in (shot, stored):
        seen = {**one.observations, "camera": pictures}
        mirrored = Mirror.of([*LINES, "camera"], made.WITH_CAMERA).episode(
            dataclasses.replace(one, observations=seen)
        )
        found = np.asarray(mirrored.observations["camera"])
        assert found[:, :, 18:].min() > 190
        assert found[:, :, :14].max() < 10
        assert np.asarray(pictures)[:, :, :14].min() > 190  # the given one stays


def test_a_scan_is_reversed():
    text = made.TEXT.replace(
        "actions:",
        "  scan: {topic: scan, type: sensor_msgs/msg/LaserScan, size: 3, max_age_s: 0.1}\nactions:",
    )
    own = contract.parse(text, "scan.yaml")
    one = made.episode(0, frames=1)
    one = dataclasses.replace(one, observations={**one.observations, "scan": np.array([[1.0, 2.0, 3.0]])})
    mirrored = Mirror.of([*LINES, "scan"], own).episode(one)
    assert mirrored.observations["scan"].tolist() == [[3.0, 2.0, 1.0]]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["joint[a] = -joint[a]"], r"'joint\[a\] = -joint\[a\]': there is no joint\[a\]; did you mean"),
        (["joints[a] = -joints[c]"], r"there is no joints\[c\]"),
        (["joints[a] = -arm[a]"], "one side is observed, the other one commanded"),
        (["object"], "'object' is neither an equation, such as .* nor the key of a camera or a laser scan"),
        (["joints[a] = 2 * joints[a]"], "is neither an equation"),
        ([*LINES, "arm[a] = arm[b]"], r"'arm\[a\] = arm\[b\]' contradicts an earlier line about arm\[a\]"),
        (
            ["joints[a] = -joints[a]"],
            r"no line changes an action \(arm\), but a mirrored task has other commands",
        ),
    ],
)
def test_a_mirror_that_does_not_fit_names_the_line_and_what_would(lines, said):
    with pytest.raises(MirrorError, match=said):
        Mirror.of(lines, made.CONTRACT)


def test_a_group_cannot_mirror_parts_of_two():
    text = ARMS.replace("names: [j]", "names: [j, k]")
    own = contract.parse(text, "arms.yaml")
    with pytest.raises(MirrorError, match="group 'left' mirrors parts of left and right"):
        Mirror.of(["left_arm[j] = right_arm[j]"], own)


def test_a_training_sees_the_mirrored_side_and_names_each_episode_once(tmp_path):
    """Demonstrations with a > 0 only: the mirrored task is learnt from their copies."""
    data = made.dataset()
    one_sided = tuple(
        dataclasses.replace(
            each,
            observations={
                **each.observations,
                "joints": np.abs(each.observations["joints"]),
                "object": np.tile([0.0, 0, 0, 0, 0, 0, 1], (len(each), 1)),
            },
            commands=0.5 * np.abs(each.observations["joints"]),
        )
        for each in data.train
    )
    data = dataclasses.replace(data, train=one_sided)
    errors = []
    for lines in ("[]", '["joints[a] = -joints[a]", "arm[a] = -arm[a]"]'):
        recipe = changed(Recipe(), ["epochs=30", "hidden=[32]", "learning_rate=0.01", f"mirror={lines}"])
        policy = train(data, recipe, tmp_path / str(len(errors))).policy
        command = policy.act({"joints": np.array([-0.4, 0.2]), "object": np.array([0, 0, 0, 0, 0, 0, 1.0])})[
            0
        ]
        errors.append(abs(command[0] + 0.2))
        assert policy.metrics["data"]["train"] == [each.name for each in data.train]
        assert policy.metrics["frames"] == 150
    assert errors[0] > 0.1  # clipped to what was shown
    assert errors[1] < 0.05
