"""Behaviour cloning: a network that answers an observation with the action the expert would take.

State → its features; each camera → a small CNN; all of it → an MLP trunk → a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from il_ros.policies.encoders import CameraEncoder
from il_ros.policies.heads import LOSSES, DeterministicHead
from il_ros.policies.inputs import Inputs
from il_ros.policies.normaliser import ACTION_SCALES, Normaliser
from il_ros.policies.protocol import Network
from il_ros.settings import at_least, one_of


@dataclass(frozen=True)
class BehaviourCloning:
    """The settings of a network; config/training/*.yaml explain each."""

    inputs: tuple[str, ...] = ()
    horizon: int = 1
    hidden: tuple[int, ...] = (256, 256)
    channels: tuple[int, ...] = (16, 32, 32)
    loss: str = "mse"
    action_scale: str = "min_max"

    def __post_init__(self) -> None:
        at_least("horizon", self.horizon, 1)
        if not self.hidden or not self.channels:
            raise ValueError("hidden and channels need at least one layer each")
        for field in ("hidden", "channels"):
            for width in getattr(self, field):
                at_least(field, width, 1)
        one_of("loss", self.loss, LOSSES)
        one_of("action_scale", self.action_scale, ACTION_SCALES)


class BehaviourCloningNetwork(Network):
    """See the module. `state_size` F may be 0 (pictures alone)."""

    def __init__(
        self, settings: BehaviourCloning, inputs: Inputs, action_size: int, normaliser: Normaliser
    ) -> None:
        super().__init__()
        cameras = {}
        for spec in inputs.images:
            assert spec.image is not None
            cameras[spec.key] = CameraEncoder(spec.image, settings.channels, *normaliser.images[spec.key])
        self.cameras = nn.ModuleDict(cameras)
        width = len(inputs.groups) + sum(camera.size for camera in cameras.values())
        layers: list[nn.Module] = []
        for after in settings.hidden:
            layers += [nn.Linear(width, after), nn.ReLU()]
            width = after
        self.trunk = nn.Sequential(*layers)
        self.head: DeterministicHead = DeterministicHead(width, settings.horizon, action_size, settings.loss)

    def forward(self, state: Tensor, images: Mapping[str, Tensor]) -> Tensor:
        """Return the prediction (B, H, A), normalised."""
        if self.cameras:
            state = torch.cat([state, *(camera(images[key]) for key, camera in self.cameras.items())], dim=1)
        prediction: Tensor = self.head(self.trunk(state))
        return prediction

    def linear_layers(self) -> list[nn.Linear] | None:
        """Return the layers, ReLU between them, of which this network consists; None if there are others."""
        if self.cameras:
            return None
        return [layer for layer in self.trunk if isinstance(layer, nn.Linear)] + [self.head.linear]
