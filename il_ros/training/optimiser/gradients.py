"""Gradient computation for a batch: by autograd, or analytically for pure MLPs.

With small batches autograd's overhead exceeds the arithmetic (bench/training.py).
Both overwrite the parameters' `.grad` and return the loss.
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
    """Return the fastest gradient function for this network."""
    analytic_gradient = analytic(network) if flat.gradient.device.type == "cpu" else None
    return analytic_gradient or (lambda batch: by_autograd(network, flat, batch))


def by_autograd(network: Network, flat: FlatParameters, batch: Batch) -> Tensor:
    """Return the loss () and write its gradient to `flat.gradient`."""
    flat.gradient.zero_()
    loss = network.loss(batch.state, batch.images, batch.target, batch.weight)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def analytic(network: Network) -> MLPGradient | None:
    """Return the analytic gradient for an MLP network with an elementwise loss; None for any other."""
    if isinstance(network, EnsembleNetwork):
        members, weigh = network.member_layers(), network.step_weights
        layers = None if members is None else [_members(layer) for layer in members]
    elif isinstance(network, BehaviourCloningNetwork):
        linear, weigh = network.linear_layers(), _unchanged
        layers = None if linear is None else [_single(layer) for layer in linear]
    else:
        return None
    loss = network.head.loss_name
    return MLPGradient(layers, loss, weigh) if layers is not None and loss in SLOPES else None


def _unchanged(target: Tensor, weight: Tensor | None) -> Tensor | None:
    return weight


def _members(layer: MemberLinear) -> Layer:
    return Layer(layer.weight.detach(), layer.bias.detach(), _gradient(layer.weight), _gradient(layer.bias))


def _single(layer: torch.nn.Linear) -> Layer:
    """Return a single layer as a group of K = 1."""
    weight, slope = layer.weight.detach(), _gradient(layer.weight)
    bias, shift = layer.bias.detach(), _gradient(layer.bias)
    return Layer(weight.t()[None], bias[None, None], slope.t()[None], shift[None, None])


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None  # set by FlatParameters
    return parameter.grad
