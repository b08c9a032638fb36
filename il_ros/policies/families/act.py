"""ACT: a Transformer that predicts long chunks, trained as a conditional variational autoencoder.

Zhao et al. 2023, "Learning Fine-Grained Bimanual Manipulation with Low-Cost Hardware" (arXiv 2304.13705). In training,
a second Transformer compresses the demonstrated chunk and the state to a latent variable, which explains what differs
between people for one observation; a KL term keeps it near a standard normal. The answer takes its mean, 0.
The observation is read as by the family `transformer`, by default of one tick.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from il_ros.core.settings import at_least
from il_ros.policies.families.registry import Family
from il_ros.policies.families.transformer import Block, Transformer, TransformerNetwork
from il_ros.policies.heads.head import ELEMENTWISE
from il_ros.policies.networks import together
from il_ros.policies.protocol import (
    Actions,
    Batch,
    Loss,
    ModelSpec,
    continued,
    noise,
    weighted_mean,
)


@dataclass(frozen=True)
class Act(Transformer):
    """The settings; config/training/act.yaml explains each."""

    history: int = 1
    horizon: int = 20
    width: int = 128
    decoder_blocks: int = 1
    own_motion: bool = True
    latent: int = 32
    kl_weight: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("latent", self.latent, 1)
        at_least("kl_weight", self.kl_weight, 0)


class ActNetwork(TransformerNetwork):
    """The network of this family. Z: size of the latent variable."""

    settings: Act

    def __init__(self, settings: Act, spec: ModelSpec) -> None:
        super().__init__(settings, spec)
        width, steps = settings.width, settings.horizon
        self.action_in = nn.Linear(spec.action_size, width)
        self.state_in = nn.Linear(len(spec.inputs.groups), width) if spec.inputs.groups else None
        self.summary = nn.Parameter(torch.empty(1, 1, width).normal_(std=0.02))
        self.step_code = nn.Parameter(torch.empty(1, steps, width).normal_(std=0.02))
        self.posterior = nn.ModuleList(
            Block(width, settings.heads, feed=settings.feed) for _ in range(settings.blocks)
        )
        self.posterior_out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * settings.latent))
        self.latent_in = nn.Linear(settings.latent, width)

    def latent(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return mean and log variance (B, Z) of the latent variable, given state and demonstrated chunk."""
        action = batch.action
        assert action is not None
        parts = [self.summary.expand(len(action), -1, -1)]
        if self.state_in is not None:
            parts.append(self.state_in(batch.observation.state[:, -1:]))
        tokens = torch.cat([*parts, self.action_in(action) + self.step_code], dim=1)  # (B, N, W)
        exists = tokens.new_ones(tokens.shape[:2], dtype=torch.bool)
        if batch.weight is not None:
            exists[:, len(parts) :] = (batch.weight > 0).any(dim=2)
        allowed = exists[:, None].expand(-1, tokens.shape[1], -1)
        for block in self.posterior:
            tokens = block(tokens, tokens, allowed)
        mean, log_variance = self.posterior_out(tokens[:, 0]).chunk(2, dim=1)
        return mean, log_variance

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the error of the chunk and, weighted, the KL divergence; in validation the latent variable is 0."""
        action = batch.action
        assert action is not None
        count, size = len(action), self.settings.latent
        latent, divergence = action.new_zeros((count, size)), action.new_zeros(())
        if self.training:
            mean, log_variance = self.latent(batch)
            latent = mean + (0.5 * log_variance).exp() * noise(mean.shape, rng, mean.device)
            each = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1)
            shown = action.new_ones(count) if batch.weight is None else batch.weight.flatten(1).amax(dim=1)
            divergence = (each * shown).sum() / together.averaged(shown.sum())
        window = self.shortened(batch.observation, rng)
        found = self(window, self.start + self.latent_in(latent)[:, None])
        error = weighted_mean(ELEMENTWISE[self.settings.loss](found, action, reduction="none"), batch.weight)
        parts = {"error": error.detach(), "kl": divergence.detach()}
        return Loss(error + self.settings.kl_weight * divergence, parts)

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return the chunk for the latent variable's mean."""
        zero = batch.observation.state.new_zeros((len(batch), self.settings.latent))
        chunk = self(batch.observation, self.start + self.latent_in(zero)[:, None])
        return Actions(continued(chunk, previous))


FAMILY = Family(Act, ActNetwork)
