"""Gradient steps of the small networks of reinforcement learning, and target networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from il_ros.training.optimiser.adam import AdamW
from il_ros.training.optimiser.flat import FlatParameters


class Optimiser:
    """Adam on the parameters of one network, at a fixed rate."""

    def __init__(self, network: nn.Module, rate: float) -> None:
        self._flat = FlatParameters(network)
        self._adam = AdamW(self._flat, weight_decay=0.0)
        self._parameters, self._rate = list(network.parameters()), rate

    def step(self, loss: Tensor) -> None:
        """Take one step along the gradient of a loss (); other networks that the loss depends on get no gradient.

        Raises FloatingPointError when the loss is not finite; the parameters are unchanged then.
        """
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(f"the loss is {float(loss.detach())}")
        gradients = torch.autograd.grad(loss, self._parameters)
        for each, gradient in zip(self._parameters, gradients, strict=True):
            assert each.grad is not None  # a view of the flat vector
            each.grad.copy_(gradient)
        self._adam.step(self._rate)

    def tensors(self) -> dict[str, Tensor]:
        """Return the network's parameters and Adam's state for `restore`; the tensors are not copied."""
        return {"values": self._flat.values, **self._adam.tensors()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; raises KeyError or RuntimeError if it belongs to another network."""
        with torch.no_grad():
            self._flat.values.copy_(tensors["values"])
        self._adam.restore(tensors)


def follow(target: nn.Module, network: nn.Module, share: float) -> None:
    """Move the parameters of a target network towards those of the network by `share` of the difference."""
    with torch.no_grad():
        torch._foreach_lerp_(list(target.parameters()), list(network.parameters()), share)


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with a prefix to their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names have the prefix, without it: the inverse of `named`."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
