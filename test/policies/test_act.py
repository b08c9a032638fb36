"""ACT: the latent variable, and what it is for."""

import dataclasses

import made_arrays as made
import pytest
import torch
from conformance import Prepared, Subject

from il_ros.policies.families.act import Act
from il_ros.policies.protocol import Batch
from il_ros.policies.runner import sample

SMALL = Subject("act", {"width": 16, "heads": 2, "blocks": 1, "channels": (4,), "latent": 4}, 0.005)


def fixed(network, mean, log_variance):
    network.latent = lambda batch: (
        torch.full((len(batch), 4), mean),
        torch.full((len(batch), 4), log_variance),
    )
    return network


@pytest.mark.parametrize(
    ("mean", "log_variance", "divergence"),
    [(0.0, 0.0, 0.0), (1.0, 0.0, 2.0), (0.0, 1.0, 4 * 0.5 * (2.718281828 - 2))],
)
def test_the_divergence_is_that_from_a_standard_normal(mean, log_variance, divergence):
    # per number: (m^2 + exp(v) - v - 1) / 2; the latent variable has four
    ready = Prepared(SMALL)
    loss = fixed(ready.network, mean, log_variance).loss(ready.batch(8), torch.Generator().manual_seed(0))
    assert loss.parts["kl"].item() == pytest.approx(divergence, abs=1e-5)
    assert loss.total.item() == pytest.approx(loss.parts["error"].item() + 10 * divergence, rel=1e-5)


def test_validation_rates_the_answer_for_the_mean_of_the_latent_variable():
    ready = Prepared(SMALL)
    network, batch = ready.policy().network, ready.batch(8)
    chunk = sample(network, Batch(batch.observation)).chunk
    weight = batch.weight.expand_as(chunk)
    wanted = ((chunk - batch.action).abs() * weight).sum() / weight.sum()
    loss = network.loss(batch, torch.Generator().manual_seed(0))
    assert loss.total.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert loss.parts["kl"].item() == 0


def test_what_is_behind_the_end_of_an_episode_is_no_part_of_a_demonstrated_chunk():
    ready = Prepared(SMALL)
    batch = ready.batch(6)
    weight = torch.ones((6, 3, 1))
    weight[:, 2] = 0
    before = ready.network.latent(dataclasses.replace(batch, weight=weight))
    action = batch.action.clone()
    action[:, 2] = 9.0
    after = ready.network.latent(dataclasses.replace(batch, action=action, weight=weight))
    torch.testing.assert_close(before, after)
    action[:, 1] = 9.0
    assert not torch.allclose(before[0], ready.network.latent(dataclasses.replace(batch, action=action))[0])


def test_the_latent_variable_explains_what_the_observation_does_not():
    """One state, two chunks: with the latent variable the training error falls far below that of the mean."""
    parts = [
        dataclasses.replace(
            made.episode(number, 12),
            observations={
                key: values[:1].repeat(12, 0) for key, values in made.episode(0, 12).observations.items()
            },
            commands=torch.full((12, 2), 0.5 if number % 2 else -0.5).double().numpy(),
        )
        for number in range(8)
    ]
    data = dataclasses.replace(made.dataset(train=1), train=tuple(parts), validation=())
    errors = {}
    for weight in (0.001, 100.0):
        ready = Prepared(SMALL, data=data, kl_weight=weight, training={"epochs": 60, "batch_size": 96})
        errors[weight] = ready.train().curves[-1].parts["error"]
    assert errors[0.001] < 0.2 < 0.8 < errors[100.0]  # the mean of -1 and 1 is 1 away from both


def test_settings_that_cannot_be_are_errors():
    with pytest.raises(ValueError, match="latent is 0; at least 1"):
        Act(latent=0)
    with pytest.raises(ValueError, match="decoder_blocks is 65; at most 64"):
        Act(decoder_blocks=65)
