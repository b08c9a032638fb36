"""Rewards as functions of features: linear, one number a state, or a small network. Parameters are one flat vector.

Features are (S, A, F): F numbers for each action in each state.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import nn

from il_ros.core.specs import Vector


class RewardForm(Protocol):
    """A differentiable reward of given features."""

    def initial(self, features: int) -> Vector:
        """Return the parameters before the first step, for F features."""

    def reward(self, parameters: Vector, features: Vector) -> Vector:
        """Return the reward (S, A) of features (S, A, F)."""

    def gradient(self, parameters: Vector, features: Vector, weights: Vector) -> Vector:
        """Return the gradient of the sum of rewards times `weights` (S, A), in the parameters."""


class LinearReward:
    """r(s, a) = parameters . features(s, a); with it the objective is convex."""

    def initial(self, features: int) -> Vector:
        """Return zeros (F,)."""
        return np.zeros(features)

    def reward(self, parameters: Vector, features: Vector) -> Vector:
        """Return the reward (S, A)."""
        found: Vector = features @ parameters
        return found

    def gradient(self, parameters: Vector, features: Vector, weights: Vector) -> Vector:
        """Return the weighted sum of the features (F,)."""
        found: Vector = np.einsum("saf,sa->f", features, weights)
        return found


class TableReward:
    """A number for each of S `states`, times the first feature of a move; with it the objective is convex.

    The same as a linear reward of S features, one for each state, which it need not hold.
    """

    def __init__(self, states: int) -> None:
        self._states = states

    def initial(self, features: int) -> Vector:
        """Return zeros (S,); raises ValueError unless moves have one feature."""
        if features != 1:
            raise ValueError(f"there are {features} features of a move; a reward of states takes one")
        return np.zeros(self._states)

    def reward(self, parameters: Vector, features: Vector) -> Vector:
        """Return the reward (S, A)."""
        found: Vector = parameters[:, None] * features[..., 0]
        return found

    def gradient(self, parameters: Vector, features: Vector, weights: Vector) -> Vector:
        """Return the weighted sum of each state's features (S,)."""
        found: Vector = (features[..., 0] * weights).sum(axis=1)
        return found


class NetworkReward:
    """A perceptron with tanh between its layers (Wulfmeier et al. 2015, "Maximum Entropy Deep Inverse RL").

    `hidden`: widths of its layers. `seed`: of its initial weights.
    """

    def __init__(self, hidden: Sequence[int] = (32, 32), seed: int = 0) -> None:
        if not hidden or min(hidden) < 1:
            raise ValueError(
                f"hidden is {tuple(hidden)}; it needs one layer or more, each of one unit or more"
            )
        self._hidden, self._seed = tuple(hidden), seed

    def initial(self, features: int) -> Vector:
        """Return random weights, scaled by the layers' widths as torch does, and biases."""
        generator = torch.Generator().manual_seed(self._seed)
        flat = [
            (torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1) / np.sqrt(before)
            for before, after in self._layers(features)
            for shape in ((after, before), (after,))
        ]
        return torch.cat([part.flatten() for part in flat]).numpy()

    def reward(self, parameters: Vector, features: Vector) -> Vector:
        """Return the reward (S, A)."""
        with torch.no_grad():
            return self._forward(torch.from_numpy(parameters), torch.from_numpy(features)).numpy()

    def gradient(self, parameters: Vector, features: Vector, weights: Vector) -> Vector:
        """Return the gradient in all weights and biases, by automatic differentiation."""
        flat = torch.from_numpy(parameters).clone().requires_grad_()
        total = (self._forward(flat, torch.from_numpy(features)) * torch.from_numpy(weights)).sum()
        return torch.autograd.grad(total, flat)[0].numpy()

    def _layers(self, features: int) -> list[tuple[int, int]]:
        return list(pairwise((features, *self._hidden, 1)))

    def _forward(self, flat: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        place, layers = 0, self._layers(values.shape[-1])
        for index, (before, after) in enumerate(layers):
            weight = flat[place : place + before * after].view(after, before)
            bias = flat[place + before * after : place + (before + 1) * after]
            place += (before + 1) * after
            values = nn.functional.linear(values, weight, bias)
            if index < len(layers) - 1:
                values = torch.tanh(values)
        return values[..., 0]
