"""Samples and batches: chunks never cross a gap or an episode boundary."""

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.episodes.arrays.camera_frames import CameraFrames
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.training.batches import Batches, ReplayPlan
from il_ros.training.samples import Samples, samples

INPUTS = Inputs.of(made.CONTRACT)


def counting(frames, ticks=None, first=0):
    """An episode whose command at frame k is [k, k]."""
    ticks = np.arange(1, frames + 1) if ticks is None else np.array(ticks)
    commands = np.tile(np.arange(first, first + frames, dtype=float)[:, None], (1, 2))
    return made.episode(0, frames, commands=commands, ticks_ns=ticks * made.PERIOD_NS)


def test_every_frame_is_a_sample_with_the_steps_that_follow():
    out = samples([counting(4)], INPUTS, horizon=3)
    np.testing.assert_array_equal(out.actions[:, :, 0], [[0, 1, 2], [1, 2, 3], [2, 3, 3], [3, 3, 3]])
    np.testing.assert_array_equal(out.weights[..., 0], [[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 0, 0]])


def test_a_chunk_ends_at_a_gap_in_the_ticks():
    out = samples([counting(4, ticks=[1, 2, 5, 6])], INPUTS, horizon=2)
    np.testing.assert_array_equal(out.actions[:, :, 0], [[0, 1], [1, 1], [2, 3], [3, 3]])
    np.testing.assert_array_equal(out.weights[..., 0], [[1, 1], [1, 0], [1, 1], [1, 0]])


def test_a_chunk_ends_with_its_episode():
    out = samples([counting(2), counting(2, first=10)], INPUTS, horizon=2)
    np.testing.assert_array_equal(out.actions[:, :, 0], [[0, 1], [1, 1], [10, 11], [11, 11]])


def test_every_step_of_a_delta_chunk_is_relative_to_the_state_at_its_start():
    offsets = np.array([[10.0, 0], [20, 0], [30, 0]])
    episode = made.episode(
        0, 3, own=made.DELTA, commands=np.array([[1.0, 0], [2, 0], [3, 0]]), offsets=offsets
    )
    out = samples([episode], Inputs.of(made.DELTA), horizon=2)
    np.testing.assert_array_equal(
        out.actions[:, :, 0], [[1 - 10, 2 - 10], [2 - 20, 3 - 20], [3 - 30, 3 - 30]]
    )


@pytest.mark.parametrize("horizon", [1, 4, 50])
def test_real_steps_are_as_many_as_the_runs_have(horizon):
    """Of a run of n frames: n chunks, the k-th with min(H, n - k) real steps."""
    out = samples([counting(9, ticks=[1, 2, 3, 4, 9, 10, 11, 12, 13])], INPUTS, horizon)
    assert out.weights.sum() == sum(min(horizon, n - k) for n in (4, 5) for k in range(n))
    assert out.weights[:, 0].all()


def test_nan_names_the_episode_and_the_frame():
    bad = made.episode(3)
    joints = np.array(bad.observations["joints"])
    joints[7, 1] = np.nan
    with pytest.raises(
        ValueError, match="episode_000003: observation 'joints': position/b is nan in frame 7"
    ):
        samples([made.episode(3, observations={**bad.observations, "joints": joints})], INPUTS, 1)
    commands = np.array(bad.commands)
    commands[2, 0] = np.inf
    with pytest.raises(ValueError, match="episode_000003: command 0 of frame 2"):
        samples([made.episode(3, commands=commands)], INPUTS, 1)


def test_frames_are_taken_across_episodes():
    parts = [np.full((2, 1, 1, 1), 1, np.uint8), np.arange(10, 13, dtype=np.uint8).reshape(3, 1, 1, 1)]
    frames = CameraFrames(parts)
    assert len(frames) == 5
    np.testing.assert_array_equal(frames.take([4, 0, 2])[:, 0, 0, 0], [12, 1, 10])


def identity(states):
    return Normaliser(Affine(np.zeros(states), np.ones(states)), Affine(np.zeros(1), np.ones(1)))


def numbered(count, images=None, replay=None):
    numbers = np.arange(count, dtype=float)
    inputs = Inputs(INPUTS.state[:1], Inputs.of(made.WITH_CAMERA).images if images else ())
    weights = np.ones((count, 1, 1), np.float32)
    out = Samples.of(np.stack([numbers, numbers], 1), numbers[:, None, None], weights, images)
    return Batches(out, inputs, identity(2), "cpu", replay)


def test_an_epoch_has_every_sample_once_in_another_order_each_time():
    batches = numbered(10)
    rng = torch.Generator().manual_seed(0)
    epochs = [
        torch.cat([batch.observation.state[:, 0, 0] for batch in batches.shuffled(4, rng)]) for _ in range(2)
    ]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(10))
    assert epochs[0].tolist() != epochs[1].tolist()


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [
        (10, 4, [4, 3, 3]),  # not 4, 4, 2
        (1800, 256, [225] * 8),  # not seven of 256 and one of 8
        (8, 4, [4, 4]),
        (3, 4, [3]),
        (5, 4, [3, 2]),
    ],
)
def test_no_batch_is_a_small_remainder(count, size, sizes):
    rng = torch.Generator().manual_seed(0)
    assert [len(batch) for batch in numbered(count).shuffled(size, rng)] == sizes


def test_a_replaying_epoch_has_every_new_sample_and_other_old_ones_each_time():
    batches = numbered(100, replay=ReplayPlan(np.arange(100) >= 95, old=10))
    rng = torch.Generator().manual_seed(0)
    epochs = [
        torch.cat([batch.observation.state[:, 0, 0] for batch in batches.shuffled(4, rng)]).tolist()
        for _ in range(2)
    ]
    assert batches.per_epoch == 15
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == 15
        assert {95, 96, 97, 98, 99} <= set(epoch)
        assert epoch[:5] != [95, 96, 97, 98, 99]
    assert set(epochs[0]) != set(epochs[1])
    assert sum(len(batch) for batch in batches.in_order(8)) == 100


def test_more_old_samples_than_there_are_cannot_be_replayed():
    with pytest.raises(ValueError, match="old is 6; it must be 0 to 5"):
        ReplayPlan(np.arange(10) >= 5, old=6)


def test_state_target_and_image_of_a_sample_stay_together():
    pictures = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1)
    batches = numbered(6, {"camera": CameraFrames([pictures[:2], pictures[2:]])})
    for batch in batches.shuffled(4, torch.Generator().manual_seed(1)):
        assert batch.observation.state[:, 0, 0].tolist() == batch.action[:, 0, 0].tolist()
        assert (
            batch.observation.state[:, 0, 0].tolist() == batch.observation["camera"][:, 0, 0, 0, 0].tolist()
        )


def test_without_padding_weights_are_none():
    assert next(numbered(3).in_order(3)).weight is None


def test_a_window_has_the_ticks_before_and_repeats_the_first_of_its_run():
    out = samples([counting(3), counting(4, ticks=[1, 2, 5, 6])], INPUTS, 1, history=3)
    assert out.window.tolist() == [
        *([0, 0, 0], [0, 0, 1], [0, 1, 2]),  # the first episode
        *([3, 3, 3], [3, 3, 4]),  # the second one, until its gap
        *([5, 5, 5], [5, 5, 6]),
    ]
    assert out.existing.tolist() == [
        *([False, False, True], [False, True, True], [True, True, True]),
        *([False, False, True], [False, True, True]),
        *([False, False, True], [False, True, True]),
    ]


def test_following_windows_are_a_tick_later_and_end_with_the_run():
    out = samples([counting(3)], INPUTS, 1, history=2)
    zeros, ones = np.zeros(11), np.ones(11)
    plain = Normaliser(Affine(zeros, ones), Affine(zeros[:2], ones[:2]))
    (batch,) = Batches(out, INPUTS, plain, "cpu", follows=True).in_order(10)
    now, then = batch.observation, batch.following
    assert torch.equal(then.state[:2], torch.stack([now.state[1], now.state[2]]))
    assert torch.equal(then.state[2, 0], now.state[2, 1])
    assert then.mask["joints"].tolist() == [[True, True], [True, True], [True, False]]
    (alone,) = Batches(out, INPUTS, plain, "cpu").in_order(10)
    assert alone.following is None


def test_following_windows_further_ahead_end_so_much_later():
    out = samples([counting(5)], INPUTS, 1, history=2, ahead=3)
    assert out.following.tolist() == [[1, 2, 3], [2, 3, 4], [3, 4, 4], [4, 4, 4], [4, 4, 4]]
    zeros, ones = np.zeros(11), np.ones(11)
    plain = Normaliser(Affine(zeros, ones), Affine(zeros[:2], ones[:2]))
    (batch,) = Batches(out, INPUTS, plain, "cpu", follows=True).in_order(10)
    states = torch.from_numpy(out.features).float()
    assert torch.equal(batch.following.state[0], states[[2, 3]])
    assert torch.equal(batch.following.state[1], states[[3, 4]])
    assert batch.following.mask["joints"].tolist() == [
        *([True, True], [True, True]),
        *([True, False], [False, False], [False, False]),
    ]


def test_an_optional_key_that_an_episode_lacks_is_0_and_masked_and_does_not_shift_the_scale():
    own = Inputs.of(made.CONTRACT, (), ("object",))
    whole = [counting(4), counting(4, first=4)]
    lacking = made.episode(0, 4, observations={"joints": whole[1].observations["joints"]})
    out = samples([whole[0], lacking], own, 1)
    np.testing.assert_array_equal(out.frames.absent["object"], [False] * 4 + [True] * 4)
    before = samples([whole[0]], own, 1).features[:, 2:]
    np.testing.assert_allclose(out.features[:, 2:].mean(axis=0), before.mean(axis=0))
    np.testing.assert_allclose(out.features[:, 2:].std(axis=0), before.std(axis=0))
    plain = Normaliser(Affine(np.full(11, 5.0), np.ones(11)), Affine(np.zeros(2), np.ones(2)))
    (batch,) = Batches(out, own, plain, "cpu").in_order(10)
    assert batch.observation.mask["object"].flatten().tolist() == [True] * 4 + [False] * 4
    assert not batch.observation["object"][4:].any()
    assert batch.observation["object"][:4].any()
    assert batch.observation["joints"][4:].all()
