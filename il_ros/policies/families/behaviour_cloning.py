"""Behaviour cloning: a network that maps a window of observations to the expert's action.

State features of all ticks and the output of one small CNN per camera → MLP trunk → head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from il_ros.core.settings import at_least, check_widths, one_of
from il_ros.policies.families.registry import Family
from il_ros.policies.heads.categorical import CATEGORICAL, CategoricalHead
from il_ros.policies.heads.deterministic import DeterministicHead
from il_ros.policies.heads.gaussian import GAUSSIAN, GaussianHead
from il_ros.policies.heads.head import ANSWERS, COMPONENT, ELEMENTWISE, MODE
from il_ros.policies.heads.mixture import MIXTURE, MixtureHead
from il_ros.policies.networks import activations
from il_ros.policies.networks.cameras import PictureSettings, camera_encoders, with_camera_features
from il_ros.policies.networks.numpy_forward import mlp_forward
from il_ros.policies.protocol import (
    Actions,
    Batch,
    Loss,
    ModelSpec,
    NumpyForward,
    Perceptrons,
    PolicyModel,
    Window,
    continued,
)

LOSSES = (*ELEMENTWISE, GAUSSIAN, MIXTURE, CATEGORICAL)
MOST_COMPONENTS, MOST_BINS = 64, 1024


@dataclass(frozen=True)
class BehaviourCloning(PictureSettings):
    """The settings of the network; config/training/*.yaml explain each."""

    hidden: tuple[int, ...] = (256, 256)
    activation: str = activations.RELU
    loss: str = "mse"
    variance_power: float = 0.5
    components: int = 5
    bins: int = 64
    answer: str = MODE

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("hidden", self.hidden)
        one_of("activation", self.activation, activations.ACTIVATIONS)
        one_of("loss", self.loss, LOSSES)
        if not 0 <= self.variance_power <= 1:
            raise ValueError(f"variance_power is {self.variance_power}; it must be between 0 and 1")
        for name, most in (("components", MOST_COMPONENTS), ("bins", MOST_BINS)):
            at_least(name, getattr(self, name), 2)
            if getattr(self, name) > most:
                raise ValueError(f"{name} is {getattr(self, name)}; at most {most}")
        one_of("answer", self.answer, ANSWERS)
        if self.answer == COMPONENT and self.loss != MIXTURE:
            raise ValueError(f"answer: '{COMPONENT}' is for loss: {MIXTURE}; this one has no components")
        if self.answer != MODE and self.loss in ELEMENTWISE:
            raise ValueError(
                f"answer: '{self.answer}' needs a distribution; loss: {self.loss} predicts one chunk"
            )
        if self.loss == CATEGORICAL and self.action_scale != "min_max":
            raise ValueError(
                "action_scale must be min_max with loss: categorical, whose bins go from -1 to 1"
            )


class BehaviourCloningNetwork(PolicyModel):
    """The network of this family; F may be 0 (images only)."""

    def __init__(self, settings: BehaviourCloning, spec: ModelSpec) -> None:
        super().__init__()
        self.settings = settings
        self.cameras, width = camera_encoders(settings, spec)
        width = settings.history * (width + len(spec.inputs.groups))
        layers: list[nn.Module] = []
        for after in settings.hidden:
            layers += [nn.Linear(width, after), activations.module(settings.activation)]
            width = after
        self.trunk = nn.Sequential(*layers)
        self.head = made_head(settings, width, spec)

    def forward(self, window: Window) -> Tensor:
        """Return the head's prediction (B, ...)."""
        prediction: Tensor = self.head(self.trunk(with_camera_features(window, self.cameras)))
        return prediction

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the head's loss."""
        assert batch.action is not None
        return Loss(self.head.loss(self(batch.observation), batch.action, batch.weight))

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return the chunk that the head answers."""
        prediction = self(batch.observation)
        chunk = self.head.chunk(prediction, rng)
        uncertainty, spread = self.head.uncertainty(prediction), self.head.spread(prediction)
        return Actions(continued(chunk, previous), uncertainty, spread=spread)

    def linear_layers(self) -> list[nn.Linear]:
        """Return the linear layers of trunk and head."""
        return [layer for layer in self.trunk if isinstance(layer, nn.Linear)] + [self.head.linear]

    def perceptrons(self) -> Perceptrons | None:
        """See `PolicyModel.perceptrons`; None with cameras."""
        if self.cameras:
            return None
        activation = self.settings.activation
        return Perceptrons(self.linear_layers(), activation, self.head.loss_name, _unchanged)

    def numpy_forward(self) -> NumpyForward | None:
        """See `PolicyModel.numpy_forward`; None with cameras, and where the answer is drawn."""
        if self.cameras or self.head.drawn:
            return None
        decode = self.head.decode
        forward = mlp_forward(self.linear_layers(), self.settings.activation)
        return lambda state: decode(forward(state))


AnyHead = DeterministicHead | GaussianHead | MixtureHead | CategoricalHead


def made_head(settings: BehaviourCloning, features: int, spec: ModelSpec) -> AnyHead:
    """Return the head for `settings.loss`, on (B, features)."""
    sizes = (features, settings.horizon, spec.action_size)
    if settings.loss == GAUSSIAN:
        return GaussianHead(*sizes, settings.variance_power, settings.answer)
    if settings.loss == MIXTURE:
        return MixtureHead(*sizes, settings.components, settings.answer)
    if settings.loss == CATEGORICAL:
        return CategoricalHead(*sizes[:2], spec, settings.bins, settings.answer)
    return DeterministicHead(*sizes, settings.loss)


def _unchanged(action: Tensor, weight: Tensor | None) -> Tensor | None:
    return weight


FAMILY = Family(BehaviourCloning, BehaviourCloningNetwork)
