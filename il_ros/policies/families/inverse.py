"""Inverse model: which action led from what was observed to what was observed afterwards.

It labels demonstrations that lack actions (`il_ros.training.inverse`), from which the other families then learn: Torabi
et al. 2018, "Behavioral Cloning from Observation" (arXiv 1805.01954). It learns from any experience of the robot,
also from commands of a policy, because what a command does depends on nobody's skill. The window of observations ends
at tick t, the following one H ticks later; the answer is the chunk of the H actions between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from il_ros.core.settings import check_widths, one_of
from il_ros.policies.families.registry import Family
from il_ros.policies.heads.head import ELEMENTWISE
from il_ros.policies.networks import activations, together
from il_ros.policies.networks.cameras import PictureSettings, camera_encoders, with_camera_features
from il_ros.policies.protocol import (
    Actions,
    Batch,
    Loss,
    ModelSpec,
    PolicyModel,
    Window,
    continued,
    weighted_mean,
)
from il_ros.records.labelling import DRIVEN, Rule

LEAST_SPREAD = 1e-3
"""A feature changes by at least this along a chunk, in normalised units, or it is taken for noise."""


@dataclass(frozen=True)
class Inverse(PictureSettings):
    """The settings; config/training/inverse.yaml explains each."""

    follows: ClassVar[bool] = True
    rule: ClassVar[Rule] = DRIVEN

    hidden: tuple[int, ...] = (256, 256)
    activation: str = activations.RELU
    loss: str = "l1"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("hidden", self.hidden)
        one_of("activation", self.activation, activations.ACTIVATIONS)
        one_of("loss", self.loss, tuple(ELEMENTWISE))

    @property
    def ahead(self) -> int:
        """The following window ends where the chunk does."""
        return self.horizon


class InverseNetwork(PolicyModel):
    """The network: a linear map and an MLP, added, of both windows and of the change between them.

    The linear map is nearly the whole answer for a robot that follows positions. The change is divided by how much
    each feature changes in the first batch (`spread`): within a tick little does.
    """

    spread: Tensor

    def __init__(self, settings: Inverse, spec: ModelSpec) -> None:
        super().__init__()
        self.shape, self.error = (settings.horizon, spec.action_size), ELEMENTWISE[settings.loss]
        self.cameras, pixels = camera_encoders(settings, spec)
        numbers = settings.history * len(spec.inputs.groups)
        self.register_buffer("spread", torch.zeros(numbers))
        width = 2 * (numbers + settings.history * pixels) + numbers + settings.history
        self.straight = nn.Linear(width, settings.horizon * spec.action_size)
        layers: list[nn.Module] = []
        for after in settings.hidden:
            layers += [nn.Linear(width, after), activations.module(settings.activation)]
            width = after
        self.bent = nn.Sequential(*layers, nn.Linear(width, settings.horizon * spec.action_size))

    def forward(self, window: Window, following: Window | None) -> Tensor:
        """Return the chunk (B, H, A). What does not follow is 0; a column for each tick says so."""
        before, state = with_camera_features(window, self.cameras), window.flat_state
        if following is None:
            known = state.new_zeros(window.state.shape[:2])
            after, change = torch.zeros_like(before), torch.zeros_like(state)
        else:
            known = state.new_ones(window.state.shape[:2])
            known = known if following.past is None else known * following.past
            last = known[:, -1:]  # whether the chunk's end was observed
            after = with_camera_features(following, self.cameras) * last
            change = (following.flat_state - state) * last / self.spread.clamp(min=LEAST_SPREAD)
        seen = torch.cat([before, after, change, known], dim=1)
        answer: Tensor = (self.straight(seen) + self.bent(seen)).view(-1, *self.shape)
        return answer

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the elementwise error."""
        assert batch.action is not None
        if self.training and not self.spread.any() and batch.following is not None:
            change = batch.following.flat_state - batch.observation.flat_state
            self.spread.copy_(together.mean_row(change.square()).sqrt().clamp(min=LEAST_SPREAD))
        found = self(batch.observation, batch.following)
        return Loss(weighted_mean(self.error(found, batch.action, reduction="none"), batch.weight))

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return the chunk between the two windows."""
        return Actions(continued(self(batch.observation, batch.following), previous))


FAMILY = Family(Inverse, InverseNetwork)
