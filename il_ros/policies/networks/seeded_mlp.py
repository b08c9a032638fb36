"""Small perceptrons of K seeds, evaluated in one batched product.

The cost of a small network is the number of calls, so that five seeds cost little more than one. The seeds share
nothing: their losses are added, and their gradients do not mix.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.policies.families.ensemble import MemberLinear
from il_ros.policies.networks import activations
from il_ros.policies.protocol import Window


class SeededMlp(nn.Module):
    """K perceptrons: (K, B, sizes[0]) to (K, B, sizes[-1]).

    `activation`: the one between the layers; `layer_norm`: normalise before it, without parameters.
    """

    def __init__(
        self,
        seeds: int,
        sizes: Sequence[int],
        activation: str = activations.RELU,
        *,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.seeds, self._normalised = seeds, layer_norm
        self.activation = activation
        self._activate = activations.module(activation)
        self.layers = nn.ModuleList(MemberLinear(seeds, *shape) for shape in pairwise(sizes))

    def linear_layers(self) -> list[MemberLinear]:
        """Return the layers."""
        return [layer for layer in self.layers if isinstance(layer, MemberLinear)]

    def forward(self, values: Tensor) -> Tensor:
        """Return (K, B, sizes[-1])."""
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            values = layer(values)
            if index < last:
                if self._normalised:
                    values = functional.layer_norm(values, values.shape[-1:])
                values = self._activate(values)
        return values

    def of_rows(self, rows: Tensor) -> Tensor:
        """Return (K * B, sizes[-1]) for the rows of all seeds (K * B, sizes[0]), those of one seed together."""
        answer: Tensor = self(rows.view(self.seeds, -1, rows.shape[1]))
        return answer.flatten(0, 1)


def marked_state(window: Window, absorbing: Tensor | None = None) -> Tensor:
    """Return the network's input (B, T * F + 1): asinh of the normalised state, and 1 in the absorbing state.

    asinh: a learner far away from the demonstrations has large observations, which must not make its networks diverge.
    `absorbing` (B,) bool: the rows in the absorbing state, whose other inputs are 0; None: no row is.
    """
    state = torch.asinh(window.flat_state)
    if absorbing is None:
        return torch.cat([state, state.new_zeros(len(state), 1)], dim=1)
    return torch.cat([state * ~absorbing[:, None], absorbing[:, None].to(state.dtype)], dim=1)


def one_seed(parameters: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Return the parameters of one of K seeds, for a network of one seed; all have a first axis of K."""
    return {name: values[seed : seed + 1].clone() for name, values in parameters.items()}
