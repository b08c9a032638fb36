"""How the gradient of a batch is computed: by autograd, or written out where the network is MLPs alone.

With small batches autograd's bookkeeping costs more than the arithmetic (bench/training.py).
Both leave the gradient in the parameters' `.grad`, overwritten, and return the loss.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from il_ros.policies.families.behaviour_cloning import BehaviourCloningNetwork
from il_ros.policies.families.ensemble import EnsembleNetwork, MemberLinear
from il_ros.policies.protocol import Network
from il_ros.training.batches import Batch
from il_ros.training.optimiser.flat import FlatParameters
from il_ros.training.optimiser.mlp_gradient import SLOPES, Layer, MLPGradient

Gradient = Callable[[Batch], Tensor]


def gradient_of(network: Network, flat: FlatParameters) -> Gradient:
    """Return the fastest way there is for this network."""
    by_hand = written_out(network) if flat.gradient.device.type == "cpu" else None
    return by_hand or (lambda batch: by_autograd(network, flat, batch))


def by_autograd(network: Network, flat: FlatParameters, batch: Batch) -> Tensor:
    """Return the loss () and leave its gradient."""
    flat.gradient.zero_()
    loss = network.loss(batch.state, batch.images, batch.target, batch.weight)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def written_out(network: Network) -> MLPGradient | None:
    """Return the gradient of a network of MLPs and an elementwise loss; None of any other."""
    if isinstance(network, EnsembleNetwork):
        beside, weigh = network.member_layers(), network.counted
        layers = None if beside is None else [_members(layer) for layer in beside]
    elif isinstance(network, BehaviourCloningNetwork):
        alone, weigh = network.linear_layers(), _as_given
        layers = None if alone is None else [_only(layer) for layer in alone]
    else:
        return None
    loss = network.head.loss_name
    return MLPGradient(layers, loss, weigh) if layers is not None and loss in SLOPES else None


def _as_given(target: Tensor, weight: Tensor | None) -> Tensor | None:
    return weight


def _members(layer: MemberLinear) -> Layer:
    return Layer(layer.weight.detach(), layer.bias.detach(), _gradient(layer.weight), _gradient(layer.bias))


def _only(layer: torch.nn.Linear) -> Layer:
    """Return a layer as one that has no others beside it."""
    weight, slope = layer.weight.detach(), _gradient(layer.weight)
    bias, shift = layer.bias.detach(), _gradient(layer.bias)
    return Layer(weight.t()[None], bias[None, None], slope.t()[None], shift[None, None])


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None  # FlatParameters saw to it
    return parameter.grad
