"""A progress model: how much of the task is done, 0 to 1, learnt from episodes that were marked a success.

No more is labelled than these verdicts: the share of an episode's time that has passed is taken for its progress.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from il_ros.rewards.frames import FrameModel
from il_ros.rewards.protocol import Transition
from il_ros.rewards.registry import RewardFamily
from il_ros.rewards.settings import ProgressSettings

GAIN = 0.03
"""The progress above the best so far that counts as progress: what a model says of one scene varies."""
DONE = 0.9
"""From this progress on, an episode that gains nothing has not come to a stop but to its end."""


class Stall:
    """For how long the progress of one episode has not risen by GAIN above the best before."""

    def __init__(self) -> None:
        self._best, self.since_s = -math.inf, 0.0

    def after(self, progress: float, passed_s: float) -> float:
        """Take the progress after `passed_s` more seconds; return the time without progress (s), 0 near the end."""
        rises = progress >= self._best + GAIN
        self._best = progress if rises else self._best
        self.since_s = 0.0 if rises or progress >= DONE else self.since_s + passed_s
        return self.since_s


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
