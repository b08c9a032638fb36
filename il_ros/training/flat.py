"""All parameters of a network as one vector: one fused call updates them, one array stores them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FlatParameters:
    """`parameter` (P,) holds the values, `gradient` (P,) the gradients; the network's own are views of them.

    The network computes as before: `backward()` adds into the views, an optimiser of `parameter` moves all.
    """

    def __init__(self, network: nn.Module) -> None:
        self._shapes = {name: one.shape for name, one in network.named_parameters()}
        values = torch.cat([one.detach().reshape(-1) for one in network.parameters()])
        self.parameter = nn.Parameter(values)
        self.gradient = torch.zeros_like(values)
        self.parameter.grad = self.gradient
        views, gradients = self.named(values), self.named(self.gradient)
        for name, one in network.named_parameters():
            one.data, one.grad = views[name], gradients[name]

    @property
    def values(self) -> Tensor:
        """Return the values (P,), detached, sharing memory."""
        return self.parameter.detach()

    def named(self, values: Tensor) -> dict[str, Tensor]:
        """Return the parts of a vector (P,) under the network's names and in its shapes; views, no copies."""
        parts = torch.split(values, [shape.numel() for shape in self._shapes.values()])
        return {
            name: part.view(shape) for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }
