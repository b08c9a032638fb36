"""Steps of K seeds to draw batches from: what was demonstrated, and what the learners did themselves.

An episode that terminates goes on in an absorbing state, from which every action leads back to it (Kostrikov et al.
2019, "Discriminator-Actor-Critic", section 4.2): its value is learnt like any other, so that neither living nor dying
is rewarded by the form of the reward. A truncated episode could have gone on; nothing is added to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from il_ros.policies.protocol import Window
from il_ros.rewards.protocol import Transition

State = NDArray[np.float32]


class EnvironmentStep(NamedTuple):
    """One step: normalised states (F,) before and after, the normalised action (A,), the environment's reward.

    `terminated`: the task ended the episode with this step; `following` does not count then. `shown`: a person did it.
    """

    observation: State
    action: NDArray[np.float32]
    following: State
    earned: float = 0.0
    terminated: bool = False
    shown: bool = False


class StepBuffer:
    """`capacity` steps of each of K seeds; the oldest are replaced. Absorbing states take up a place, too."""

    def __init__(self, seeds: int, capacity: int, features: int, actions: int) -> None:
        self._stored = {
            "observation": torch.zeros(seeds, capacity, features),
            "action": torch.zeros(seeds, capacity, actions),
            "following": torch.zeros(seeds, capacity, features),
            "earned": torch.zeros(seeds, capacity),
            "terminated": torch.zeros(seeds, capacity, dtype=torch.bool),
            "absorbing": torch.zeros(seeds, capacity, dtype=torch.bool),
        }
        self._added, self._capacity = torch.zeros(seeds, dtype=torch.int64), capacity

    @property
    def counts(self) -> list[int]:
        """The number of stored steps of each seed, with those in the absorbing state."""
        return [int(count) for count in self._added.clamp(max=self._capacity)]

    def add(self, seed: int, step: EnvironmentStep) -> None:
        """Add one step of a seed; after one that terminates, the step in the absorbing state."""
        place = self._place(seed)
        for name in ("observation", "action", "following"):
            self._stored[name][seed, place] = torch.from_numpy(getattr(step, name))
        self._stored["earned"][seed, place] = step.earned
        self._stored["terminated"][seed, place] = step.terminated
        self._stored["absorbing"][seed, place] = False
        if step.terminated:
            place = self._place(seed)
            for name in ("observation", "action", "following", "earned", "terminated"):
                self._stored[name][seed, place] = 0
            self._stored["absorbing"][seed, place] = True

    def copy_newest(self, seed: int, count: int, to: StepBuffer) -> None:
        """Add the newest `count` steps of a seed to another memory, with the absorbing state if they lead there."""
        newest = int(self._added[seed])
        terminated = bool(self._stored["absorbing"][seed, (newest - 1) % self._capacity])
        for number in range(newest - count - terminated, newest):
            place = to._place(seed)
            for name, stored in self._stored.items():
                to._stored[name][seed, place] = stored[seed, number % self._capacity]

    def draw(self, size: int, rng: torch.Generator, ahead: int = 1, discount: float = 1.0) -> Transition:
        """Return `size` steps of each seed (K * size rows), drawn with replacement; raises ValueError without any.

        `ahead`: each leads that many steps of its episode ahead, or to its end, and has earned their discounted sum.
        """
        counts = torch.tensor(self.counts)
        if not counts.all():
            raise ValueError(f"seed {int(counts.argmin())} has no steps to draw from")
        share = torch.rand(len(counts), size, generator=rng, dtype=torch.float64)
        places = (share * counts[:, None]).long()
        seeds = torch.arange(len(counts))[:, None]
        rows = {name: stored[seeds, places].flatten(0, 1) for name, stored in self._stored.items()}
        steps = None
        if ahead > 1:
            last, count, earned = self._led_on(seeds, places, ahead, discount)
            for name in ("following", "terminated"):
                rows[name] = self._stored[name][seeds, last].flatten(0, 1)
            rows["earned"], steps = earned.flatten(), count.flatten()
        return Transition(
            Window(rows["observation"][:, None]),
            rows["action"],
            Window(rows["following"][:, None]),
            rows["terminated"],
            rows["absorbing"],
            rows["earned"],
            steps,
        )

    def _led_on(
        self, seeds: Tensor, places: Tensor, ahead: int, discount: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the last place, the number of steps and the sum of rewards (K, B) of steps that lead on from places.

        The step stored next goes on with an episode if it begins with what the one before it led to.
        """
        kept = self._stored
        last, goes_on = places, ~(kept["absorbing"] | kept["terminated"])[seeds, places]
        count, earned = torch.ones_like(places), kept["earned"][seeds, places].clone()
        for step in range(1, ahead):
            after = (last + 1) % self._capacity
            same = (kept["following"][seeds, last] == kept["observation"][seeds, after]).all(dim=-1)
            written = after != (self._added % self._capacity)[:, None]
            goes_on = goes_on & written & same & ~kept["absorbing"][seeds, after]
            last = torch.where(goes_on, after, last)
            count = count + goes_on
            earned = earned + goes_on * discount**step * kept["earned"][seeds, after]
            goes_on = goes_on & ~kept["terminated"][seeds, after]
        return last, count, earned

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state for `restore`; the tensors are not copied."""
        return {**self._stored, "added": self._added}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; raises KeyError or RuntimeError if it belongs to another buffer."""
        for name, own in self.tensors().items():
            own.copy_(tensors[name])

    def _place(self, seed: int) -> int:
        place = int(self._added[seed]) % self._capacity
        self._added[seed] += 1
        return place


def joined(first: Transition, second: Transition, seeds: int) -> Transition:
    """Return the steps of both batches of K seeds, those of one seed together."""

    def both(one: Tensor, other: Tensor) -> Tensor:
        parts = [tensor.view(seeds, -1, *tensor.shape[1:]) for tensor in (one, other)]
        return torch.cat(parts, dim=1).flatten(0, 1)

    def known(one: Tensor | None, other: Tensor | None) -> Tensor | None:
        return None if one is None or other is None else both(one, other)

    return Transition(
        Window(both(first.observation.state, second.observation.state)),
        both(first.action, second.action),
        Window(both(first.following.state, second.following.state)),
        both(first.terminated, second.terminated),
        both(first.absorbing, second.absorbing),
        known(first.earned, second.earned),
        known(first.ahead, second.ahead),
    )
