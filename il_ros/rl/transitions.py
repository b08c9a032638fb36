"""Transitions of K seeds: demonstrations, what the learner did itself, and the scale of observations.

An episode that terminates goes on in an absorbing state, from which every action leads back to it (Kostrikov et al.
2019, "Discriminator-Actor-Critic", section 4.2): its value is learnt like any other, so that neither living nor dying
is rewarded by the form of the reward. A truncated episode could have gone on; nothing is added to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from il_ros.core.specs import Vector


@dataclass(frozen=True, eq=False)
class TransitionBatch:
    """B transitions of each of K seeds.

    `observation`, `following` (K, B, N), scaled; `action` (K, B, A) in -1..1, or (K, B) numbers of actions; `reward`
    (K, B) of the environment, 0 in demonstrations; `shown` (K, B): whether it was demonstrated.
    """

    observation: Tensor
    action: Tensor
    following: Tensor
    reward: Tensor
    shown: Tensor


def joined(first: TransitionBatch, second: TransitionBatch) -> TransitionBatch:
    """Return the transitions of both batches."""
    pairs = (
        (getattr(first, name), getattr(second, name))
        for name in ("observation", "action", "following", "reward", "shown")
    )
    return TransitionBatch(*(torch.cat(pair, dim=1) for pair in pairs))


@dataclass(frozen=True, eq=False)
class ShownEpisode:
    """One demonstration of N steps: `observations` (N + 1, O), `actions` (N, A) in -1..1 or (N,) numbers.

    `terminated`: whether the last observation ends the task; an episode that was only cut off is not terminated.
    Raises ValueError when the lengths do not fit, or a number is not finite.
    """

    observations: Vector
    actions: NDArray[Any]
    terminated: bool = False

    def __post_init__(self) -> None:
        if (
            self.observations.ndim != 2
            or len(self.observations) != len(self.actions) + 1
            or not len(self.actions)
        ):
            raise ValueError(
                f"a demonstration has observations {self.observations.shape} and actions {self.actions.shape}; "
                "it needs one step or more, and one observation more than actions"
            )
        for name, values in (("observations", self.observations), ("actions", self.actions)):
            wrong = np.argwhere(~np.isfinite(values))
            if len(wrong):
                raise ValueError(f"{name} of a demonstration are not finite in step {wrong[0][0]}")


class Scale:
    """Scales observations by what the demonstrations show: asinh((o - mean) / deviation); marks the absorbing state.

    asinh: a learner far away from the demonstrations has large observations, which must not make its networks diverge.
    """

    def __init__(self, episodes: Sequence[ShownEpisode]) -> None:
        seen = np.concatenate([episode.observations for episode in episodes])
        self._mean = seen.mean(axis=0)
        self._deviation = np.maximum(seen.std(axis=0), 0.01 * np.abs(seen).max(axis=0) + 1e-3)
        self.size = seen.shape[1] + 1
        self.absorbing = np.zeros(self.size, np.float32)
        self.absorbing[-1] = 1.0

    def __call__(self, observations: Vector) -> NDArray[np.float32]:
        """Return (..., O + 1) for observations (..., O)."""
        scaled = np.arcsinh((observations - self._mean) / self._deviation)
        mark = np.zeros((*scaled.shape[:-1], 1))
        return np.concatenate([scaled, mark], axis=-1).astype(np.float32)


class Shown:
    """The demonstrations of K seeds, one set for each, to draw batches from.

    Raises ValueError without a demonstration, or when their numbers of observations or actions differ.
    """

    def __init__(self, sets: Sequence[Sequence[ShownEpisode]], scales: Sequence[Scale]) -> None:
        parts = [_steps(episodes, scale) for episodes, scale in zip(sets, scales, strict=True)]
        self._counts = torch.tensor([len(part[1]) for part in parts])
        longest = int(self._counts.max())
        arrays = (np.stack([_filled(part[field], longest) for part in parts]) for field in range(3))
        self.observation, self.action, self.following = (torch.from_numpy(array) for array in arrays)

    @property
    def counts(self) -> list[int]:
        """The number of transitions of each seed."""
        return [int(count) for count in self._counts]

    def draw(self, size: int, rng: torch.Generator) -> TransitionBatch:
        """Return `size` transitions of each seed, drawn with replacement."""
        places = _places(self._counts, size, rng)
        seeds = torch.arange(len(self._counts))[:, None]
        ones = torch.ones(places.shape)
        return TransitionBatch(
            self.observation[seeds, places],
            self.action[seeds, places],
            self.following[seeds, places],
            torch.zeros_like(ones),
            ones,
        )


class ReplayBuffer:
    """What each of K seeds did itself; `capacity` transitions of each, the oldest are replaced."""

    def __init__(self, seeds: int, capacity: int, observation_size: int, action: Tensor) -> None:
        """`action`: an example, whose shape and type all have."""
        self._observation = torch.zeros(seeds, capacity, observation_size)
        self._following = torch.zeros(seeds, capacity, observation_size)
        self._action = torch.zeros((seeds, capacity, *action.shape), dtype=action.dtype)
        self._reward = torch.zeros(seeds, capacity)
        self._added, self._capacity = [0] * seeds, capacity

    def add(self, seed: int, observation: Any, action: Any, following: Any, reward: float) -> None:
        """Add one transition of a seed."""
        place = self._added[seed] % self._capacity
        self._observation[seed, place] = torch.as_tensor(observation)
        self._action[seed, place] = torch.as_tensor(action)
        self._following[seed, place] = torch.as_tensor(following)
        self._reward[seed, place] = reward
        self._added[seed] += 1

    def draw(self, size: int, rng: torch.Generator) -> TransitionBatch:
        """Return `size` transitions of each seed, drawn with replacement."""
        places = _places(torch.tensor(self._added).clamp(max=self._capacity), size, rng)
        seeds = torch.arange(len(self._added))[:, None]
        return TransitionBatch(
            self._observation[seeds, places],
            self._action[seeds, places],
            self._following[seeds, places],
            self._reward[seeds, places],
            torch.zeros(places.shape),
        )


def _places(counts: Tensor, size: int, rng: torch.Generator) -> Tensor:
    return (torch.rand(len(counts), size, generator=rng, dtype=torch.float64) * counts[:, None]).long()


def _filled(values: NDArray[Any], length: int) -> NDArray[Any]:
    """Return the rows, followed by zeros; what lies behind a seed's count is never drawn."""
    return np.concatenate([values, np.zeros((length - len(values), *values.shape[1:]), values.dtype)])


def _steps(episodes: Sequence[ShownEpisode], scale: Scale) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return observations, actions and following observations, with the absorbing state of terminated episodes."""
    if not episodes:
        raise ValueError("there are no demonstrations; at least one is needed")
    if len({(episode.observations.shape[1], episode.actions.shape[1:]) for episode in episodes}) != 1:
        raise ValueError("the demonstrations differ in their numbers of observations or actions")
    observation, action, following = [], [], []
    for episode in episodes:
        scaled = scale(episode.observations)
        observation.append(scaled[:-1])
        after = scaled[1:].copy()
        actions = episode.actions.astype(np.int64 if episode.actions.dtype.kind in "iu" else np.float32)
        action.append(actions)
        if episode.terminated:
            after[-1] = scale.absorbing
            observation.append(scale.absorbing[None])
            action.append(np.zeros_like(actions[:1]))
            after = np.concatenate([after, scale.absorbing[None]])
        following.append(after)
    return np.concatenate(observation), np.concatenate(action), np.concatenate(following)
