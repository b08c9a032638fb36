"""The running episodes of K seeds: each seed acts in an environment of its own, one episode after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from il_ros.rl.steps.buffer import EnvironmentStep
from il_ros.rl.steps.world import BrokenEnvironmentError, World


class OwnEpisodes:
    """Begins an episode wherever one has ended. Starts depend on `seed`, the number of the world and of the episode."""

    def __init__(self, worlds: Sequence[World], seed: int) -> None:
        self._worlds, self._seed = tuple(worlds), seed
        self._begun = [0] * len(worlds)
        self.ended: list[int] = [0] * len(worlds)
        """The number of steps of the episode that ended with the last step of each world; 0: none did."""

    @property
    def begun(self) -> tuple[int, ...]:
        """The number of episodes of each world, with the running one."""
        return tuple(self._begun)

    @property
    def states(self) -> Tensor:
        """The normalised states (K, F) of the running episodes; the first call begins them."""
        for number, begun in enumerate(self._begun):
            if not begun:
                self._begin(number)
        return torch.from_numpy(np.stack([world.state for world in self._worlds]))

    def step(self, actions: NDArray[np.float32]) -> list[EnvironmentStep]:
        """Take a step in each world with its row of the normalised actions (K, L); return what happened.

        Raises BrokenEnvironmentError.
        """
        steps = []
        for number, world in enumerate(self._worlds):
            step, ended = world.step(actions[number].copy())
            steps.append(step)
            self.ended[number] = len(world.taken) if ended else 0
            if ended:
                self._begin(number)
        return steps

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state for `restore`: of each running episode its actions, and where they led to."""
        found = {"episodes": torch.tensor(self._begun)}
        for number, world in enumerate(self._worlds):
            found[f"taken.{number}"] = torch.from_numpy(np.array(world.taken, np.float32))
            found[f"state.{number}"] = torch.from_numpy(world.state.copy())
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Take the running episodes up by their actions; return sentences about those that led elsewhere.

        In their place a new episode begins. Raises KeyError if the state belongs to others, BrokenEnvironmentError.
        """
        self._begun = [int(count) for count in tensors["episodes"]]
        notes = []
        for number, world in enumerate(self._worlds):
            if not self._begun[number]:
                continue
            try:
                world.replay(self._start(number, self._begun[number] - 1), tensors[f"taken.{number}"].numpy())
                same = np.array_equal(world.state, tensors[f"state.{number}"].numpy())
            except BrokenEnvironmentError:
                same = False
            if not same:
                self._begin(number)
                notes.append(
                    f"environment {number} does not repeat its episode: a new one begins, and the result differs from "
                    "that of an uninterrupted training"
                )
        return notes

    def _begin(self, number: int) -> None:
        """Begin the next episode of a world, with a start of its own: the same in each run."""
        self._worlds[number].begin(self._start(number, self._begun[number]))
        self._begun[number] += 1

    def _start(self, number: int, episode: int) -> int:
        drawn = np.random.SeedSequence([self._seed, number, episode]).generate_state(1)[0]
        return int(drawn % (1 << 31))
