"""The interfaces of a policy (for deployment) and of a network (for training)."""

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
    """The policy cannot act: the observation is unusable or the output is not finite."""


class Policy(Protocol):
    """Maps an observation to a chunk of H actions. Trained policies and scripted experts implement it."""

    def act(self, observation: Observation) -> Vector:
        """Return (H, A) absolute commands in the contract's flat order and units."""
        ...


class Head(Protocol):
    """The last part of a network: maps features to a distribution over action chunks.

    `forward` returns the parameters of the distribution in one tensor, `loss` evaluates normalised targets
    under it, `mode` returns the chunk to execute and `uncertainty` its uncertainty. `decode` combines the
    last two in NumPy for one observation; its input is the output of `Network.numpy_forward`.
    """

    def __call__(self, features: Tensor) -> Tensor:
        """Return the prediction (B, ...) for features (B, F)."""
        ...

    def loss(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Return the weighted mean loss () of target (B, H, A); weight (B, H), or None for equal weights."""
        ...

    def mode(self, prediction: Tensor) -> Tensor:
        """Return the chunk (B, H, A), normalised."""
        ...

    def uncertainty(self, prediction: Tensor) -> Tensor | None:
        """Return the uncertainty (B,), >= 0, in units of normalised actions; None if the head has none."""
        ...

    def decode(self, prediction: Array) -> tuple[Array, float | None]:
        """Return the chunk (H, A) and the uncertainty of one flat prediction (P,)."""
        ...


class Network(torch.nn.Module):
    """Encoder, trunk and head. Subclasses set `head` and define `forward(state, images) -> prediction`.

    `state` (B, F): normalised float32 features. `images[key]` (B, H, W, C): decoded frames, uint8 or float32.
    """

    head: Head

    def loss(
        self, state: Tensor, images: Mapping[str, Tensor], target: Tensor, weight: Tensor | None
    ) -> Tensor:
        """Return the loss () of a batch; target (B, H, A) is normalised."""
        return self.head.loss(self(state, images), target, weight)

    def numpy_forward(self) -> Callable[[Array], Array] | None:
        """Return a NumPy forward pass from one state (F,) to the flat prediction (P,); None if unsupported.

        The function holds a copy of the current weights.
        """
        return None
