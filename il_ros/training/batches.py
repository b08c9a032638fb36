"""Samples as tensors in batches: each epoch visits every sample once, in a new random order."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.camera_frames import read_ahead
from il_ros.policies.features import Inputs
from il_ros.policies.networks.together import BatchPart
from il_ros.policies.normaliser import Normaliser
from il_ros.policies.protocol import Batch, Window
from il_ros.policies.vocabulary import Vocabulary
from il_ros.training.samples import Frames, Samples

WHOLE = BatchPart()


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


class Batches:
    """All normalised samples on the device; images are read on demand.

    `replay`: the composition of an epoch; None: all samples. `vocabulary`: for texts among the inputs. `follows`:
    whether batches have the following windows.
    """

    def __init__(
        self,
        samples: Samples,
        inputs: Inputs,
        normaliser: Normaliser,
        device: str,
        replay: ReplayPlan | None = None,
        *,
        vocabulary: Vocabulary | None = None,
        follows: bool = False,
    ) -> None:
        frames = samples.frames
        self.optional = inputs.optional
        self._device, self._replay, self._follows = device, replay, follows
        self._columns = {key: torch.from_numpy(places).to(device) for key, places in inputs.columns.items()}
        self._images = frames.images
        self._states = _tensor(_normalised(frames, inputs, normaliser), device)  # (M, F)
        self._tokens = {
            key: torch.from_numpy(_tokens(texts, vocabulary)).to(device)
            for key, texts in frames.texts.items()
        }
        self._absent = {key: torch.from_numpy(missing).to(device) for key, missing in frames.absent.items()}
        self._target = _tensor(np.nan_to_num(normaliser.actions.normalise(samples.actions)), device)
        self._weight = None if (samples.weights == 1).all() else _tensor(samples.weights, device)
        self._window = torch.from_numpy(samples.window).to(device)
        self._existing = torch.from_numpy(samples.existing).to(device)
        self._following = torch.from_numpy(samples.following).to(device)
        self._continues = torch.from_numpy(samples.continues).to(device)
        # one tick of numbers and images: the states of an epoch are gathered at once, see `shuffled`
        self._plain = samples.window.shape[1] == 1 and not (follows or self._tokens or self._absent)
        self._own = self._states[self._window] if self._plain else None  # (N, 1, F)

    def __len__(self) -> int:
        return len(self._target)

    @property
    def per_epoch(self) -> int:
        """The number of samples in an epoch."""
        return len(self) if self._replay is None else self._replay.per_epoch

    @property
    def has_images(self) -> bool:
        """Whether the samples have images."""
        return bool(self._images)

    def sizes(self, most: int) -> list[int]:
        """Return the sizes of the batches of an epoch: as few as batches of at most `most` samples allow.

        They differ by one sample at most. A small remainder would otherwise get a whole optimiser step: 8 of 1,800
        samples as much as each 256 others.
        """
        count = max(1, math.ceil(self.per_epoch / most))
        small, larger = divmod(self.per_epoch, count)
        return [small + 1] * larger + [small] * (count - larger)

    def shuffled(
        self,
        size: int,
        rng: torch.Generator,
        progress: Callable[[], float] = lambda: 1.0,
        part: BatchPart = WHOLE,
    ) -> Iterator[Batch]:
        """Return the batches of one epoch, of the `sizes` for at most `size` samples, or a part of each batch.

        `progress` is called for each batch, when it is made, and returns its `Batch.progress`.
        """
        if self._replay is None:
            order = torch.randperm(len(self), generator=rng).to(self._device)
        else:
            order = self._replay.order(rng).to(self._device)
        sizes = self.sizes(size)
        if part != WHOLE:
            own = [batch[part.rows(len(batch))] for batch in torch.split(order, sizes)]
            order, sizes = torch.cat(own), [len(batch) for batch in own]
        return self._cut(sizes, order, progress)

    def in_order(self, size: int) -> Iterator[Batch]:
        """Return the batches in sample order, for validation."""
        return self._cut(size, torch.arange(len(self), device=self._device))

    def example(self) -> Batch:
        """Return the first sample as a batch, which shows what batches look like."""
        return next(self._cut(1, torch.zeros(1, dtype=torch.int64, device=self._device)))

    def _cut(
        self, size: int | list[int], order: Tensor, progress: Callable[[], float] = lambda: 1.0
    ) -> Iterator[Batch]:
        # one gather per epoch and one split cost a fraction of a gather or a slice per batch
        numbers, targets = torch.split(order, size), torch.split(self._target[order], size)
        weights: Sequence[Tensor | None] = [None] * len(numbers)
        if self._weight is not None:
            weights = torch.split(self._weight[order], size)
        if self._own is not None:
            columns = self._columns
            states = torch.split(self._own[order], size)
            images: Iterable[dict[str, Tensor] | None] = repeat(None)
            if self._images:
                images = self._pictures(self._window[chosen] for chosen in numbers)
            for seen, state, target, weight in zip(images, states, targets, weights):  # noqa: B905 (endless `repeat`)
                yield Batch(Window(state, columns, seen), target, weight, None, progress())
            return
        wanted = (frames for chosen in numbers for frames, _ in self._frames_of(chosen))
        pictures = self._pictures(wanted)
        for index, chosen in enumerate(numbers):
            windows = [
                self._windows(frames, existing, next(pictures))
                for frames, existing in self._frames_of(chosen)
            ]
            following = windows[1] if self._follows else None
            yield Batch(windows[0], targets[index], weights[index], following, progress())

    def _frames_of(self, chosen: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return the frames of the samples' windows (B, T) and which exist; with `follows` the following ones too."""
        window, existing = self._window[chosen], self._existing[chosen]
        if not self._follows:
            return [(window, existing)]
        newest = slice(-window.shape[1], None)
        after = torch.cat([window, self._following[chosen]], dim=1)[:, newest]
        exists = torch.cat([existing, self._continues[chosen]], dim=1)[:, newest]
        return [(window, existing), (after, exists)]

    def _windows(self, frames: Tensor, existing: Tensor, images: dict[str, Tensor]) -> Window:
        """Return the windows of these frames (B, T) with their images."""
        others = {key: tokens[frames] for key, tokens in self._tokens.items()} | images
        absent = {key: missing[frames] for key, missing in self._absent.items()}
        return Window(self._states[frames], self._columns, others, existing, absent)

    def _pictures(self, wanted: Iterable[Tensor]) -> Iterator[dict[str, Tensor]]:
        """Yield the images of each tensor of frames (B, T) by camera: (B, T, H, W, C); none without cameras."""
        if not self._images:
            yield from ({} for _ in wanted)
            return
        shapes: deque[tuple[int, ...]] = deque()

        def numbers() -> Iterator[list[int]]:
            for frames in wanted:
                shapes.append(tuple(frames.shape))
                yield frames.flatten().tolist()

        for found in read_ahead(self._images, numbers()):
            shape = shapes.popleft()
            yield {
                key: torch.from_numpy(frames.reshape(*shape, *frames.shape[1:])).to(self._device)
                for key, frames in found.items()
            }


def _normalised(frames: Frames, inputs: Inputs, normaliser: Normaliser) -> Vector:
    """Return the normalised features (M, F), 0 where an optional observation is missing."""
    states = normaliser.inputs(frames.features)
    for key, missing in frames.absent.items():
        if key in inputs.columns:
            states[np.ix_(missing, inputs.columns[key])] = 0.0
    return states


def _tokens(texts: NDArray[np.str_], vocabulary: Vocabulary | None) -> NDArray[np.int64]:
    """Return the tokens (M, L) of texts (M,)."""
    if vocabulary is None:
        raise ValueError("texts are among the inputs, but there is no vocabulary")
    different, places = np.unique(texts, return_inverse=True)
    return np.stack([vocabulary.encode(str(text)) for text in different])[places]


def _tensor(values: np.ndarray, device: str) -> Tensor:  # type: ignore[type-arg]
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)
