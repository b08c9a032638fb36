"""The policy family `linear`: actions are a linear function of the state."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator, Tensor, nn

from il_ros.policies.families.registry import Family
from il_ros.policies.protocol import (
    Actions,
    Batch,
    Loss,
    ModelSpec,
    PolicyModel,
    PolicySettings,
    Window,
    continued,
    weighted_mean,
)


@dataclass(frozen=True)
class Linear(PolicySettings):
    """The settings that all families have; add your own as fields. A recipe's `policy` sets them."""

    reads_images = False  # cameras among the inputs are refused


class LinearNetwork(PolicyModel):
    """One linear layer from the normalised state of all ticks (B, T * F) to the chunk (B, H, A)."""

    def __init__(self, settings: Linear, spec: ModelSpec) -> None:
        super().__init__()
        self.horizon, self.action_size = settings.horizon, spec.action_size
        numbers = settings.history * len(spec.inputs.groups)
        self.linear = nn.Linear(numbers, self.horizon * self.action_size)

    def forward(self, window: Window) -> Tensor:
        """Return the chunk (B, H, A)."""
        chunk: Tensor = self.linear(window.flat_state).view(-1, self.horizon, self.action_size)
        return chunk

    def loss(self, batch: Batch, rng: Generator) -> Loss:
        """Return the mean squared error."""
        assert batch.action is not None
        errors = (self(batch.observation) - batch.action).square()
        return Loss(weighted_mean(errors, batch.weight))

    def sample(self, batch: Batch, rng: Generator, previous: Tensor | None = None) -> Actions:
        """Return the chunk."""
        return Actions(continued(self(batch.observation), previous))


FAMILY = Family(Linear, LinearNetwork)
