"""A reward model as the judge of steps: it gives their rewards, and a success model can end their episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.action_form import ActionForm
from il_ros.policies.protocol import Window
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.protocol import Transition
from il_ros.rewards.registry import RewardSettings
from il_ros.rewards.settings import FrameSettings
from il_ros.rewards.watch import RunningWindow, SuccessWatch
from il_ros.rl.steps.buffer import EnvironmentStep
from il_ros.rl.steps.world import StepJudge
from il_ros.training.rewards.rating import rate

Observation = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class ModelReward(RewardSettings):
    """The settings of a reward that a model in a file gives.

    `path`: its folder. `ends`: it is a success model, which ends the episode where it sees the success; the reward is 1
    there and 0 elsewhere. Otherwise each step is given what the model says of it.
    """

    path: str = ""
    ends: bool = True

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("path is empty; it must be the folder of a reward model, such as reward/v1")


def judge_of(reward: LoadedReward, period_s: float, *, ends: bool) -> StepJudge:
    """Return a judge for one environment; raises ValueError when `ends` needs a success model."""
    return _Ending(reward, period_s) if ends else _Rating(reward, period_s)


def judged_steps(
    reward: LoadedReward, episode: EpisodeArrays, steps: Sequence[EnvironmentStep], *, ends: bool
) -> list[EnvironmentStep]:
    """Return the steps of a demonstration with the rewards of the model; with `ends` up to where it sees the success.

    Raises ValueError as `rate`, and where the episode has gaps: steps and rewards could not be told together.
    """
    if len(episode.runs) > 1:
        raise ValueError(
            f"episode {episode.name} has gaps; a reward model rates whole demonstrations: cut it"
        )
    rated = rate(reward, episode)
    if ends:
        fired = rated.fired_s
        count = len(steps) if fired is None else max(1, int(np.searchsorted(rated.time_s, fired)))
        kept = [step._replace(earned=0.0) for step in steps[:count]]
        return kept if fired is None else [*kept[:-1], kept[-1]._replace(earned=1.0, terminated=True)]
    later = len(rated.reward) - (len(episode) - 1)  # a success model rates ticks, and so the first one too
    earned = [*rated.reward[later:].tolist(), float(rated.reward[-1])]
    return [step._replace(earned=value) for step, value in zip(steps, earned, strict=False)]


class _Ending:
    """1 and the end where a success model sees the success."""

    def __init__(self, reward: LoadedReward, period_s: float) -> None:
        self._watch = SuccessWatch(reward, period_s)

    def begin(self) -> None:
        self._watch.begin()

    def rate(
        self, before: Observation, command: Vector, after: Observation, terminated: bool
    ) -> tuple[float, bool]:
        success = self._watch.see(after)
        return float(success), success


class _Rating:
    """What a reward model says of each step."""

    def __init__(self, reward: LoadedReward, period_s: float) -> None:
        self._reward, self._scale = reward, reward.normaliser.actions
        reads = not isinstance(reward.settings, FrameSettings)
        self._form = ActionForm.of_size(reward.contract, len(self._scale.centre)) if reads else None
        self._running = RunningWindow(reward, period_s)
        self._before: Window | None = None

    def begin(self) -> None:
        self._running.begin()
        self._before = None

    def rate(
        self, before: Observation, command: Vector, after: Observation, terminated: bool
    ) -> tuple[float, bool]:
        action = torch.zeros(1, 1)
        if self._form is not None:
            learnt = self._scale.normalise(self._form.learnt_at(command[None], before))
            action = torch.from_numpy(learnt).float().clamp(-1, 1)
        seen = self._running.push(before) if self._before is None else self._before
        self._before = self._running.push(after)
        ended, no = torch.tensor([terminated]), torch.tensor([False])
        step = Transition(seen, action, self._before, ended, no)
        return float(self._reward.network.reward(step)), False
