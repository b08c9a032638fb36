"""A mixture of Gaussians over whole chunks (Bishop 1994, "Mixture Density Networks").

It represents several ways to do a task in its density. Its components need not be these ways: they may be regions of
the state, or share a way between them. The family `moe` keeps ways apart.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from il_ros.policies.heads.gaussian import LOG_STD
from il_ros.policies.heads.head import COMPONENT, DRAWN, MEAN, SAMPLE
from il_ros.policies.networks import together
from il_ros.policies.protocol import Array, noise, uniform

MIXTURE = "mixture"


class MixtureHead(nn.Module):
    """Predicts K components: (B, K, 1 + 2 H A), each the log weight, the means, and the unbounded log deviations.

    All steps of a chunk have one component, so that a chunk belongs to one way. `answer`: see `heads.head`. The
    uncertainty is the standard deviation of what is answered, averaged over the chunk: of the whole mixture for its
    mean, otherwise of the component.
    """

    def __init__(self, features: int, horizon: int, action_size: int, components: int, answer: str) -> None:
        super().__init__()
        self.loss_name, self.drawn = MIXTURE, answer in DRAWN
        self.chunk_shape = (horizon, action_size)
        self._components, self._answer = components, answer
        self.linear = nn.Linear(features, components * (1 + 2 * math.prod(self.chunk_shape)))

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, K, 1 + 2 H A) for features (B, F)."""
        parameters: Tensor = self.linear(features).view(len(features), self._components, -1)
        return parameters

    def parts(self, prediction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log weights (B, K), means (B, K, H, A) and log standard deviations (B, K, H, A)."""
        mean, free = prediction[..., 1:].reshape(*prediction.shape[:2], 2, *self.chunk_shape).unbind(2)
        low, high = LOG_STD
        return torch.log_softmax(prediction[..., 0], dim=1), mean, low + (high - low) * torch.sigmoid(free)

    def loss(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Return the negative log likelihood of the chunks per number, without the constant log(2 pi) / 2.

        The weights of a chunk's steps count within its likelihood, relative to the largest of them.
        """
        log_weight, mean, log_std = self.parts(prediction)
        errors = log_std + 0.5 * ((target[:, None] - mean) / log_std.exp()).square()  # (B, K, H, A)
        weight = target.new_ones((1, 1, 1)) if weight is None else weight
        shares = weight.expand_as(target)
        largest = shares.flatten(1).amax(dim=1)  # (B,)
        relative = shares / largest.clamp(min=1e-12)[:, None, None]
        likelihood = torch.logsumexp(log_weight - (errors * relative[:, None]).flatten(2).sum(dim=2), dim=1)
        return -(largest * likelihood).sum() / together.averaged(shares.sum())

    def chunk(self, prediction: Tensor, rng: torch.Generator) -> Tensor:
        """Return the chunk (B, H, A) that `answer` asks for."""
        log_weight, mean, log_std = self.parts(prediction)
        if self._answer == MEAN:
            return (log_weight.exp()[..., None, None] * mean).sum(dim=1)
        chosen = drawn_by(log_weight, rng) if self.drawn else log_weight.argmax(dim=1)
        centre = mean[torch.arange(len(mean), device=mean.device), chosen]
        if self._answer != SAMPLE:
            return centre
        spread = log_std[torch.arange(len(mean), device=mean.device), chosen].exp()
        return centre + spread * noise(centre.shape, rng, centre.device)

    def uncertainty(self, prediction: Tensor) -> Tensor | None:
        """Return the standard deviation (B,), averaged over the chunk."""
        log_weight, mean, log_std = self.parts(prediction)
        share = log_weight.exp()
        if self._answer == MEAN:
            share = share[..., None, None]
            centre = (share * mean).sum(dim=1, keepdim=True)
            variance = (share * ((2 * log_std).exp() + (mean - centre).square())).sum(dim=1)
            return variance.sqrt().flatten(1).mean(dim=1)
        spread = log_std.exp().flatten(2).mean(dim=2)  # (B, K)
        if self._answer in (COMPONENT, SAMPLE):
            return (share * spread).sum(dim=1)
        return spread.gather(1, share.argmax(dim=1, keepdim=True))[:, 0]

    def spread(self, prediction: Tensor) -> Tensor | None:
        """Return the standard deviation of each number (B, A), root mean square over the chunk, of what is answered."""
        log_weight, mean, log_std = self.parts(prediction)
        share, variance = log_weight.exp()[..., None, None], (2 * log_std).exp()  # (B, K, H, A)
        if self._answer == MEAN:
            centre = (share * mean).sum(dim=1, keepdim=True)
            variance = variance + (mean - centre).square()
        if self._answer in (MEAN, COMPONENT, SAMPLE):
            return (share * variance).sum(dim=1).mean(dim=1).sqrt()
        likeliest = log_weight.argmax(dim=1)
        return variance[torch.arange(len(mean), device=mean.device), likeliest].mean(dim=1).sqrt()

    @torch.no_grad()
    def decode(self, prediction: Array) -> tuple[Array, float | None, Array | None]:
        """Return `chunk`, `uncertainty` and `spread` of one flat prediction, for an answer that is not drawn."""
        values = torch.from_numpy(prediction).view(1, self._components, -1)
        uncertainty, spread = self.uncertainty(values), self.spread(values)
        assert uncertainty is not None
        assert spread is not None
        chunk = self.chunk(values, torch.default_generator)[0].numpy()
        return chunk, float(uncertainty), spread[0].numpy()


def drawn_by(log_weight: Tensor, rng: torch.Generator) -> Tensor:
    """Return one index per row (...,) of log weights (..., K), drawn by the weights."""
    share = log_weight.exp().cumsum(dim=-1)
    draw = uniform((*log_weight.shape[:-1], 1), rng, log_weight.device) * share[..., -1:]
    return (share <= draw).sum(dim=-1).clamp(max=log_weight.shape[-1] - 1)
