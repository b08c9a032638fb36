"""A success model: the probability that what is seen is the task's success, learnt from verdicts on episodes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from il_ros.policies.protocol import ModelSpec, Transition, Window
from il_ros.rewards.frames import FrameModel, FrameSettings
from il_ros.rewards.registry import RewardFamily

UNFOUND = 0.5


@dataclass(frozen=True)
class SuccessSettings(FrameSettings):
    """`hold_s`: the episode is judged a success when the probability was `threshold` or more for so long.

    A `threshold` of 0 is found by the training (`il_ros.training.rewards.calibration`); 0.5 where it finds none.

    `unsure_s`: of the labels: in the seconds before the last `shown_s` of an episode that was marked a success, it may
    already be there, depending on how late it was marked.
    `scale` and `offset`: of the logit; with several members the training finds them, so that the probability is that of
    the verdict on an episode whose success was seen so clearly for `hold_s`.
    """

    threshold: float = 0.0
    hold_s: float = 0.2
    unsure_s: float = 0.6
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold is {self.threshold:g}; it must be above 0 and below 1, or 0: found")
        if not (self.scale > 0 and math.isfinite(self.scale) and math.isfinite(self.offset)):
            raise ValueError(
                f"scale is {self.scale:g} and offset {self.offset:g}; they must be finite, scale above 0"
            )
        self.require_seconds("hold_s", "unsure_s")

    @property
    def decides_at(self) -> float:
        """The probability from which on the success is there."""
        return self.threshold or UNFOUND


class SuccessModel(FrameModel):
    """The share of a frame is the probability of success."""

    def __init__(self, settings: SuccessSettings, spec: ModelSpec, seeds: int = 1) -> None:
        super().__init__(settings, spec, seeds)
        self._scale, self._offset = settings.scale, settings.offset

    @torch.no_grad()
    def share(self, window: Window) -> Tensor:
        """Return the probability (B,) of success, without gradient."""
        return torch.sigmoid(self._scale * self(window) + self._offset)

    @torch.no_grad()
    def reward(self, transition: Transition) -> Tensor:
        """Return the probability of success after each step (B,), 0 in the absorbing state.

        A step that terminates is rated by what was seen then: the success ends the episode.
        """
        rated = self.share(transition.following)
        return torch.where(transition.absorbing, torch.zeros_like(rated), rated)


SUCCESS = RewardFamily(SuccessSettings, SuccessModel)
