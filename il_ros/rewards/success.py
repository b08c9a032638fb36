"""A success model: the probability that what is seen is the task's success, learnt from verdicts on episodes."""

from __future__ import annotations

import torch
from torch import Tensor

from il_ros.policies.protocol import ModelSpec, Window
from il_ros.rewards.frames import FrameModel
from il_ros.rewards.protocol import Transition
from il_ros.rewards.registry import RewardFamily
from il_ros.rewards.settings import SuccessSettings


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
