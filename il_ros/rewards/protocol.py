"""What a reward model is given, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from il_ros.policies.protocol import Model, Window


@dataclass(frozen=True)
class Transition:
    """B steps of episodes, for rewards: what was seen, what was done (B, A), what was seen then.

    `action`: normalised, as learnt; of a choice 1 for the chosen possibility and -1 for the others.
    `terminated` (B,) bool: the task ended the episode with this action, so an absorbing state follows; a time limit
    terminates nothing. `absorbing` (B,) bool: the step is already in the absorbing state, which is its own successor;
    its observation and action do not count. A reward model must give absorbing states a reward too: without one,
    the sign of the reward alone makes episodes long or short (Kostrikov et al. 2019, "Discriminator-Actor-Critic").
    `earned` (B,): the environment's own reward of the step; None: it is not known.
    `ahead` (B,): the number of the episode's steps from `observation` to `following`, of which `earned` then is the
    discounted sum; None: 1.
    """

    observation: Window
    action: Tensor
    following: Window
    terminated: Tensor
    absorbing: Tensor
    earned: Tensor | None = None
    ahead: Tensor | None = None

    def __post_init__(self) -> None:
        count = len(self.action)
        for name in ("terminated", "absorbing"):
            flags = getattr(self, name)
            if flags.shape != (count,) or flags.dtype != torch.bool:
                raise ValueError(
                    f"{name} is {tuple(flags.shape)} {flags.dtype}; required: ({count},) torch.bool"
                )
        for name in ("observation", "following"):
            found = len(getattr(self, name).state)
            if found != count:
                raise ValueError(f"{name} has {found} samples; required: {count}, as many as actions")

    def __len__(self) -> int:
        return len(self.action)

    @property
    def ends(self) -> Tensor:
        """Whether the step leads into the absorbing state, or is in it (B,) bool."""
        return self.terminated | self.absorbing


class RewardModel(Model):
    """A network that rates steps."""

    def reward(self, transition: Transition) -> Tensor:
        """Return the reward (B,) of each step; see `Transition` for absorbing states."""
        raise NotImplementedError
