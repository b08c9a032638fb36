"""All parameters of a network in one vector: updated by one fused call, stored as one array."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FlatParameters:
    """`values` (P,) and `gradient` (P,); the network's parameters and their gradients become views of them.

    The network works as before: `backward()` accumulates into the views; `values` holds its parameters.
    """

    def __init__(self, network: nn.Module) -> None:
        self._shapes = {name: one.shape for name, one in network.named_parameters()}
        self.values = torch.cat([one.detach().reshape(-1) for one in network.parameters()])
        self.gradient = torch.zeros_like(self.values)
        views, gradients = self.named(self.values), self.named(self.gradient)
        for name, one in network.named_parameters():
            one.data, one.grad = views[name], gradients[name]

    def named(self, values: Tensor) -> dict[str, Tensor]:
        """Return views of a vector (P,), by parameter name and in parameter shape."""
        parts = torch.split(values, [shape.numel() for shape in self._shapes.values()])
        return {
            name: part.view(shape) for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }
