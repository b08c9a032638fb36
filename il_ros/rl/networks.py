"""Small networks of K seeds, evaluated in one batched product.

The cost of a small network is the number of calls, so that five seeds cost little more than one. The seeds share
nothing: their losses are added, and their gradients do not mix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.training.optimiser.adam import AdamW
from il_ros.training.optimiser.flat import FlatParameters


class SeededMlp(nn.Module):
    """K perceptrons with ReLU between their layers: (K, B, sizes[0]) to (K, B, sizes[-1]).

    `layer_norm`: normalise before each ReLU, without parameters. Weights are drawn with `rng`, uniformly within
    1 / sqrt(inputs), as torch's own linear layers.
    """

    def __init__(
        self, seeds: int, sizes: Sequence[int], rng: torch.Generator, *, layer_norm: bool = False
    ) -> None:
        super().__init__()
        self._normalised = layer_norm
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for before, after in pairwise(sizes):
            bound = 1 / math.sqrt(before)
            for parameters, shape in ((self.weights, (before, after)), (self.biases, (1, after))):
                drawn = torch.rand(seeds, *shape, generator=rng)
                parameters.append(nn.Parameter((2 * drawn - 1) * bound))

    def forward(self, values: Tensor) -> Tensor:
        """Return (K, B, sizes[-1])."""
        last = len(self.weights) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = torch.baddbmm(bias, values, weight)
            if index < last:
                if self._normalised:
                    values = functional.layer_norm(values, values.shape[-1:])
                values = functional.relu(values)
        return values


class Optimiser:
    """Adam on the parameters of one network, at a fixed rate."""

    def __init__(self, network: nn.Module, rate: float) -> None:
        self._adam = AdamW(FlatParameters(network), weight_decay=0.0)
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


def follow(target: nn.Module, network: nn.Module, share: float) -> None:
    """Move the parameters of a target network towards those of the network by `share` of the difference."""
    with torch.no_grad():
        torch._foreach_lerp_(list(target.parameters()), list(network.parameters()), share)
