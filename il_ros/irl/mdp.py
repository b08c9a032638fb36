"""A Markov decision process with finitely many states and actions, and a fixed number of steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class TabularMdp:
    """S states, A actions, `horizon` T steps; the reward is an argument of what uses it.

    `transitions`: scipy.sparse CSR array (S * A, S); row s * A + a holds P(s' | s, a). `start` (S,): P(s_0).
    `discount`: weight of a step relative to the step before it, in 0..1.
    Raises ValueError when a row or `start` is no distribution, or a shape or number does not fit.
    """

    transitions: Any
    start: Vector
    horizon: int
    discount: float = 1.0

    def __post_init__(self) -> None:
        rows, states = self.transitions.shape
        if states == 0 or rows == 0 or rows % states:
            raise ValueError(f"transitions are {rows} x {states}; they must be (S * A) x S")
        if self.start.shape != (states,):
            raise ValueError(f"start has shape {self.start.shape}; it must be ({states},)")
        if self.horizon < 1:
            raise ValueError(f"horizon is {self.horizon}; it must be at least 1")
        if not 0 < self.discount <= 1:
            raise ValueError(f"discount is {self.discount:g}; it must be above 0, and at most 1")
        if not np.isfinite(self.transitions.data).all() or (self.transitions.data < 0).any():
            raise ValueError("transitions must be finite and not negative")
        wrong = np.flatnonzero(np.abs(self.transitions.sum(axis=1) - 1) > _ROUNDING)
        if wrong.size:
            state, action = divmod(int(wrong[0]), self.actions)
            total = float(self.transitions.sum(axis=1)[wrong[0]])
            raise ValueError(
                f"state {state}, action {action}: the probabilities add up to {total:g}, not to 1"
            )
        if not (self.start >= 0).all() or abs(float(self.start.sum()) - 1) > _ROUNDING:
            raise ValueError(f"start adds up to {float(self.start.sum()):g}; it must be a distribution")

    @property
    def states(self) -> int:
        """The number of states S."""
        return int(self.transitions.shape[1])

    @property
    def actions(self) -> int:
        """The number of actions A."""
        return int(self.transitions.shape[0] // self.transitions.shape[1])

    @cached_property
    def absorbing(self) -> NDArray[np.bool_]:
        """Which states no action leaves (S,)."""
        own = np.repeat(np.arange(self.states), self.actions)
        stays = np.asarray(self.transitions[np.arange(len(own)), own]).ravel()
        found: NDArray[np.bool_] = np.all(stays.reshape(self.states, self.actions) >= 1 - _ROUNDING, axis=1)
        return found

    def probability(self, state: int, action: int, after: int) -> float:
        """Return P(`after` | `state`, `action`)."""
        return float(self.transitions[state * self.actions + action, after])

    def checked_reward(self, reward: Vector) -> Vector:
        """Return a reward (S,) of states, or (S, A), as (S, A); raises ValueError unless shape and numbers fit."""
        if reward.shape == (self.states,):
            reward = np.repeat(reward[:, None], self.actions, axis=1)
        if reward.shape != (self.states, self.actions):
            raise ValueError(
                f"the reward has shape {reward.shape}; it must be ({self.states}, {self.actions})"
            )
        if not np.isfinite(reward).all():
            state, action = np.argwhere(~np.isfinite(reward))[0]
            raise ValueError(f"state {state}, action {action}: the reward is {reward[state, action]}")
        return reward
