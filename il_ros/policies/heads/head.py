"""What a head is, and the losses of single numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from il_ros.policies.protocol import Array

ELEMENTWISE: dict[str, Callable[..., Tensor]] = {
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "huber": functional.smooth_l1_loss,
}
MODE, MEAN, COMPONENT, SAMPLE = ANSWERS = ("mode", "mean", "component", "sample")
"""What a head answers of its distribution: the most likely chunk, the mean, the centre of a component drawn by its
weight, or a chunk drawn from the distribution."""
DRAWN = (COMPONENT, SAMPLE)


class Head(Protocol):
    """The last part of a network: maps features to a distribution over action chunks.

    `forward` returns the parameters of the distribution in one tensor, `loss` evaluates normalised targets
    under it, `chunk` returns the chunk to execute, `uncertainty` its uncertainty and `spread` that of each number.
    `decode` combines the last three in NumPy for one observation, for heads whose answer is not `drawn`.
    """

    loss_name: str
    drawn: bool
    """Whether the answer is drawn by chance."""

    def __call__(self, features: Tensor) -> Tensor:
        """Return the prediction (B, ...) for features (B, F)."""
        ...

    def loss(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Return the weighted mean loss () of target (B, H, A); weight (B, H, G), or None for equal weights."""
        ...

    def chunk(self, prediction: Tensor, rng: torch.Generator) -> Tensor:
        """Return the chunk (B, H, A), normalised; what is drawn comes from `rng`."""
        ...

    def uncertainty(self, prediction: Tensor) -> Tensor | None:
        """Return the uncertainty (B,), >= 0, in units of normalised actions; None if the head has none."""
        ...

    def spread(self, prediction: Tensor) -> Tensor | None:
        """Return the standard deviation of each number (B, A), root mean square over the chunk; None if it has none."""
        ...

    def decode(self, prediction: Array) -> tuple[Array, float | None, Array | None]:
        """Return the chunk (H, A), the uncertainty and the spread (A,) of one flat prediction (P,)."""
        ...
