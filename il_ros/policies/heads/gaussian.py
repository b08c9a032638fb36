"""A mean and a standard deviation per action."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from il_ros.policies.heads.head import DRAWN, MODE, SAMPLE
from il_ros.policies.protocol import Array, noise, weighted_mean

GAUSSIAN = "gaussian"
LOG_STD = (-5.0, 1.0)
"""Bounds of the predicted log standard deviation of normalised actions."""


class GaussianHead(nn.Module):
    """Predicts a mean and a state-dependent standard deviation per action value: (B, 2, H, A).

    The second part is unbounded; a sigmoid maps it into the bounds LOG_STD of the log standard deviation.
    The loss is beta-NLL: the negative log likelihood of each value is weighted by its variance^beta, with a
    stopped gradient (Seitzer et al. 2022, "On the Pitfalls of Heteroscedastic Uncertainty Estimation", eq. 5;
    `variance_power` is their beta). 0 is the plain likelihood, which neglects values with large initial
    errors; 1 fits the means like the squared error. Validation always uses the plain likelihood.
    """

    def __init__(
        self, features: int, horizon: int, action_size: int, variance_power: float, answer: str = MODE
    ) -> None:
        super().__init__()
        self.parameters_shape = (2, horizon, action_size)
        self.loss_name, self.drawn = GAUSSIAN, answer in DRAWN
        self._samples = answer == SAMPLE
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
        return weighted_mean(errors, weight)

    def chunk(self, prediction: Tensor, rng: torch.Generator) -> Tensor:
        """Return the means (B, H, A), or a sample."""
        mean = prediction[:, 0]
        if not self._samples:
            return mean
        return mean + self.log_std(prediction).exp() * noise(mean.shape, rng, mean.device)

    def uncertainty(self, prediction: Tensor) -> Tensor | None:
        """Return the standard deviation (B,), averaged over the chunk."""
        return self.log_std(prediction).exp().flatten(1).mean(dim=1)

    def spread(self, prediction: Tensor) -> Tensor | None:
        """Return the standard deviation of each number (B, A), root mean square over the chunk."""
        return (2 * self.log_std(prediction)).exp().mean(dim=1).sqrt()

    def decode(self, prediction: Array) -> tuple[Array, float | None, Array | None]:
        """Return `chunk`, `uncertainty` and `spread` of one flat prediction (2*H*A,), in NumPy."""
        mean, free = prediction.reshape(self.parameters_shape)
        low, high = LOG_STD
        log_std = low + (high - low) / (1.0 + np.exp(-free))
        std = np.exp(log_std)
        return mean, float(std.mean()), np.sqrt(np.square(std).mean(axis=0))
