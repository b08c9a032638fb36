"""What a reward model says about recorded episodes: the reward along each, its return, and where a success is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.action_form import ActionForm
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.frames import FrameModel
from il_ros.rewards.protocol import Transition
from il_ros.rewards.settings import FrameSettings, SuccessSettings
from il_ros.rewards.watch import Hold
from il_ros.training.batches import Batches
from il_ros.training.rewards.verdicts import seen
from il_ros.training.samples import samples

_ROWS = 256


@dataclass(frozen=True)
class Rated:
    """One episode: `time_s` (N,) since its first tick and `reward` (N,) of each step from a tick to the next one.

    `fired_s`: when a success model first saw the success; None: never, or the reward is another one.
    """

    episode: EpisodeArrays
    time_s: Vector
    reward: Vector
    fired_s: float | None = None

    @property
    def total(self) -> float:
        """The return: the sum of the rewards."""
        return float(self.reward.sum())


def rate(reward: LoadedReward, episode: EpisodeArrays) -> Rated:
    """Return what the model says about an episode of its contract; raises ValueError as `samples`.

    A success model rates each tick; other models rate the step that follows it, and so not the last tick of a run.
    """
    time_s = (episode.ticks_ns - episode.ticks_ns[0]) / 1e9
    continues = _continues(episode)
    if not isinstance(reward.settings, FrameSettings):
        found = np.concatenate(list(_of_steps(reward, episode)))
        return Rated(episode, time_s[continues], found[continues])
    share = shares(reward, episode)
    if isinstance(reward.settings, SuccessSettings):
        return Rated(episode, time_s, share, fired_s(share, time_s, episode.period_ns / 1e9, reward.settings))
    return Rated(episode, time_s[continues], np.diff(share, append=0.0)[continues])


def shares(reward: LoadedReward, episode: EpisodeArrays) -> Vector:
    """Return what a success or progress model says of each tick (N,), 0 to 1; raises ValueError as `samples`."""
    settings, network = reward.settings, reward.network
    assert isinstance(settings, FrameSettings)
    assert isinstance(network, FrameModel)
    some = seen([episode], reward.inputs, settings, settings.history(reward.contract))
    batches = Batches(some, reward.inputs, reward.normaliser, "cpu")
    found = [network.share(batch.observation).numpy().astype(float) for batch in batches.in_order(_ROWS)]
    return np.concatenate(found)


def fired_s(probability: Vector, time_s: Vector, period_s: float, settings: SuccessSettings) -> float | None:
    """Return the time at which the probability was at the threshold for `hold_s`, None if it never was."""
    hold = Hold(settings, period_s)
    for place, value in enumerate(probability):
        if hold.reached(value):
            return float(time_s[place])
    return None


def _continues(episode: EpisodeArrays) -> NDArray[np.bool_]:
    last = [run.stop - 1 for run in episode.runs]
    found = np.ones(len(episode), dtype=bool)
    found[last] = False
    return found


def _of_steps(reward: LoadedReward, episode: EpisodeArrays) -> Iterator[Vector]:
    """Yield the rewards of all steps."""
    form = ActionForm.of_size(reward.contract, len(reward.normaliser.actions.centre))
    batches = Batches(
        samples([episode], reward.inputs, 1, form=form), reward.inputs, reward.normaliser, "cpu", follows=True
    )
    for batch in batches.in_order(_ROWS):
        assert batch.action is not None
        assert batch.following is not None
        no = torch.zeros(len(batch), dtype=torch.bool)
        step = Transition(batch.observation, batch.action[:, 0].clamp(-1, 1), batch.following, no, no)
        yield reward.network.reward(step).detach().numpy().astype(float)
