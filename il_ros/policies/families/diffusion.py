"""Diffusion: a chunk is drawn by removing noise from it, in a few steps (Chi et al. 2023, "Diffusion Policy").

Training mixes a chunk a and noise e to x = sqrt(s) a + sqrt(1 - s) e, where the share s of the signal follows a cosine
(Nichol and Dhariwal 2021, "Improved Denoising Diffusion Probabilistic Models"), and asks for a. The answer goes from
noise to the chunk by DDIM (Song et al. 2021, "Denoising Diffusion Implicit Models"), which takes few steps and draws
nothing after the first noise. The network answers with the chunk, not the noise, as for `flow`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from il_ros.policies.families.denoiser import DrawnDenoiser, DrawnSettings, partly, with_given
from il_ros.policies.families.registry import Family
from il_ros.policies.protocol import (
    Actions,
    Batch,
    Loss,
    continued,
    noise,
    uniform,
    weighted_mean,
)


@dataclass(frozen=True)
class Diffusion(DrawnSettings):
    """The settings; config/training/diffusion.yaml explains each."""

    passes: int = 8


class DiffusionNetwork(DrawnDenoiser):
    """The network of this family. The time is 0 at pure noise and 1 without noise."""

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the mean squared error of the chunk, at a random time for each sample."""
        action, device = batch.action, batch.observation.state.device
        assert action is not None
        time = uniform((len(batch), 1), rng, device)
        given, weight = self.drawn_prefix(batch, rng)
        noised = mixed(action, noise(action.shape, rng, device), time)
        errors = (
            self.end(self.features(batch.observation), with_given(noised, action, given), time, given)
            - action
        ).square()
        return Loss(weighted_mean(errors, weight))

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return a chunk drawn by chance, in `passes` passes of the network."""
        device = batch.observation.state.device
        features, given = self.features(batch.observation), self.committed(previous)
        start = noise((len(batch), *self.chunk_shape), rng, device)
        chunk = start
        times = torch.linspace(0, 1, self.passes + 1, device=device)
        for now, after in pairwise(times):
            time = now.expand(len(batch), 1)
            if previous is not None:
                noised = mixed(previous, start[:, : previous.shape[1]], time)
                chunk = partly(chunk, noised, previous, given)
            clean = self.end(features, chunk, time, given)
            signal, spread = amounts(time[..., None])
            chunk = mixed(clean, (chunk - signal * clean) / spread, after.expand(len(batch), 1))
        return Actions(continued(chunk, previous))


def amounts(time: Tensor) -> tuple[Tensor, Tensor]:
    """Return the factors of the chunk and of the noise at times from 0 to 1; their squares sum to 1."""
    angle = math.pi / 2 * time
    return angle.sin(), angle.cos()


def mixed(chunk: Tensor, spread: Tensor, time: Tensor) -> Tensor:
    """Return chunks (B, H, A) with noise (B, H, A) at times (B, 1)."""
    signal, noisy = amounts(time[..., None])
    return signal * chunk + noisy * spread


FAMILY = Family(Diffusion, DiffusionNetwork)
