"""A success model: the probability that what is seen is the task's success, learnt from verdicts on episodes."""

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
from il_ros.policies.protocol import Batch, Loss, ModelSpec, RewardModel, Transition, Window, weighted_mean
from il_ros.rewards.registry import RewardFamily, RewardSettings


@dataclass(frozen=True)
class SuccessSettings(RewardSettings):
    """`hidden`: widths of the layers; `channels`: of the encoder of each camera.

    `hold_s`: the episode is judged a success when the probability was `threshold` or more for so long.
    `shown_s`, `unsure_s`: of the labels: the last seconds of an episode that was marked a success show it; in those
    before them it may already be there, depending on how late it was marked.
    """

    reads_images: ClassVar[bool] = True

    hidden: tuple[int, ...] = (64,)
    channels: tuple[int, ...] = (16, 32, 32)
    threshold: float = 0.5
    hold_s: float = 0.1
    shown_s: float = 0.4
    unsure_s: float = 0.6

    def __post_init__(self) -> None:
        for name in ("hidden", "channels"):
            check_widths(name, getattr(self, name))
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold is {self.threshold:g}; it must be above 0 and below 1")
        for name in ("hold_s", "shown_s", "unsure_s"):
            if not 0 <= getattr(self, name) <= 10:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be from 0 to 10 seconds")


class SuccessModel(RewardModel):
    """State features and cameras of one tick to a logit."""

    def __init__(self, settings: SuccessSettings, spec: ModelSpec, seeds: int = 1) -> None:
        super().__init__()
        if seeds != 1:
            raise ValueError("a success model is trained alone, not with several seeds in one")
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

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the weighted cross-entropy; `batch.action` (B, 1, 1): 1 where the tick shows the success, else 0."""
        assert batch.action is not None
        errors = functional.binary_cross_entropy_with_logits(
            self(batch.observation), batch.action[:, 0, 0], reduction="none"
        )
        return Loss(weighted_mean(errors[:, None, None], batch.weight))

    @torch.no_grad()
    def reward(self, transition: Transition) -> Tensor:
        """Return the probability of success after each step (B,), 0 in the absorbing state.

        A step that terminates is rated by what was seen then: the success ends the episode.
        """
        rated = torch.sigmoid(self(transition.following))
        return torch.where(transition.absorbing, torch.zeros_like(rated), rated)


SUCCESS = RewardFamily(SuccessSettings, SuccessModel)
