"""The gradient written out is autograd's."""

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.policies.families import family, make_network
from il_ros.policies.inputs import Inputs
from il_ros.policies.normaliser import PIXELS, Affine, Normaliser
from il_ros.training.batches import Batch
from il_ros.training.flat import FlatParameters
from il_ros.training.gradients import MeanSquaredMLP, by_autograd, gradient_of


def network(own=made.CONTRACT, **settings):
    size = len(Inputs.of(own).groups)
    normaliser = Normaliser(
        Affine(np.zeros(size), np.ones(size)), Affine(np.zeros(2), np.ones(2)), {"camera": PIXELS}
    )
    torch.manual_seed(0)
    return make_network("bc", family("bc").settings(**settings), own, normaliser)


def batch(count, horizon, weighted):
    rng = torch.Generator().manual_seed(count)
    weight = (torch.rand(count, horizon, generator=rng) > 0.3).float() if weighted else None
    if weighted:
        weight[0, 0] = 1.0
    return Batch(
        torch.randn(count, 11, generator=rng), {}, torch.randn(count, horizon, 2, generator=rng), weight
    )


@pytest.mark.parametrize("weighted", [False, True], ids=["all alike", "weighted"])
@pytest.mark.parametrize("horizon", [1, 4])
@pytest.mark.parametrize("hidden", [(16,), (32, 16, 8)], ids=str)
def test_by_hand_is_by_autograd(hidden, horizon, weighted):
    made_network = network(hidden=hidden, horizon=horizon)
    flat = FlatParameters(made_network)
    by_hand = gradient_of(made_network, flat)
    assert isinstance(by_hand, MeanSquaredMLP)
    for count in (8, 3, 8):  # a smaller last batch, and back
        one = batch(count, horizon, weighted)
        loss = by_hand(one).item()
        gradient = flat.gradient.clone()
        wanted = by_autograd(made_network, flat, one).item()
        assert loss == pytest.approx(wanted, rel=1e-6)
        torch.testing.assert_close(gradient, flat.gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "other",
    [{"loss": "l1"}, {"loss": "gaussian"}, {"own": made.WITH_CAMERA}],
    ids=lambda other: str(list(other)),
)
def test_other_losses_and_networks_are_left_to_autograd(other):
    made_network = network(**other)
    assert not isinstance(gradient_of(made_network, FlatParameters(made_network)), MeanSquaredMLP)


def test_the_flat_vector_is_the_network():
    made_network = network(hidden=(4,))
    before = [one.detach().clone() for one in made_network.parameters()]
    flat = FlatParameters(made_network)
    torch.testing.assert_close(flat.values, torch.cat([one.flatten() for one in before]))
    with torch.no_grad():
        flat.values.zero_()
    assert all(not one.any() for one in made_network.parameters())
    named = flat.named(flat.values)
    assert {name: one.shape for name, one in named.items()} == {
        name: one.shape for name, one in made_network.named_parameters()
    }
