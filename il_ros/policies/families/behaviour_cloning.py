"""Behaviour cloning: a network that maps an observation to the expert's action.

State features and the output of one small CNN per camera → MLP trunk → head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from il_ros.core.settings import at_least, one_of
from il_ros.policies.families.encoders import CameraEncoder
from il_ros.policies.families.heads import GAUSSIAN, LOSSES, DeterministicHead, GaussianHead
from il_ros.policies.families.numpy_forward import mlp_forward
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import ACTION_SCALES, Normaliser
from il_ros.policies.protocol import Array, Network

MOST_LAYERS = 64
"""Layers of a trunk or a camera encoder; a checkpoint's network is built before its weights are known."""


@dataclass(frozen=True)
class BehaviourCloning:
    """The settings of the network; config/training/*.yaml explain each."""

    inputs: tuple[str, ...] = ()
    horizon: int = 1
    hidden: tuple[int, ...] = (256, 256)
    channels: tuple[int, ...] = (16, 32, 32)
    loss: str = "mse"
    variance_power: float = 0.5
    action_scale: str = "min_max"

    def __post_init__(self) -> None:
        at_least("horizon", self.horizon, 1)
        if not self.hidden or not self.channels:
            raise ValueError("hidden and channels must each have at least one layer")
        for field in ("hidden", "channels"):
            if len(getattr(self, field)) > MOST_LAYERS:
                raise ValueError(f"{field} has {len(getattr(self, field))} layers; at most {MOST_LAYERS}")
            for width in getattr(self, field):
                at_least(field, width, 1)
        one_of("loss", self.loss, LOSSES)
        if not 0 <= self.variance_power <= 1:
            raise ValueError(f"variance_power is {self.variance_power}; it must be between 0 and 1")
        one_of("action_scale", self.action_scale, ACTION_SCALES)


class BehaviourCloningNetwork(Network):
    """The network of this family; F may be 0 (images only)."""

    def __init__(
        self, settings: BehaviourCloning, inputs: Inputs, action_size: int, normaliser: Normaliser
    ) -> None:
        super().__init__()
        self.cameras, width = camera_encoders(settings, inputs, normaliser)
        width += len(inputs.groups)
        layers: list[nn.Module] = []
        for after in settings.hidden:
            layers += [nn.Linear(width, after), nn.ReLU()]
            width = after
        self.trunk = nn.Sequential(*layers)
        sizes = (width, settings.horizon, action_size)
        self.head: DeterministicHead | GaussianHead
        if settings.loss == GAUSSIAN:
            self.head = GaussianHead(*sizes, settings.variance_power)
        else:
            self.head = DeterministicHead(*sizes, settings.loss)

    def forward(self, state: Tensor, images: Mapping[str, Tensor]) -> Tensor:
        """Return the head's prediction (B, ...)."""
        prediction: Tensor = self.head(self.trunk(append_camera_features(state, images, self.cameras)))
        return prediction

    def linear_layers(self) -> list[nn.Linear] | None:
        """Return the linear layers of a pure MLP with ReLU in between; None with cameras."""
        if self.cameras:
            return None
        return [layer for layer in self.trunk if isinstance(layer, nn.Linear)] + [self.head.linear]

    def numpy_forward(self) -> Callable[[Array], Array] | None:
        """See `Network.numpy_forward`; None with cameras."""
        layers = self.linear_layers()
        return None if layers is None else mlp_forward(layers)


def camera_encoders(
    settings: BehaviourCloning, inputs: Inputs, normaliser: Normaliser
) -> tuple[nn.ModuleDict, int]:
    """Return one encoder per camera, and their total number of outputs."""
    cameras = {}
    for spec in inputs.images:
        assert spec.image is not None
        cameras[spec.key] = CameraEncoder(spec.image, settings.channels, *normaliser.images[spec.key])
    return nn.ModuleDict(cameras), sum(camera.size for camera in cameras.values())


def append_camera_features(state: Tensor, images: Mapping[str, Tensor], cameras: nn.ModuleDict) -> Tensor:
    """Return the state (B, F) with the encoders' outputs appended."""
    if not cameras:
        return state
    return torch.cat([state, *(camera(images[key]) for key, camera in cameras.items())], dim=1)
