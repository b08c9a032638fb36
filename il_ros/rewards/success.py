"""A success model: the probability that what is seen is the task's success, learnt from verdicts on episodes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from il_ros.policies.protocol import Transition
from il_ros.rewards.frames import FrameModel, FrameSettings
from il_ros.rewards.registry import RewardFamily


@dataclass(frozen=True)
class SuccessSettings(FrameSettings):
    """`hold_s`: the episode is judged a success when the probability was `threshold` or more for so long.

    `unsure_s`: of the labels: in the seconds before the last `shown_s` of an episode that was marked a success, it may
    already be there, depending on how late it was marked.
    """

    threshold: float = 0.5
    hold_s: float = 0.1
    unsure_s: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold is {self.threshold:g}; it must be above 0 and below 1")
        self.require_seconds("hold_s", "unsure_s")


class SuccessModel(FrameModel):
    """The share of a frame is the probability of success."""

    @torch.no_grad()
    def reward(self, transition: Transition) -> Tensor:
        """Return the probability of success after each step (B,), 0 in the absorbing state.

        A step that terminates is rated by what was seen then: the success ends the episode.
        """
        rated = self.share(transition.following)
        return torch.where(transition.absorbing, torch.zeros_like(rated), rated)


SUCCESS = RewardFamily(SuccessSettings, SuccessModel)
