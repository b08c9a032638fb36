"""Network heads: map trunk features to a chunk of H actions. Each implements `protocol.Head`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.policies.protocol import Array

ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "huber": functional.smooth_l1_loss,
}
GAUSSIAN = "gaussian"
LOSSES = (*ELEMENTWISE, GAUSSIAN)
LOG_STD = (-5.0, 1.0)
"""Bounds of the predicted log standard deviation of normalised actions."""


class DeterministicHead(nn.Module):
    """Predicts the chunk (B, H, A) directly."""

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

    def mode(self, prediction: Tensor) -> Tensor:
        """Return the prediction itself."""
        return prediction

    def uncertainty(self, prediction: Tensor) -> Tensor | None:
        """Return None: this head predicts no uncertainty."""
        return None

    def decode(self, prediction: Array) -> tuple[Array, float | None]:
        """Return `mode` and `uncertainty` of one flat prediction (H*A,), in NumPy."""
        return prediction.reshape(self.chunk_shape), None


class GaussianHead(nn.Module):
    """Predicts a mean and a state-dependent standard deviation per action value: (B, 2, H, A).

    The second part is unbounded; a sigmoid maps it into the bounds LOG_STD of the log standard deviation.
    The loss is beta-NLL: the negative log likelihood of each value is weighted by its variance^beta, with a
    stopped gradient (Seitzer et al. 2022, "On the Pitfalls of Heteroscedastic Uncertainty Estimation", eq. 5;
    `variance_power` is their beta). 0 is the plain likelihood, which neglects values with large initial
    errors; 1 fits the means like the squared error. Validation always uses the plain likelihood.
    """

    def __init__(self, features: int, horizon: int, action_size: int, variance_power: float) -> None:
        super().__init__()
        self.parameters_shape = (2, horizon, action_size)
        self.loss_name = GAUSSIAN
        self.variance_power = variance_power
        self.linear = nn.Linear(features, math.prod(self.parameters_shape))

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, 2, H, A): normalised means and the unbounded log standard deviations."""
        parameters: Tensor = self.linear(features).view(-1, *self.parameters_shape)
        return parameters

    def log_std(self, prediction: Tensor) -> Tensor:
        """Return the log standard deviations (B, H, A)."""
        low, high = LOG_STD
        return low + (high - low) * torch.sigmoid(prediction[:, 1])

    def loss(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Return the weighted mean over steps, without the constant log(2 pi) / 2."""
        log_std = self.log_std(prediction)
        errors = log_std + 0.5 * ((target - prediction[:, 0]) / log_std.exp()).square()
        if self.training and self.variance_power:
            errors = errors * (2 * self.variance_power * log_std.detach()).exp()
        return errors.mean() if weight is None else weighted_mean(errors, weight)

    def mode(self, prediction: Tensor) -> Tensor:
        """Return the means (B, H, A)."""
        return prediction[:, 0]

    def uncertainty(self, prediction: Tensor) -> Tensor | None:
        """Return the standard deviation (B,), averaged over the chunk."""
        return self.log_std(prediction).exp().flatten(1).mean(dim=1)

    def decode(self, prediction: Array) -> tuple[Array, float | None]:
        """Return `mode` and `uncertainty` of one flat prediction (2*H*A,), in NumPy."""
        mean, free = prediction.reshape(self.parameters_shape)
        low, high = LOG_STD
        log_std = low + (high - low) / (1.0 + np.exp(-free))
        return mean, float(np.exp(log_std).mean())


def weighted_mean(errors: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of errors (B, H, A) with weight (B, H) per step, or (B, 1, H, A) per step and action."""
    if weight.dim() == 4:
        return (errors * weight[:, 0]).sum() / weight.sum()
    return (errors.mean(dim=2) * weight).sum() / weight.sum()
