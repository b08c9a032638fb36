"""Two-step regression: a first answer from nothing, and a second one that corrects it.

Pan et al. 2025, "Much Ado About Noising" (arXiv 2512.01809): where there is one way to do a task, it does as well as
flow matching. It costs two passes, and answers the same at every call. Training asks for the chunk a twice: from zeros
at time 0, and from t a plus a little noise at time t near 1. Where there are several ways, the first answer is near
their mean: use `moe` or `flow`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from il_ros.core.settings import one_of
from il_ros.policies.families.denoiser import Denoiser, DenoiserSettings, partly, with_given
from il_ros.policies.families.registry import Family
from il_ros.policies.heads.head import ELEMENTWISE
from il_ros.policies.protocol import Actions, Batch, Loss, ModelSpec, continued, noise, weighted_mean

SECOND = 0.9
"""The time of the second step: the share of the first answer in what it is given."""


@dataclass(frozen=True)
class TwoStep(DenoiserSettings):
    """The settings; config/training/two_step.yaml explains each."""

    loss: str = "mse"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("loss", self.loss, tuple(ELEMENTWISE))


class TwoStepNetwork(Denoiser):
    """The network of this family."""

    def __init__(self, settings: TwoStep, spec: ModelSpec) -> None:
        super().__init__(settings, spec)
        self.error = ELEMENTWISE[settings.loss]

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the sum of the errors of both steps."""
        action, device = batch.action, batch.observation.state.device
        assert action is not None
        features = self.features(batch.observation)
        given, weight = self.drawn_prefix(batch, rng)
        begun = torch.lerp(noise(action.shape, rng, device), action, SECOND)
        parts = {}
        for name, start, time in (("first", torch.zeros_like(action), 0.0), ("second", begun, SECOND)):
            times = torch.full((len(batch), 1), time, device=device)
            found = self.end(features, with_given(start, action, given), times, given)
            parts[name] = weighted_mean(self.error(found, action, reduction="none"), weight)
        return Loss(parts["first"] + parts["second"], {name: part.detach() for name, part in parts.items()})

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return the second answer."""
        features, given = self.features(batch.observation), self.committed(previous)
        chunk = features.new_zeros((len(batch), *self.chunk_shape))
        for time in (0.0, SECOND):
            times = features.new_full((len(batch), 1), time)
            if previous is not None:
                chunk = partly(chunk, time * previous, previous, given)
            chunk = self.end(features, chunk, times, given)
            if time < SECOND:
                chunk = SECOND * continued(chunk, previous)
        return Actions(continued(chunk, previous))


FAMILY = Family(TwoStep, TwoStepNetwork)
