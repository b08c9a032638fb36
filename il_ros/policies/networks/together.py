"""Several processes that train one network: each has a part of every batch, and the result is that of the whole batch.

A loss is a sum over the samples of a batch, divided by the sum of their weights. Where a loss divides by `averaged`
(`mean` and `weighted_mean` do), the mean of the losses of all processes is the loss of the whole batch, and the mean of
their gradients its gradient, whatever weights fall to which process. A loss that divides by the weights of its own
part is the usual approximation. What is random is drawn for the whole batch (`PartialGenerator`). In a training alone,
all this does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

Average = Callable[[Tensor], Tensor]
"""Maps a tensor of each process to the mean over all processes."""

_average: Average | None = None


@dataclass(frozen=True)
class BatchPart:
    """The part of one process: number `rank` of `of` equal parts, which differ by one sample at most."""

    rank: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.of:
            raise ValueError(
                f"rank is {self.rank}; it must be 0 to {self.of - 1}, because there are {self.of}"
            )

    def rows(self, count: int) -> slice:
        """Return the samples of this part among `count`."""
        return slice(count * self.rank // self.of, count * (self.rank + 1) // self.of)


class PartialGenerator(torch.Generator):
    """A generator whose draws for the samples of a part are those for the whole batch.

    It is in the same state in all processes, and in a training alone.
    """

    part = BatchPart()
    count = 0

    def begin(self, part: BatchPart, count: int) -> None:
        """Draw from now on for this part of a batch of `count` samples."""
        self.part, self.count = part, count


def drawn(draw: Callable[[tuple[int, ...]], Tensor], shape: Sequence[int], rng: torch.Generator) -> Tensor:
    """Return a random tensor (B, ...) that `draw` makes with `rng`, of a `PartialGenerator` the rows of its part."""
    if isinstance(rng, PartialGenerator):
        rows = rng.part.rows(rng.count)
        if shape and shape[0] == rows.stop - rows.start:
            return draw((rng.count, *shape[1:]))[rows]
    return draw(tuple(shape))


def averaged(amount: Tensor) -> Tensor:
    """Return the mean of an amount over all processes, without its gradient; in a training alone the amount."""
    return amount if _average is None else _average(amount.detach())


def averaged_count(count: int) -> float:
    """Return the mean of a count over all processes; in a training alone the count."""
    return count if _average is None else _average(torch.tensor(float(count), dtype=torch.float64)).item()


def mean(values: Tensor) -> Tensor:
    """Return the mean () of values (B, ...) of the whole batch, see above."""
    if _average is None:
        return values.mean()
    return values.sum() / averaged_count(values.numel())


def mean_row(values: Tensor) -> Tensor:
    """Return the mean (...) of the rows of values (B, ...), equal in all processes and without its gradient."""
    if _average is None:
        return values.mean(dim=0)
    return averaged(values.sum(dim=0)) / averaged_count(len(values))


@contextmanager
def averaging(average: Average) -> Iterator[None]:
    """Have all losses inside the context be those of a part; `average` is called by all processes in the same order."""
    global _average
    before, _average = _average, average
    try:
        yield
    finally:
        _average = before
