"""Gradient accumulation: the gradient of a batch, computed in parts one after the other to save memory.

The parts are those of processes that share a batch (`il_ros.policies.networks.together`), so the result is that of the
whole batch up to rounding, whatever weights fall to which part: what a loss averages over its batch, such as the sum of
weights that it divides by, is averaged over the parts, what it draws is drawn for the whole batch, and so are buffers.
These averages are known only after the last part. So each part is computed twice, first without gradients, which costs
about a third more time than one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from il_ros.policies.networks import together
from il_ros.policies.networks.together import BatchPart, PartialGenerator
from il_ros.policies.protocol import Batch, Loss, Model
from il_ros.training.optimiser.flat import FlatParameters
from il_ros.training.optimiser.gradients import autocast


class AccumulatedGradient:
    """Computes the gradient of a batch in `parts` parts; see `gradients.Gradient`. Batches have as many samples."""

    def __init__(self, network: Model, flat: FlatParameters, parts: int, precision: str) -> None:
        self._network, self._flat, self._parts, self._precision = network, flat, parts, precision

    def __call__(self, batch: Batch, rng: PartialGenerator) -> Loss:
        """Return the loss () and write its gradient to `flat.gradient`; `rng` has begun with this batch."""
        begun, buffers = rng.get_state(), {name: each.clone() for name, each in self._flat.buffers().items()}
        shared, count, first = rng.part, rng.count, rng.part.rows(rng.count).start
        losses: list[Loss] = []
        after = {name: torch.zeros_like(each) for name, each in buffers.items()}

        def passed(means: Sequence[Tensor], *, learns: bool) -> list[Tensor]:
            """Compute all parts, with these means over them, and return the means that they have."""
            self._flat.gradient.zero_()
            losses.clear()
            amounts: list[list[Tensor]] = []
            for each in after.values():
                each.zero_()
            for number in range(self._parts):
                rng.set_state(begun)
                for name, buffer in self._flat.buffers().items():
                    buffer.copy_(buffers[name])
                part = BatchPart(shared.rank * self._parts + number, shared.of * self._parts)
                rng.begin(part, count)
                own, rows = _Amounts(means), part.rows(count)
                with together.averaging(own), nullcontext() if learns else torch.no_grad():
                    losses.append(
                        self._learnt(_rows(batch, rows.start - first, rows.stop - first), rng, learns)
                    )
                amounts.append(own.found)
                for name, buffer in self._flat.buffers().items():
                    after[name] += buffer
            return [together.averaged(torch.stack(each).mean(0)) for each in zip(*amounts, strict=True)]

        means = passed((), learns=False)
        for _ in range(len(means) + 1):  # one may depend on those before it
            before, means = means, passed(means, learns=True)
            if all(map(torch.allclose, before, means)):
                break
        self._flat.gradient.div_(self._parts)
        for name, buffer in self._flat.buffers().items():
            if buffer.is_floating_point():  # others are the same in all parts
                buffer.copy_(after[name] / self._parts)
        rng.begin(shared, count)
        parts = {name: _mean([loss.parts[name] for loss in losses]) for name in losses[0].parts}
        return Loss(_mean([loss.total for loss in losses]), parts)

    def _learnt(self, batch: Batch, rng: torch.Generator, learns: bool) -> Loss:
        with autocast(self._flat, self._precision):
            loss = self._network.loss(batch, rng)
        if learns:
            loss.total.backward()  # type: ignore[no-untyped-call]  # adds to the gradient
        return Loss(loss.total.detach(), {name: part.detach() for name, part in loss.parts.items()})


class _Amounts:
    """What a loss averages over the parts, in the order of its calls: `found` in this part, answered with `means`.

    Without means, a part's own amount is the answer.
    """

    def __init__(self, means: Sequence[Tensor]) -> None:
        self._means = means
        self.found: list[Tensor] = []

    def __call__(self, amount: Tensor) -> Tensor:
        """Return the mean of an amount over the parts."""
        self.found.append(amount.to(torch.float32) if not amount.is_floating_point() else amount.clone())
        return self._means[len(self.found) - 1] if self._means else self.found[-1]


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(values)).mean()


def _rows(batch: Batch, start: int, stop: int) -> Batch:
    """Return some samples of a batch."""
    chosen = torch.arange(start, stop, device=batch.observation.state.device)
    return replace(
        batch,
        observation=batch.observation.rows(chosen),
        action=None if batch.action is None else batch.action[chosen],
        weight=None if batch.weight is None else batch.weight[chosen],
        following=None if batch.following is None else batch.following.rows(chosen),
    )
