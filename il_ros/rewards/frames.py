"""What reward models have in common that judge by what is seen at one tick: state features and cameras to a logit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.policies.families.behaviour_cloning import (
    camera_encoders,
    check_widths,
    with_camera_features,
)
from il_ros.policies.protocol import Batch, Loss, ModelSpec, RewardModel, Window, weighted_mean
from il_ros.rewards.registry import RewardSettings


@dataclass(frozen=True)
class FrameSettings(RewardSettings):
    """`hidden`: widths of the layers; `channels`: of the encoder of each camera.

    `shown_s`: the last seconds of an episode that was marked a success show it.
    """

    reads_images: ClassVar[bool] = True

    hidden: tuple[int, ...] = (64,)
    channels: tuple[int, ...] = (16, 32, 32)
    shown_s: float = 0.4

    def __post_init__(self) -> None:
        for name in ("hidden", "channels"):
            check_widths(name, getattr(self, name))
        self.require_seconds("shown_s")

    def require_seconds(self, *names: str) -> None:
        """Raise ValueError unless these settings are from 0 to 10 seconds."""
        for name in names:
            if not 0 <= getattr(self, name) <= 10:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be from 0 to 10 seconds")


class FrameModel(RewardModel):
    """State features and cameras of one tick to a logit, whose sigmoid is a share from 0 to 1."""

    def __init__(self, settings: FrameSettings, spec: ModelSpec, seeds: int = 1) -> None:
        super().__init__()
        if seeds != 1:
            raise ValueError("a model that judges by frames is trained alone, not with several seeds in one")
        self.cameras, width = camera_encoders(settings.channels, spec)
        width += len(spec.inputs.groups)
        layers: list[nn.Module] = []
        for after in settings.hidden:
            layers += [nn.Linear(width, after), nn.ReLU()]
            width = after
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, window: Window) -> Tensor:
        """Return the logit (B,)."""
        logit: Tensor = self.layers(with_camera_features(window, self.cameras))[:, 0]
        return logit

    @torch.no_grad()
    def share(self, window: Window) -> Tensor:
        """Return the share (B,), 0 to 1, without gradient."""
        return torch.sigmoid(self(window))

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the weighted cross-entropy; `batch.action` (B, 1, 1): the share that each tick shows, 0 to 1."""
        assert batch.action is not None
        errors = functional.binary_cross_entropy_with_logits(
            self(batch.observation), batch.action[:, 0, 0], reduction="none"
        )
        return Loss(weighted_mean(errors[:, None, None], batch.weight))
