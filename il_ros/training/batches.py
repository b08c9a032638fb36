"""Samples as tensors in batches: each epoch visits every sample once, in a new random order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Normaliser
from il_ros.training.samples import CameraFrames, Samples


@dataclass(frozen=True)
class ReplayPlan:
    """The composition of an epoch that replays: all new samples and `old` of the others.

    `new` (N,): True for new samples. The old ones are drawn again for each epoch, without replacement.
    """

    new: NDArray[np.bool_]
    old: int

    def __post_init__(self) -> None:
        others = len(self.new) - int(self.new.sum())
        if not 0 <= self.old <= others:
            raise ValueError(f"old is {self.old}; it must be 0 to {others}, the number of known samples")

    @property
    def per_epoch(self) -> int:
        """The number of samples in an epoch."""
        return int(self.new.sum()) + self.old

    def order(self, rng: torch.Generator) -> Tensor:
        """Return the shuffled sample indices of one epoch."""
        new = torch.from_numpy(self.new)
        others = torch.nonzero(~new).flatten()
        drawn = others[torch.randperm(len(others), generator=rng)[: self.old]]
        chosen = torch.cat([torch.nonzero(new).flatten(), drawn])
        return chosen[torch.randperm(len(chosen), generator=rng)]


@dataclass(frozen=True)
class Batch:
    """B samples in the form that `Network.loss` takes; `weight` is None if all steps have weight 1."""

    state: Tensor
    images: Mapping[str, Tensor]
    target: Tensor
    weight: Tensor | None

    def __len__(self) -> int:
        return len(self.state)


class Batches:
    """All normalised samples on the device; images are read on demand.

    state (N, F), target (N, H, A), weight (N, H), or (N, 1, H, A) where actions have weights of their own: float32.
    `replay`: the composition of an epoch; None: all samples.
    """

    def __init__(
        self,
        samples: Samples,
        inputs: Inputs,
        normaliser: Normaliser,
        device: str,
        replay: ReplayPlan | None = None,
    ) -> None:
        features = normaliser.inputs(samples.features)
        self._state = _tensor(features, device)
        # an action without a label is NaN and has weight 0
        self._target = _tensor(np.nan_to_num(normaliser.actions.normalise(samples.actions)), device)
        weights = samples.weights[..., 0] if samples.weights.shape[2] == 1 else samples.weights[:, None]
        self._weight = None if (samples.weights == 1).all() else _tensor(weights, device)
        self._images: Mapping[str, CameraFrames] = samples.images
        self._device = device
        self._replay = replay

    def __len__(self) -> int:
        return len(self._state)

    @property
    def per_epoch(self) -> int:
        """The number of samples in an epoch."""
        return len(self) if self._replay is None else self._replay.per_epoch

    @property
    def has_images(self) -> bool:
        """Whether the samples have images."""
        return bool(self._images)

    def shuffled(self, size: int, rng: torch.Generator) -> Iterator[Batch]:
        """Return the batches of one epoch: as few as batches of at most `size` samples allow, of equal size.

        Sizes differ by one sample at most. A small remainder would otherwise get a whole optimiser step:
        8 of 1,800 samples as much as each 256 others.
        """
        # one gather per epoch and slices cost less than a gather per batch
        if self._replay is None:
            order = torch.randperm(len(self), generator=rng).to(self._device)
        else:
            order = self._replay.order(rng).to(self._device)
        weight = None if self._weight is None else self._weight[order]
        count = max(1, math.ceil(len(order) / size))
        small, larger = divmod(len(order), count)
        sizes = [small + 1] * larger + [small] * (count - larger)
        return self._cut(sizes, order, self._state[order], self._target[order], weight)

    def in_order(self, size: int) -> Iterator[Batch]:
        """Return the batches in sample order, for validation."""
        return self._cut(size, torch.arange(len(self)), self._state, self._target, self._weight)

    def _cut(
        self, size: int | list[int], order: Tensor, state: Tensor, target: Tensor, weight: Tensor | None
    ) -> Iterator[Batch]:
        # one split call costs a fraction of slicing batch by batch
        states, targets = torch.split(state, size), torch.split(target, size)
        weights = [None] * len(states) if weight is None else torch.split(weight, size)
        for index, numbers in enumerate(torch.split(order, size)):
            images = self._images_of(numbers) if self._images else {}
            yield Batch(states[index], images, targets[index], weights[index])

    def _images_of(self, order: Tensor) -> dict[str, Tensor]:
        numbers = order.tolist()
        return {
            key: torch.from_numpy(frames.take(numbers)).to(self._device)
            for key, frames in self._images.items()
        }


def shifted(images: Tensor, shift_px: int, rng: torch.Generator) -> Tensor:
    """Return images (B, H, W, C), each shifted by up to `shift_px` in both axes, with repeated borders.

    Random shifts regularise camera networks (Yarats et al. 2021, DrQ).
    """
    count, height, width, _ = images.shape
    offsets = torch.randint(-shift_px, shift_px + 1, (count, 2, 1), generator=rng).to(images.device)
    rows = (torch.arange(height, device=images.device) + offsets[:, 0]).clamp_(0, height - 1)  # (B, H)
    columns = (torch.arange(width, device=images.device) + offsets[:, 1]).clamp_(0, width - 1)  # (B, W)
    batch = torch.arange(count, device=images.device)[:, None, None]
    return images[batch, rows[:, :, None], columns[:, None, :]]


def _tensor(values: np.ndarray, device: str) -> Tensor:  # type: ignore[type-arg]
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)
