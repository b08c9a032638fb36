"""What a reward model says about recorded episodes: the reward along each, its return, and where a success is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.action_form import ActionForm
from il_ros.policies.protocol import Transition, Window
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.frames import FrameSettings
from il_ros.rewards.success import SuccessSettings
from il_ros.rewards.watch import Hold
from il_ros.training.batches import Batches
from il_ros.training.samples import Samples, samples

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
    if isinstance(reward.settings, SuccessSettings):
        seen = np.concatenate(list(_rewards(reward, episode, of_ticks=True)))
        return Rated(episode, time_s, seen, fired_s(seen, time_s, episode.period_ns / 1e9, reward.settings))
    continues = _continues(episode)
    found = np.concatenate(list(_rewards(reward, episode, of_ticks=False)))
    return Rated(episode, time_s[continues], found[continues])


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


def _rewards(reward: LoadedReward, episode: EpisodeArrays, *, of_ticks: bool) -> Iterator[Vector]:
    """Yield the rewards of all steps; with `of_ticks` each tick is taken for what its step led to."""
    reads_actions = not isinstance(reward.settings, FrameSettings)
    size = len(reward.normaliser.actions.centre)
    form = ActionForm.of_size(reward.contract, size) if reads_actions else None
    some = samples([episode], reward.inputs, 1, form=form)
    if not reads_actions:
        some = _without_actions(some)
    batches = Batches(some, reward.inputs, reward.normaliser, "cpu", follows=not of_ticks)
    for batch in batches.in_order(_ROWS):
        assert batch.action is not None
        no = torch.zeros(len(batch), dtype=torch.bool)
        following: Window = batch.observation if batch.following is None else batch.following
        action = batch.action[:, 0].clamp(-1, 1)
        yield (
            reward.network.reward(Transition(batch.observation, action, following, no, no))
            .numpy()
            .astype(float)
        )


def _without_actions(some: Samples) -> Samples:
    return replace(some, actions=np.zeros((len(some), 1, 1)), weights=np.ones((len(some), 1, 1), np.float32))
