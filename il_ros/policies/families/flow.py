"""Flow matching: a chunk is drawn by moving noise along a learnt velocity field, in a few steps.

It keeps several ways to do a task apart, where regression answers with their mean. Training draws a time t and noise e
and asks for the chunk a at which the straight path through x = (1 - t) e + t a ends; its velocity is (a - x) / (1 - t)
(Lipman et al. 2023, "Flow Matching for Generative Modeling", with straight paths as in Liu et al. 2023, "Flow Straight
and Fast"). The network answers with the end, not the velocity, so that the last step is as exact as a regression. The
answer integrates the velocity with Euler's method from noise at t = 0. Committed steps are set to their path at every
step, so that the others continue them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from il_ros.core.settings import at_least
from il_ros.policies.families.behaviour_cloning import camera_encoders, check_widths, with_camera_features
from il_ros.policies.families.registry import Family
from il_ros.policies.protocol import (
    Actions,
    Batch,
    Loss,
    ModelSpec,
    PolicyModel,
    PolicySettings,
    continued,
    noise,
    uniform,
    weighted_mean,
)

_WAVES = 4
"""Frequencies by which the network is told the time."""


@dataclass(frozen=True)
class Flow(PolicySettings):
    """The settings; config/training/flow.yaml explains each."""

    horizon: int = 8
    hidden: tuple[int, ...] = (256, 256)
    channels: tuple[int, ...] = (16, 32, 32)
    passes: int = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("hidden", self.hidden)
        check_widths("channels", self.channels)
        at_least("passes", self.passes, 1)


class FlowNetwork(PolicyModel):
    """The network of this family: features of the window, chunk and time in, the end of the chunk's path out."""

    def __init__(self, settings: Flow, spec: ModelSpec) -> None:
        super().__init__()
        self.passes, self.chunk_shape = settings.passes, (settings.horizon, spec.action_size)
        self.cameras, width = camera_encoders(settings.channels, spec)
        numbers = math.prod(self.chunk_shape)
        width = settings.history * (width + len(spec.inputs.groups)) + numbers + 2 * _WAVES
        layers: list[nn.Module] = []
        for after in settings.hidden:
            layers += [nn.Linear(width, after), nn.GELU()]
            width = after
        self.trunk = nn.Sequential(*layers, nn.Linear(width, numbers))

    def velocity(self, features: Tensor, chunk: Tensor, time: Tensor) -> Tensor:
        """Return the velocity (B, H, A) of chunks (B, H, A) at times (B, 1) below 1, given features (B, F)."""
        return (self.end(features, chunk, time) - chunk) / (1 - time[..., None])

    def end(self, features: Tensor, chunk: Tensor, time: Tensor) -> Tensor:
        """Return the chunk (B, H, A) to which the path through a chunk at a time leads."""
        angles = math.pi * time * torch.arange(1, _WAVES + 1, device=time.device)
        told = torch.cat([features, chunk.flatten(1), angles.sin(), angles.cos()], dim=1)
        moved: Tensor = self.trunk(told).view(-1, *self.chunk_shape)
        return moved

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the mean squared error of the path's end, at a random time for each sample."""
        action, device = batch.action, batch.observation.state.device
        assert action is not None
        time = uniform((len(batch), 1), rng, device)
        start = noise(action.shape, rng, device)
        between = torch.lerp(start, action, time[..., None])
        features = with_camera_features(batch.observation, self.cameras)
        errors = (self.end(features, between, time) - action).square()
        return Loss(weighted_mean(errors, batch.weight))

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return a chunk drawn by chance, in `passes` passes of the network."""
        device = batch.observation.state.device
        features = with_camera_features(batch.observation, self.cameras)
        start = noise((len(batch), *self.chunk_shape), rng, device)
        chunk = start
        for number in range(self.passes):
            time = number / self.passes
            if previous is not None:
                chunk = continued(chunk, torch.lerp(start[:, : previous.shape[1]], previous, time))
            times = torch.full((len(batch), 1), time, device=device)
            chunk = chunk + self.velocity(features, chunk, times) / self.passes
        return Actions(continued(chunk, previous))


FAMILY = Family(Flow, FlowNetwork)
