"""What a policy is to those who run it, and what a network is to those who train it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from il_ros.core.specs import Vector

Array = np.ndarray[Any, Any]
Observation = Mapping[str, Array]


class PolicyError(ValueError):
    """A policy that can't answer: an observation it can't take, or an answer that is no number."""


class Policy(Protocol):
    """Answers each observation with a chunk of H actions. Trained policies and scripted experts alike."""

    def act(self, observation: Observation) -> Vector:
        """Return (H, A) absolute commands in the contract's flat order and units."""
        ...


class Head(Protocol):
    """The last part of a network: features to a distribution over chunks, however simple.

    `forward` gives the distribution's parameters in one tensor, `loss` rates normalised targets under it,
    `mode` picks the chunk to act on, `doubt` says how unsure it is. `read` is the last two for one
    observation, in NumPy, from what `Network.plain` returns.
    """

    def __call__(self, features: Tensor) -> Tensor:
        """Return the prediction (B, ...) of features (B, F)."""
        ...

    def loss(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Return the mean loss () over steps, of target (B, H, A), weighted by (B, H); None: all alike."""
        ...

    def mode(self, prediction: Tensor) -> Tensor:
        """Return the chunk (B, H, A), normalised."""
        ...

    def uncertainty(self, prediction: Tensor) -> Tensor | None:
        """Return how unsure it is (B,), >= 0, in units of normalised actions; None when it can't tell."""
        ...

    def read(self, prediction: Array) -> tuple[Array, float | None]:
        """Return the chunk (H, A) and the doubt of one flat prediction (P,)."""
        ...


class Network(torch.nn.Module):
    """Encoder, trunk and head. Subclasses set `head` and define `forward(state, images) -> prediction`.

    `state` (B, F): normalised float32 features. `images[key]` (B, H, W, C): as decoded, uint8 or float32.
    """

    head: Head

    def loss(
        self, state: Tensor, images: Mapping[str, Tensor], target: Tensor, weight: Tensor | None
    ) -> Tensor:
        """Return the loss () of a batch; target (B, H, A) is normalised."""
        return self.head.loss(self(state, images), target, weight)

    def plain(self) -> Callable[[Array], Array] | None:
        """Return a forward pass from one state (F,) to the flat prediction (P,) in NumPy, if there is one.

        It holds a copy of the weights as they are now.
        """
        return None
