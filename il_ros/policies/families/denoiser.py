"""What flow matching, diffusion and two-step regression have in common: a network that completes a chunk.

It is given the features of the window, a chunk that noise or zeros replace in part, and the time: 0 where nothing of
the chunk is there, 1 where all of it is. It answers with the whole chunk.

With `prefix` above 0 it is trained to continue a chunk whose first steps are committed already (Black et al. 2025,
"Training-Time Action Conditioning for Efficient Real-Time Chunking", arXiv 2512.05964): in each training sample the
first 0 to `prefix` steps are given as they are, a mask says so, and only the others are learnt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from il_ros.core.settings import at_least, check_widths
from il_ros.policies.networks.cameras import PictureSettings, camera_encoders, with_camera_features
from il_ros.policies.protocol import (
    Batch,
    ModelSpec,
    PolicyModel,
    Window,
    continued,
    uniform,
)

_WAVES = 4
"""Frequencies by which the network is told the time."""


@dataclass(frozen=True)
class DenoiserSettings(PictureSettings):
    """The settings that these families share."""

    horizon: int = 8
    hidden: tuple[int, ...] = (256, 256)
    prefix: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("hidden", self.hidden)
        at_least("prefix", self.prefix, 0)
        if self.prefix >= self.horizon:
            raise ValueError(f"prefix is {self.prefix}; it must be below horizon, {self.horizon}")


@dataclass(frozen=True)
class DrawnSettings(DenoiserSettings):
    """The settings of families that draw a chunk in several passes of the network."""

    passes: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("passes", self.passes, 1)


class Denoiser(PolicyModel):
    """The network: features of the window, chunk and time in, the completed chunk out."""

    def __init__(self, settings: DenoiserSettings, spec: ModelSpec) -> None:
        super().__init__()
        self.prefix, self.chunk_shape = settings.prefix, (settings.horizon, spec.action_size)
        self.cameras, width = camera_encoders(settings, spec)
        numbers = math.prod(self.chunk_shape)
        told = settings.horizon if settings.prefix else 0
        width = settings.history * (width + len(spec.inputs.groups)) + numbers + 2 * _WAVES + told
        layers: list[nn.Module] = []
        for after in settings.hidden:
            layers += [nn.Linear(width, after), nn.GELU()]
            width = after
        self.trunk = nn.Sequential(*layers, nn.Linear(width, numbers))

    def features(self, window: Window) -> Tensor:
        """Return what the network is given of the window (B, F)."""
        return with_camera_features(window, self.cameras)

    def end(self, features: Tensor, chunk: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        """Return the completed chunk (B, H, A) of one at times (B, 1); `given` (B, H): which steps are committed."""
        angles = math.pi * time * torch.arange(1, _WAVES + 1, device=time.device)
        told = [features, chunk.flatten(1), angles.sin(), angles.cos()]
        if self.prefix:
            told.append(chunk.new_zeros(chunk.shape[:2]) if given is None else given.to(chunk.dtype))
        completed: Tensor = self.trunk(torch.cat(told, dim=1)).view(-1, *self.chunk_shape)
        return completed

    def drawn_prefix(self, batch: Batch, rng: torch.Generator) -> tuple[Tensor | None, Tensor | None]:
        """Return which steps of a training batch are given (B, H), and the weights (B, H, G) of what is learnt."""
        assert batch.action is not None
        if not (self.prefix and self.training):
            return None, batch.weight
        device = batch.action.device
        lengths = (uniform((len(batch), 1), rng, device) * (self.prefix + 1)).long()  # (B, 1)
        given = torch.arange(self.chunk_shape[0], device=device) < lengths
        weight = batch.action.new_ones((1, 1, 1)) if batch.weight is None else batch.weight
        return given, weight * ~given[..., None]

    def committed(self, previous: Tensor | None) -> Tensor | None:
        """Return which steps `previous` (B, K, A) gives, (B, H), for a network that was trained so; otherwise None."""
        if previous is None or not self.prefix:
            return None
        steps = torch.arange(self.chunk_shape[0], device=previous.device) < previous.shape[1]
        return steps.expand(len(previous), -1)


class DrawnDenoiser(Denoiser):
    """A network that is passed `passes` times from noise to the chunk."""

    def __init__(self, settings: DrawnSettings, spec: ModelSpec) -> None:
        super().__init__(settings, spec)
        self.passes = settings.passes


def with_given(chunk: Tensor, whole: Tensor, given: Tensor | None) -> Tensor:
    """Return a chunk (B, H, A) with the steps of the whole one that are `given` (B, H)."""
    return chunk if given is None else torch.where(given[..., None], whole, chunk)


def partly(chunk: Tensor, noised: Tensor, previous: Tensor | None, given: Tensor | None) -> Tensor:
    """Return a chunk with its committed steps: as they are if `given`, otherwise as `noised` (B, K, A), at its time."""
    if previous is None:
        return chunk
    return continued(chunk, noised if given is None else previous)
