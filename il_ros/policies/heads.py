"""Heads: from the trunk's features to a chunk of H actions. Each is a `protocol.Head`."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

LOSSES = ("mse", "l1", "huber")
_ELEMENTWISE = {
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "huber": functional.smooth_l1_loss,
}


class DeterministicHead(nn.Module):
    """Predicts the chunk itself, (B, H, A)."""

    def __init__(self, features: int, horizon: int, action_size: int, loss: str) -> None:
        super().__init__()
        self.chunk_shape = (horizon, action_size)
        self.loss_name = loss
        self.linear = nn.Linear(features, horizon * action_size)

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, H, A), normalised."""
        chunk: Tensor = self.linear(features).view(-1, *self.chunk_shape)
        return chunk

    def loss(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Return the mean over steps of positive weight; a padded step (weight 0) teaches nothing."""
        elementwise: Callable[..., Tensor] = _ELEMENTWISE[self.loss_name]
        if weight is None:
            return elementwise(prediction, target)
        errors = elementwise(prediction, target, reduction="none").mean(dim=2)  # (B, H)
        return (errors * weight).sum() / weight.sum()

    def mode(self, prediction: Tensor) -> Tensor:
        """Return the prediction itself."""
        return prediction
