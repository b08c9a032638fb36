"""Frames in which nothing moves are thinned; motion is used whole."""

import made_arrays as made
import numpy as np
import pytest

from il_ros.core import contract as contracts
from il_ros.episodes.arrays.camera_frames import CameraFrames
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.training import thinning
from il_ros.training.batches import Batches
from il_ros.training.recipe import Recipe, changed
from il_ros.training.run import train
from il_ros.training.samples import Samples, samples
from il_ros.training.trainer.warm_start import replayed

TEXT = """
name: one
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 0.2}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a], unit: rad, reference: joints,
        limits: {lower: -3, upper: 3, speed: 2}}
"""
CONTRACT = contracts.parse(TEXT, "one")
INPUTS = Inputs.of(CONTRACT, [])


def episode(measured, commanded, name="episode_000001", ticks=None):
    count = len(measured)
    times = np.arange(count) if ticks is None else np.asarray(ticks)
    return EpisodeArrays(
        name=name,
        observations={"joints": np.asarray(measured, float)[:, None]},
        commands=np.asarray(commanded, float)[:, None],
        offsets=np.zeros((count, 1)),
        ticks_ns=(times * 50_000_000).astype(np.int64),
        period_ns=50_000_000,
    )


def stuck(moving=20, still=40):
    """A joint that moves by 0.05 a tick to 0.95, and then stands still with its command 0.1 ahead."""
    angles = np.concatenate([np.arange(moving) * 0.05, np.full(still, (moving - 1) * 0.05)])
    return episode(angles, angles + 0.1)


def test_one_frame_in_ten_is_used_half_a_second_after_the_motion_ended():
    """Half a second has 11 frames at 20 Hz. The last frame that moved is 19, so 29 is the first still one:
    11 equal frames end there. Frame 28 is the last moving one; then 38, 48 and 58 are used.
    """
    (kept,) = thinning.kept_frames([stuck()], INPUTS, 10)
    assert np.flatnonzero(kept).tolist() == [*range(29), 38, 48, 58]


def test_noise_below_a_five_hundredth_of_the_range_is_no_motion():
    """The range is 0.95, so 0.0019 is tolerated: noise of +-0.0009 is still, +-0.002 is motion."""
    for size, thinned in ((0.0009, True), (0.002, False)):
        noise = size * np.where(np.arange(60) % 2, 1, -1)
        noisy = stuck()
        noisy = episode(noisy.observations["joints"][:, 0] + noise, noisy.commands[:, 0])
        (kept,) = thinning.kept_frames([noisy], INPUTS, 10)
        assert (not kept.all()) == thinned


def test_a_continuous_joint_that_rests_at_the_end_of_its_turn_does_not_move():
    text = TEXT.replace("limits: {lower: -3, upper: 3, speed: 2}", "continuous: true, limits: {speed: 2}")
    own = contracts.parse(text, "turning")
    moved = stuck().observations["joints"][:, 0]
    rest = moved == moved[-1]
    at_the_end = np.where(np.arange(len(moved)) % 2 == 0, 3.1415, -3.1415)  # 0.0002 rad apart
    one = episode(np.where(rest, at_the_end, moved), np.where(rest, at_the_end, moved))
    (kept,) = thinning.kept_frames([one], Inputs.of(own, []), 10, own.turns)
    assert kept.sum() < 35  # of 60: 20 that move, 10 after the motion, one in ten of 30
    (kept,) = thinning.kept_frames([one], INPUTS, 10)  # the same numbers of a joint with ends
    assert kept.all()


def test_a_label_that_moves_is_motion():
    """The robot is stuck, but the person asks for more and more."""
    moving = stuck()
    commands = moving.commands[:, 0] + np.maximum(0, np.arange(60) - 20) * 0.01
    (kept,) = thinning.kept_frames([episode(moving.observations["joints"][:, 0], commands)], INPUTS, 10)
    assert kept.all()


def test_a_gap_ends_a_pause():
    """After a gap, half a second is needed again to see that nothing moves."""
    one = stuck(still=40)
    ticks = np.concatenate([np.arange(45), np.arange(45, 60) + 100])
    (kept,) = thinning.kept_frames(
        [episode(one.observations["joints"][:, 0], one.commands[:, 0], ticks=ticks)], INPUTS, 10
    )
    assert np.flatnonzero(~kept[45:]).tolist() == [10, 11, 12, 13, 14]


def test_one_keeps_all_and_data_without_any_motion_cannot_be_judged():
    still = episode(np.zeros(50), np.zeros(50))
    assert all(mask.all() for mask in thinning.kept_frames([stuck()], INPUTS, 1))
    assert all(mask.all() for mask in thinning.kept_frames([still], INPUTS, 10))
    with pytest.raises(ValueError, match="still_every is 0; it must be at least 1"):
        thinning.kept_frames([still], INPUTS, 0)


def test_the_count_is_said():
    kept = thinning.kept_frames([stuck()], INPUTS, 10)
    assert thinning.sentence(kept).startswith("28 of 60 frames are not used: nothing moves in them")
    assert thinning.sentence(thinning.kept_frames([stuck()], INPUTS, 1)) == ""


def test_the_chunks_of_used_frames_still_hold_the_still_ones():
    one = stuck()
    (kept,) = thinning.kept_frames([one], INPUTS, 10)
    taught = samples([one], INPUTS, 5).only(kept)
    assert len(taught) == 32
    np.testing.assert_allclose(taught.actions[28, :, 0], one.commands[28:33, 0])
    np.testing.assert_allclose(taught.features[-1], one.observations["joints"][58])
    assert taught.weights[28, :, 0].tolist() == [1, 1, 1, 1, 1]


def test_the_pictures_of_used_frames_are_theirs():
    parts = [
        np.arange(6, dtype=np.uint8).reshape(3, 2, 1, 1),
        np.arange(6, 12, dtype=np.uint8).reshape(3, 2, 1, 1),
    ]
    numbers = np.arange(6, dtype=float)[:, None]
    every = Samples.of(
        numbers, numbers[:, :, None], np.ones((6, 1, 1), np.float32), {"camera": CameraFrames(parts)}
    )
    used = every.only(np.isin(np.arange(6), [1, 4, 5]))
    plain = Normaliser(Affine(np.zeros(1), np.ones(1)), Affine(np.zeros(1), np.ones(1)))
    (batch,) = Batches(used, INPUTS, plain, "cpu").in_order(10)
    assert batch.observation["camera"][:, 0, :, 0, 0].tolist() == [[2, 3], [8, 9], [10, 11]]


def test_a_warm_start_replays_only_used_frames():
    old, new = (
        stuck(),
        episode(stuck().observations["joints"][:, 0], stuck().commands[:, 0], "episode_000002"),
    )
    kept = thinning.kept_frames([old, new], INPUTS, 10)
    before = {
        "data": {"train": ["episode_000001"]},
        "steps": 10,
        "duration_s": 1.0,
        "training": {"batch_size": 16},
    }
    limits = changed(Recipe(), ["epochs=100", "seconds=1", "batch_size=16"]).training
    _, plan = replayed([old, new], before, limits, kept)
    assert plan.new.tolist() == [False] * 32 + [True] * 32


def test_a_training_uses_the_frames_that_are_left(tmp_path):
    data = made.dataset(train=2, validation=0)
    recipe = changed(Recipe(), ["hidden=[8]", "epochs=2", "still_every=10"])
    assert train(data, recipe, tmp_path).finished
