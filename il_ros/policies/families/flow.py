"""Flow matching: a chunk is drawn by moving noise along a learnt velocity field, in a few steps.

It keeps several ways to do a task apart, where regression answers with their mean. Training draws a time t and noise e
and asks for the chunk a at which the straight path through x = (1 - t) e + t a ends; its velocity is (a - x) / (1 - t)
(Lipman et al. 2023, "Flow Matching for Generative Modeling", with straight paths as in Liu et al. 2023, "Flow Straight
and Fast"). The network answers with the end, not the velocity, so that the last step is as exact as a regression. The
answer integrates the velocity with Euler's method from noise at t = 0. Committed steps are given as they are, if it was
trained with a `prefix`; otherwise they are set to their path at every step, so that the others continue them.
"""

from __future__ import annotations

from dataclasses import dataclass

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
class Flow(DrawnSettings):
    """The settings; config/training/flow.yaml explains each."""


class FlowNetwork(DrawnDenoiser):
    """The network of this family: the completed chunk is the end of the path."""

    def velocity(self, features: Tensor, chunk: Tensor, time: Tensor, given: Tensor | None = None) -> Tensor:
        """Return the velocity (B, H, A) of chunks (B, H, A) at times (B, 1) below 1, given features (B, F)."""
        return (self.end(features, chunk, time, given) - chunk) / (1 - time[..., None])

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the mean squared error of the path's end, at a random time for each sample."""
        action, device = batch.action, batch.observation.state.device
        assert action is not None
        time = uniform((len(batch), 1), rng, device)
        start = noise(action.shape, rng, device)
        given, weight = self.drawn_prefix(batch, rng)
        between = with_given(torch.lerp(start, action, time[..., None]), action, given)
        errors = (self.end(self.features(batch.observation), between, time, given) - action).square()
        return Loss(weighted_mean(errors, weight))

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return a chunk drawn by chance, in `passes` passes of the network."""
        device = batch.observation.state.device
        features, given = self.features(batch.observation), self.committed(previous)
        start = noise((len(batch), *self.chunk_shape), rng, device)
        chunk = start
        for number in range(self.passes):
            time = number / self.passes
            if previous is not None:
                chunk = partly(
                    chunk, torch.lerp(start[:, : previous.shape[1]], previous, time), previous, given
                )
            times = torch.full((len(batch), 1), time, device=device)
            chunk = chunk + self.velocity(features, chunk, times, given) / self.passes
        return Actions(continued(chunk, previous))


FAMILY = Family(Flow, FlowNetwork)
