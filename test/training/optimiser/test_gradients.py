"""The analytic gradient equals autograd's."""

import itertools

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.policies.families.ensemble import EnsembleNetwork
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.heads.head import ELEMENTWISE
from il_ros.policies.networks.activations import ACTIVATIONS, RELU
from il_ros.policies.normaliser import PIXELS, Affine, Normaliser
from il_ros.policies.protocol import Batch, Perceptrons, Window
from il_ros.training.optimiser import mlp_gradient
from il_ros.training.optimiser.flat import FlatParameters
from il_ros.training.optimiser.gradients import analytic, by_autograd, fault, gradient_of
from il_ros.training.optimiser.mlp_gradient import SLOPES, MLPGradient

DEPTHS = [(16,), (12, 16, 8)]
COMBINED = list(itertools.product(ELEMENTWISE, [False, True], [1, 4], DEPTHS))
# family "bc", and "ensemble" with and without bootstrap: everything with everything
RNG = torch.Generator()  # nothing here is random
NETWORKS = [
    *(({"loss": loss, "horizon": h, "hidden": hidden}, weighted) for loss, weighted, h, hidden in COMBINED),
    *(
        ({"members": 3, "bootstrap": bootstrap, "loss": loss, "horizon": h, "hidden": hidden}, weighted)
        for bootstrap in (False, True)
        for loss, weighted, h, hidden in COMBINED
    ),
    *(
        ({**family, "activation": name, "loss": loss, "horizon": 4, "hidden": (12, 16, 8)}, True)
        for name, loss, family in itertools.product(ACTIVATIONS, ELEMENTWISE, ({}, {"members": 3}))
    ),
]


def network(own=made.CONTRACT, **settings):
    size = len(Inputs.of(own).groups)
    normaliser = Normaliser(
        Affine(np.zeros(size), np.ones(size)), Affine(np.zeros(2), np.ones(2)), {"camera": PIXELS}
    )
    torch.manual_seed(0)
    name = "ensemble" if "members" in settings else "bc"
    return make_network(name, family(name).settings(**settings), own, normaliser)


def batch(count, horizon, weighted):
    rng = torch.Generator().manual_seed(count)
    weight = None
    if weighted:  # some count thrice, some steps are padding, the first of a chunk never is
        numbers = 2 if weighted == "by number" else 1
        weight = torch.randint(0, 4, (count, horizon, numbers), generator=rng).double()
        weight[:, 0].clamp_(min=1)
    state = torch.randn(count, 1, 11, generator=rng, dtype=torch.float64)
    return Batch(Window(state), torch.randn(count, horizon, 2, generator=rng, dtype=torch.float64), weight)


def both_ways(settings, weighted, count, plant=lambda patch: None):
    """Return loss and gradient, analytic and by autograd, in double precision; `plant` inserts a bug."""
    made_network = network(**settings).double()
    flat = FlatParameters(made_network)
    one = batch(count, settings["horizon"], weighted)
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        by_hand = analytic(made_network)
        loss = by_hand(one, RNG).total
        caught = fault(made_network, one)
    gradient = flat.gradient.clone()
    return (loss, gradient), (by_autograd(made_network, flat, one, RNG).total, flat.gradient), caught


def without_bootstrap(self):
    return Perceptrons(self.member_layers(), RELU, self.head.loss_name, lambda action, weight: weight)


def differ(one, other):
    return not all(torch.allclose(a, b, rtol=1e-10, atol=1e-13) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("settings", "weighted"), NETWORKS, ids=str)
def test_analytic_equals_autograd(settings, weighted):
    for count, weights in ((16, weighted), (1, weighted), (5, weighted and "by number")):
        by_hand, by_autograd, caught = both_ways(settings, weights, count)
        assert not differ(by_hand, by_autograd)
        assert by_hand[1].any()
        assert caught == ""


def test_batches_of_several_sizes_do_not_mix():
    made_network = network(members=3, hidden=(16,)).double()
    flat = FlatParameters(made_network)
    by_hand = gradient_of(made_network, flat, batch(2, 1, True))
    assert isinstance(by_hand, MLPGradient)
    for count in (8, 3, 8):  # a smaller last batch, and back
        one = batch(count, 1, True)
        mine = by_hand(one, RNG).total, flat.gradient.clone()
        assert not differ(mine, (by_autograd(made_network, flat, one, RNG).total, flat.gradient))


@pytest.mark.parametrize(
    "plant",
    [
        lambda patch: patch.setitem(SLOPES, "huber", SLOPES["l1"]),
        lambda patch: patch.setattr(torch.Tensor, "sign_", lambda self: self.fill_(1)),  # no ReLU
        lambda patch: patch.setitem(mlp_gradient.ACTIVATIONS, "relu", mlp_gradient.ACTIVATIONS["gelu"]),
        lambda patch: patch.setattr(EnsembleNetwork, "perceptrons", without_bootstrap),
        lambda patch: patch.setattr(torch, "sum", lambda *_, keepdim, out: out.zero_()),
    ],
    ids=["another loss's slope", "no ReLU on the way back", "GELU", "no bootstrap", "biases forgotten"],
)
def test_a_planted_bug_is_caught(plant):
    settings = {"members": 3, "bootstrap": True, "loss": "huber", "horizon": 4, "hidden": (12, 16)}
    by_hand, by_autograd, caught = both_ways(settings, True, 16, plant)
    assert differ(by_hand, by_autograd)
    assert caught  # the proof finds it as well, and autograd is used


@pytest.mark.parametrize("loss", ELEMENTWISE)
def test_slopes_equal_autograd_at_kinks(loss):
    errors = torch.tensor([-3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    wanted = ELEMENTWISE[loss](errors, torch.zeros_like(errors), reduction="none")
    wanted.sum().backward()
    slopes = torch.empty_like(errors)
    values = SLOPES[loss](errors.detach().clone(), slopes)
    assert torch.equal(values, wanted.detach())
    assert torch.equal(slopes, errors.grad)


@pytest.mark.parametrize("settings", [{}, {"members": 3, "bootstrap": False}], ids=["bc", "ensemble"])
@pytest.mark.parametrize("loss", ELEMENTWISE)
def test_a_padded_step_has_no_gradient(loss, settings):
    made_network = network(loss=loss, horizon=4, hidden=(16,), **settings).double()
    flat = FlatParameters(made_network)
    one = batch(8, 4, True)
    by_hand = gradient_of(made_network, flat, one)
    padded = one.weight[..., 0] == 0
    assert padded.any()
    loss_before, before = by_hand(one, RNG).total, flat.gradient.clone()
    one.action[padded] = 1000.0
    assert by_hand(one, RNG).total == loss_before
    assert torch.equal(flat.gradient, before)


@pytest.mark.parametrize(
    "other",
    [{"loss": "gaussian"}, {"own": made.WITH_CAMERA}, {"own": made.WITH_CAMERA, "members": 3}],
    ids=lambda other: str(list(other)),
)
def test_other_losses_and_networks_are_left_to_autograd(other):
    made_network = network(**other)
    assert analytic(made_network) is None


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


def test_weights_by_number_count_each_number_for_itself():
    # errors 1 and 3 of one step, weights 3 and 0; 5 and 7 of the other, weights 0 and 1: (3 * 1 + 1 * 7) / 4
    made_network = network(loss="l1", horizon=2, hidden=(4,)).double()
    with torch.no_grad():
        for one in made_network.parameters():
            one.zero_()
    action = torch.tensor([[[1.0, 3.0], [5.0, 7.0]]], dtype=torch.float64)
    weight = torch.tensor([[[3.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
    one = Batch(Window(torch.zeros(1, 1, 11, dtype=torch.float64)), action, weight)
    flat = FlatParameters(made_network)
    assert by_autograd(made_network, flat, one, RNG).total.item() == 2.5
    assert analytic(made_network)(one, RNG).total.item() == 2.5


def test_a_parameter_with_two_names_is_kept_under_both_and_learns_once():
    layers = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    layers[1].weight = layers[0].weight
    layers.register_buffer("count", torch.tensor(3))
    flat = FlatParameters(layers)
    assert len(flat.values) == 4 + 2 + 2
    kept = flat.state_dict(flat.values, flat.buffers())
    assert sorted(kept) == ["0.bias", "0.weight", "1.bias", "1.weight", "count"]
    assert torch.equal(kept["0.weight"], kept["1.weight"])
    torch.nn.Sequential.load_state_dict(layers, kept)
