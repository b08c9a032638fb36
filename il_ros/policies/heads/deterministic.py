"""One number per action: regression by the squared, absolute or Huber error."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from il_ros.policies.heads.head import ELEMENTWISE
from il_ros.policies.protocol import Array, weighted_mean


class DeterministicHead(nn.Module):
    """Predicts the chunk (B, H, A) directly."""

    drawn = False

    def __init__(self, features: int, horizon: int, action_size: int, loss: str) -> None:
        super().__init__()
        self.chunk_shape = (horizon, action_size)
        self.loss_name = loss
        self.linear = nn.Linear(features, horizon * action_size)

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised chunk (B, H, A) for features (B, F)."""
        chunk: Tensor = self.linear(features).view(-1, *self.chunk_shape)
        return chunk

    def loss(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Return the weighted mean loss () over steps; padded steps have weight 0."""
        elementwise = ELEMENTWISE[self.loss_name]
        if weight is None:
            return elementwise(prediction, target)
        return weighted_mean(elementwise(prediction, target, reduction="none"), weight)

    def chunk(self, prediction: Tensor, rng: torch.Generator) -> Tensor:
        """Return the prediction itself."""
        return prediction

    def uncertainty(self, prediction: Tensor) -> Tensor | None:
        """Return None: this head predicts no uncertainty."""
        return None

    def spread(self, prediction: Tensor) -> Tensor | None:
        """Return None: this head predicts no uncertainty."""
        return None

    def decode(self, prediction: Array) -> tuple[Array, float | None, Array | None]:
        """Return `chunk`, `uncertainty` and `spread` of one flat prediction (H*A,), in NumPy."""
        return prediction.reshape(self.chunk_shape), None, None
