"""What a policy is to those who run it, and what a network is to those who train it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from il_ros.contract import Contract
from il_ros.specs import Vector

Observation = Mapping[str, np.ndarray[Any, Any]]


class PolicyError(ValueError):
    """A policy that can't answer: an observation it can't take, or an answer that is no number."""


class Policy(Protocol):
    """Answers each observation with a chunk of H actions. Trained policies and scripted experts alike."""

    def act(self, observation: Observation) -> Vector:
        """Return (H, A) absolute commands in the contract's flat order and units."""
        ...


class TrainedPolicy(Policy, Protocol):
    """A policy from a checkpoint."""

    contract: Contract
    version: str
    horizon: int


class Head(Protocol):
    """The last part of a network: features to a distribution over chunks, however simple.

    `forward` gives the distribution's parameters in one tensor, `loss` rates normalised targets under it,
    `mode` picks the chunk to act on.
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
