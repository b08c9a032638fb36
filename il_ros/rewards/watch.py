"""A success model beside a running episode: how likely the success is there at each tick, and when it is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from il_ros.policies.protocol import Transition, Window
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.success import SuccessSettings

Observation = Mapping[str, NDArray[Any]]


class Hold:
    """Says when a probability was at the threshold for `hold_s`: the one rule of live and recorded episodes."""

    def __init__(self, settings: SuccessSettings, period_s: float) -> None:
        self._threshold, self._needed = settings.threshold, max(1, round(settings.hold_s / period_s))
        self._row = 0

    def reached(self, probability: float) -> bool:
        """Take the probability of the next tick; return whether the success is there with it."""
        self._row = self._row + 1 if probability >= self._threshold else 0
        return self._row >= self._needed


class SuccessWatch:
    """Watches one episode after the other. Raises ValueError when the reward is no success model."""

    def __init__(self, reward: LoadedReward, period_s: float) -> None:
        if not isinstance(reward.settings, SuccessSettings):
            raise ValueError(
                f"reward {reward.version} is of the family {reward.family}; only a success model says when the task is "
                "done (il-ros reward train)"
            )
        self._reward, self._settings, self._period_s = reward, reward.settings, period_s
        self.begin()

    def begin(self) -> None:
        """Begin an episode."""
        self._hold = Hold(self._settings, self._period_s)
        self.probability = 0.0
        """The probability of success at the last tick."""
        self.fired = False
        """Whether the success has been seen in the running episode."""

    def see(self, observation: Observation) -> bool:
        """Take the observation of the next tick; return whether the success is seen now or was before.

        Raises PolicyError when the observation lacks what the model reads.
        """
        window = window_of(self._reward, observation)
        no = torch.tensor([False])
        step = Transition(window, torch.zeros(1, 1), window, no, no)
        self.probability = float(self._reward.network.reward(step))
        self.fired = self._hold.reached(self.probability) or self.fired
        return self.fired


def window_of(reward: LoadedReward, observation: Observation) -> Window:
    """Return one observation as the model reads it; raises PolicyError when something is missing."""
    inputs = reward.inputs
    state = reward.normaliser.inputs(inputs.state_features(observation)).astype(np.float32)
    frames = {
        spec.key: torch.from_numpy(np.ascontiguousarray(inputs.image(spec, observation)))[None, None]
        for spec in inputs.images
    }
    return Window(torch.from_numpy(state)[None, None], others=frames)
