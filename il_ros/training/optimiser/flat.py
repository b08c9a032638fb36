"""All parameters of a network as one vector: one fused call updates them, one array stores them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FlatParameters:
    """`values` (P,) and `gradient` (P,): the parameters of a network, and their gradients, are views of them.

    The network computes as before: `backward()` adds into the views, an optimiser of `values` moves all.
    """

    def __init__(self, network: nn.Module) -> None:
        self._shapes = {name: one.shape for name, one in network.named_parameters()}
        self.values = torch.cat([one.detach().reshape(-1) for one in network.parameters()])
        self.gradient = torch.zeros_like(self.values)
        views, gradients = self.named(self.values), self.named(self.gradient)
        for name, one in network.named_parameters():
            one.data, one.grad = views[name], gradients[name]

    def named(self, values: Tensor) -> dict[str, Tensor]:
        """Return the parts of a vector (P,) under the network's names and in its shapes; views, no copies."""
        parts = torch.split(values, [shape.numel() for shape in self._shapes.values()])
        return {
            name: part.view(shape) for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }
