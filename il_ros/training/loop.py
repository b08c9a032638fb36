"""The training loop, readable from top to bottom.

On a CPU, one thread and one seed give the same weights, bit by bit; a run that was saved between two epochs
and taken up again ends like one that was never interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from il_ros.policies.protocol import Network
from il_ros.training.batches import Batch, Batches, shifted
from il_ros.training.optimiser.adam import AdamW
from il_ros.training.optimiser.flat import FlatParameters
from il_ros.training.optimiser.gradients import gradient_of
from il_ros.training.recipe import Training

VALIDATION_BATCH = 1024


class TrainingError(RuntimeError):
    """Training can't go on; the message says what to change."""


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch on the curves. Losses are per step of normalised actions; NaN: not measured."""

    epoch: int
    step: int
    train_loss: float
    validation_loss: float
    learning_rate: float
    seconds: float
    best: bool


class TrainingLoop:
    """A network being trained. `curves` holds a point per epoch, `best` the weights (P,) worth keeping."""

    def __init__(self, network: Network, training: Training) -> None:
        self.network, self.training = network, training
        self.flat = FlatParameters(network)
        self.optimiser = AdamW(self.flat.values, self.flat.gradient, training.weight_decay)
        self.rng = torch.Generator().manual_seed(training.seed)
        self.curves: list[EpochMetrics] = []
        self.best = self.flat.values.clone()

    @property
    def best_point(self) -> EpochMetrics | None:
        """The epoch of the weights worth keeping."""
        return next((point for point in reversed(self.curves) if point.best), None)

    @property
    def finished(self) -> bool:
        """True after the last epoch, or when patience is at its end."""
        done = len(self.curves)
        if done and self._spent(self.curves[-1].seconds) >= 1:
            return True
        measured = [point for point in self.curves if not math.isnan(point.validation_loss)]
        if self.training.patience and measured:
            least = min(measured, key=lambda point: point.validation_loss)
            if measured[-1].epoch - least.epoch >= self.training.patience:
                return True
        return done >= self.training.epochs

    def _spent(self, seconds: float) -> float:
        """Return the share of the time that may be taken; 0 when any may."""
        return seconds / self.training.seconds if self.training.seconds else 0.0

    def epochs(
        self, train: Batches, validation: Batches | None, clock: Callable[[], float]
    ) -> Iterator[EpochMetrics]:
        """Train until `finished`, yielding after each epoch; `clock` counts seconds.

        An epoch ends early when the time is over, after one step at least.
        Raises TrainingError when the loss is no number any more.
        """
        training = self.training
        gradient = gradient_of(self.network, self.flat)
        steps_per_epoch = math.ceil(train.per_epoch / training.batch_size)
        before_s = self.curves[-1].seconds if self.curves else 0.0
        step = self.curves[-1].step if self.curves else 0
        started_s = clock()
        while not self.finished:
            total, seen, spent = torch.zeros((), device=self.flat.gradient.device), 0, 0.0
            for batch in train.shuffled(training.batch_size, self.rng):
                if training.seconds:
                    spent = self._spent(before_s + clock() - started_s)
                if spent >= 1 and seen:
                    break
                rate = learning_rate(training, step, steps_per_epoch * training.epochs, spent)
                loss = gradient(augmented(batch, training, self.rng))
                if training.gradient_clip:
                    self.flat.gradient[None].renorm_(2, 0, training.gradient_clip)
                self.optimiser.step(rate)
                total.add_(loss, alpha=len(batch))
                seen += len(batch)
                step += 1
            train_loss = total.item() / seen
            if not math.isfinite(train_loss):
                raise TrainingError(
                    f"the loss became {train_loss} in epoch {len(self.curves) + 1}: lower learning_rate "
                    f"({training.learning_rate:g}) or set gradient_clip"
                )
            epoch = len(self.curves) + 1
            validate = validation is not None and (
                epoch % training.validate_every == 0 or epoch == training.epochs or spent >= 1
            )
            validation_loss = mean_loss(self.network, validation) if validation and validate else math.nan
            point = EpochMetrics(
                epoch, step, train_loss, validation_loss, rate, before_s + clock() - started_s, False
            )
            self._judge(point, validation is not None)
            yield self.curves[-1]

    def _judge(self, point: EpochMetrics, validated: bool) -> None:
        """Put a point on the curves; keep its weights if they are the best, or the last are wanted."""
        if validated and self.training.keep == "best":
            known = [old.validation_loss for old in self.curves if not math.isnan(old.validation_loss)]
            best = not math.isnan(point.validation_loss) and point.validation_loss < min(
                known, default=math.inf
            )
        else:
            best = True
        if best:
            self.best.copy_(self.flat.values)
        self.curves.append(replace(point, best=best))

    def best_weights(self) -> dict[str, Tensor]:
        """Return the weights worth keeping, under the network's names, as a copy."""
        return self.flat.named(self.best.clone())

    def tensors(self) -> dict[str, Tensor]:
        """Return, with `curves_plain`, all that a later run goes on from."""
        return {
            "values": self.flat.values,
            "best": self.best,
            "rng": self.rng.get_state(),
            **{f"optimiser.{name}": tensor for name, tensor in self.optimiser.tensors().items()},
        }

    def curves_plain(self) -> list[dict[str, Any]]:
        """Return the points for JSON; None where a loss was not measured."""
        points = [asdict(point) for point in self.curves]
        return [{key: None if value != value else value for key, value in point.items()} for point in points]

    def take_up(self, tensors: Mapping[str, Tensor], curves: list[dict[str, Any]]) -> None:
        """Go on from what `tensors` and `curves_plain` returned.

        Raises KeyError, TypeError or RuntimeError when they are of another network.
        """
        points = [_point(values) for values in curves]
        with torch.no_grad():
            self.flat.values.copy_(tensors["values"])
            self.best.copy_(tensors["best"])
        self.rng.set_state(tensors["rng"])
        self.optimiser.take_up({name: tensors[f"optimiser.{name}"] for name in self.optimiser.tensors()})
        self.curves = points


def _point(values: Mapping[str, Any]) -> EpochMetrics:
    measured: dict[str, Any] = {key: math.nan if value is None else value for key, value in values.items()}
    return EpochMetrics(**measured)


def learning_rate(training: Training, step: int, steps: int, spent: float = 0.0) -> float:
    """Return the rate of a step: a linear warm-up, then constant, or half a cosine down to 0 at `steps`.

    `spent`: the share of the time that is over; where that is more than the steps done, it counts.
    """
    if step < training.warmup_steps:
        return training.learning_rate * (step + 1) / training.warmup_steps
    if training.schedule == "constant":
        return training.learning_rate
    done = max(spent, (step - training.warmup_steps) / max(1, steps - training.warmup_steps))
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def augmented(batch: Batch, training: Training, rng: torch.Generator) -> Batch:
    """Return the batch with noise on its state and its pictures shifted, as far as training wants it."""
    if training.state_noise:
        noise = torch.randn(batch.state.shape, generator=rng).to(batch.state.device)
        batch = replace(batch, state=batch.state + training.state_noise * noise)
    if training.shift_px and batch.images:
        images = {key: shifted(image, training.shift_px, rng) for key, image in batch.images.items()}
        batch = replace(batch, images=images)
    return batch


@torch.no_grad()
def mean_loss(network: Network, batches: Batches) -> float:
    """Return the loss over all samples, as if they were one batch."""
    total, count = 0.0, 0.0
    network.eval()
    for batch in batches.in_order(VALIDATION_BATCH if not batches.has_images else 128):
        weight = float(len(batch)) if batch.weight is None else float(batch.weight.sum())
        loss = network.loss(batch.state, batch.images, batch.target, batch.weight)
        total, count = total + weight * loss.item(), count + weight
    network.train()
    return total / count
