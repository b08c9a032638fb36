"""Diffusion and two-step regression, and committed beginnings, which all denoisers can be trained to continue."""

import dataclasses
import math

import made_arrays as made
import numpy as np
import pytest
import torch
from conformance import Prepared, Subject

from il_ros.policies.families.diffusion import Diffusion, amounts, mixed
from il_ros.policies.protocol import Batch, noise
from il_ros.policies.runner import sample

SMALL = {"hidden": (64, 64), "channels": (4,)}
FAMILIES = ("flow", "diffusion", "two_step")


def subject(name, **changes):
    return Subject(name, {**SMALL, **changes}, 0.005)


def test_the_noise_goes_along_a_quarter_of_a_circle():
    signal, spread = amounts(torch.tensor([0.0, 1 / 3, 1.0]))
    torch.testing.assert_close(signal, torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(spread, torch.tensor([1.0, math.sqrt(0.75), 0.0]), atol=1e-7, rtol=1e-6)
    chunk = mixed(torch.full((1, 1, 1), 2.0), torch.full((1, 1, 1), 4.0), torch.tensor([[1 / 3]]))
    assert chunk.item() == pytest.approx(0.5 * 2 + math.sqrt(0.75) * 4)


def test_of_one_known_chunk_diffusion_takes_the_noise_away_on_its_path():
    """With the network's answer fixed at 0.3, the chunk after step k is the mix of 0.3 and the first noise."""
    ready = Prepared(subject("diffusion", passes=4))
    network, seen = ready.network, []

    def end(_features, chunk, time, _given):
        seen.append((chunk.clone(), time[0, 0].item()))
        return torch.full_like(chunk, 0.3)

    network.end = end
    answer = network.sample(Batch(ready.batch(2).observation), torch.Generator().manual_seed(4))
    start = noise((2, 3, 2), torch.Generator().manual_seed(4), "cpu")
    assert [time for _, time in seen] == [0.0, 0.25, 0.5, 0.75]
    for chunk, time in seen:
        wanted = math.sin(math.pi / 2 * time) * 0.3 + math.cos(math.pi / 2 * time) * start
        torch.testing.assert_close(chunk, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(answer.chunk, torch.full((2, 3, 2), 0.3))


def test_two_steps_give_the_network_nothing_and_then_most_of_its_answer():
    ready, given = Prepared(subject("two_step")), []

    def end(_features, chunk, time, _committed):
        given.append((chunk.clone(), time[0, 0].item()))
        return chunk + 0.5

    ready.network.end = end
    answer = ready.network.sample(Batch(ready.batch(2).observation), torch.Generator())
    assert [round(time, 6) for _, time in given] == [0.0, 0.9]
    torch.testing.assert_close(given[0][0], torch.zeros(2, 3, 2))
    torch.testing.assert_close(given[1][0], torch.full((2, 3, 2), 0.45))
    torch.testing.assert_close(answer.chunk, torch.full((2, 3, 2), 0.95))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_committed_beginning_is_given_whole_with_its_mask(name):
    ready, seen = Prepared(subject(name, prefix=2)), []
    whole = ready.network.end

    def end(features, chunk, time, given):
        seen.append((chunk[:, :1].clone(), given))
        return whole(features, chunk, time, given)

    ready.network.end = end
    previous = torch.full((4, 1, 2), 0.8)
    answer = ready.network.sample(Batch(ready.batch(4).observation), torch.Generator(), previous)
    for chunk, given in seen:
        torch.testing.assert_close(chunk, previous)
        assert given.tolist() == [[True, False, False]] * 4
    torch.testing.assert_close(answer.chunk[:, :1], previous)


def test_beginnings_of_all_lengths_are_shown_and_not_learnt():
    ready = Prepared(subject("flow", prefix=2))
    batch = ready.batch(30)
    large = dataclasses.replace(
        batch,
        observation=batch.observation.rows(torch.arange(30).repeat(40)),
        action=batch.action.repeat(40, 1, 1),
        weight=None,
    )
    given, weight = ready.network.drawn_prefix(large, torch.Generator().manual_seed(0))
    lengths = given.sum(dim=1)
    assert given[:, 2].sum() == 0
    for length in (0, 1, 2):
        assert (lengths == length).float().mean().item() == pytest.approx(1 / 3, abs=0.05)
    assert torch.equal(weight[..., 0] == 0, given)
    ready.network.eval()
    assert ready.network.drawn_prefix(large, torch.Generator()) == (None, None)


@pytest.mark.parametrize("name", ["flow", "two_step"])
def test_a_chunk_goes_on_where_its_committed_beginning_went(name):
    """From one state, chunks are all 0.5 or all -0.5: what is committed says which, and the rest must follow."""
    episode = made.episode(0, 200)
    seen = {key: np.repeat(values[:1], 200, axis=0) for key, values in episode.observations.items()}
    parts = [
        dataclasses.replace(
            made.episode(number, 20),
            observations={key: values[:20] for key, values in seen.items()},
            commands=np.full((20, 2), 0.5 if number % 2 else -0.5),
        )
        for number in range(10)
    ]
    data = dataclasses.replace(made.dataset(train=1), train=tuple(parts), validation=())
    ready = Prepared(subject(name, prefix=2), data=data, training={"epochs": 60, "batch_size": 100})
    ready.train()
    network, windows = ready.policy().network, ready.batch(50).observation
    for side in (-1.0, 1.0):
        chunk = sample(network, Batch(windows), torch.full((50, 1, 2), side)).chunk
        assert (chunk[:, 1:] * side > 0.8).float().mean() > 0.95


def test_settings_that_cannot_be_are_errors():
    with pytest.raises(ValueError, match="prefix is 8; it must be below horizon, 8"):
        Diffusion(prefix=8)
    with pytest.raises(ValueError, match="passes is 0"):
        Diffusion(passes=0)
