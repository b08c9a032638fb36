"""A progress model: how much of the task is done, 0 to 1, learnt from episodes that were marked a success.

No more is labelled than these verdicts: the share of an episode's time that has passed is taken for its progress.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from il_ros.policies.protocol import Transition
from il_ros.rewards.frames import FrameModel, FrameSettings
from il_ros.rewards.registry import RewardFamily


@dataclass(frozen=True)
class ProgressSettings(FrameSettings):
    """The settings; in the last `shown_s` of a success the progress is 1."""


class ProgressModel(FrameModel):
    """The share of a frame is the progress."""

    @torch.no_grad()
    def reward(self, transition: Transition) -> Tensor:
        """Return the progress that each step gained or lost (B,), 0 in the absorbing state.

        The rewards of an episode add up to its progress, whatever its length: neither standing still nor going to and
        fro earns anything.
        """
        gained = self.share(transition.following) - self.share(transition.observation)
        return torch.where(transition.absorbing, torch.zeros_like(gained), gained)


PROGRESS = RewardFamily(ProgressSettings, ProgressModel)
