"""The training loop.

On a CPU, with one thread, training is deterministic bit by bit. A run that is saved between two epochs and
resumed gives the same result as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from il_ros.core.strict_yaml import brief
from il_ros.policies.protocol import Network
from il_ros.training.batches import Batch, Batches, shifted
from il_ros.training.optimiser.adam import AdamW
from il_ros.training.optimiser.flat import FlatParameters
from il_ros.training.optimiser.gradients import gradient_of
from il_ros.training.recipe import Training

VALIDATION_BATCH = 1024


class TrainingError(RuntimeError):
    """Training failed or cannot be resumed; the message says what to change."""


@dataclass(frozen=True)
class EpochMetrics:
    """The metrics of one epoch. Losses are per step of normalised actions; NaN: not measured."""

    epoch: int
    step: int
    train_loss: float
    validation_loss: float
    learning_rate: float
    seconds: float
    best: bool


class TrainingLoop:
    """A network in training. `curves`: the metrics per epoch; `best` (P,): the weights to keep."""

    def __init__(self, network: Network, training: Training) -> None:
        self.network, self.training = network, training
        self.flat = FlatParameters(network)
        self.optimiser = AdamW(self.flat.values, self.flat.gradient, training.weight_decay)
        self.rng = torch.Generator().manual_seed(training.seed)
        self.curves: list[EpochMetrics] = []
        self.best = self.flat.values.clone()

    @property
    def best_metrics(self) -> EpochMetrics | None:
        """The metrics of the epoch whose weights are kept."""
        return next((metrics for metrics in reversed(self.curves) if metrics.best), None)

    @property
    def finished(self) -> bool:
        """Whether training is complete: after the last epoch, out of time, or out of patience."""
        done = len(self.curves)
        if done and self._spent(self.curves[-1].seconds) >= 1:
            return True
        measured = [metrics for metrics in self.curves if not math.isnan(metrics.validation_loss)]
        if self.training.patience and measured:
            least = min(measured, key=lambda metrics: metrics.validation_loss)
            if measured[-1].epoch - least.epoch >= self.training.patience:
                return True
        return done >= self.training.epochs

    def _spent(self, seconds: float) -> float:
        """Return the used share of the time limit; 0 without a limit."""
        return seconds / self.training.seconds if self.training.seconds else 0.0

    def epochs(
        self, train: Batches, validation: Batches | None, clock: Callable[[], float]
    ) -> Iterator[EpochMetrics]:
        """Train until `finished`, yielding the metrics of each epoch; `clock` returns seconds.

        An epoch ends early, after at least one step, when the time limit is reached.
        Raises TrainingError if the loss is not finite.
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
            metrics = EpochMetrics(
                epoch, step, train_loss, validation_loss, rate, before_s + clock() - started_s, False
            )
            self._record(metrics, validation is not None)
            yield self.curves[-1]

    def _record(self, metrics: EpochMetrics, validated: bool) -> None:
        """Append the metrics to the curves; keep the weights if they are the best, or if `keep` is 'last'."""
        if validated and self.training.keep == "best":
            known = [old.validation_loss for old in self.curves if not math.isnan(old.validation_loss)]
            best = not math.isnan(metrics.validation_loss) and metrics.validation_loss < min(
                known, default=math.inf
            )
        else:
            best = True
        if best:
            self.best.copy_(self.flat.values)
        self.curves.append(replace(metrics, best=best))

    def best_weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights to keep, by parameter name."""
        return self.flat.named(self.best.clone())

    def tensors(self) -> dict[str, Tensor]:
        """Return the state that, together with `curves_plain`, `restore` needs."""
        return {
            "values": self.flat.values,
            "best": self.best,
            "rng": self.rng.get_state(),
            **{f"optimiser.{name}": tensor for name, tensor in self.optimiser.tensors().items()},
        }

    def curves_plain(self) -> list[dict[str, Any]]:
        """Return the curves for JSON; None where a loss was not measured."""
        return [
            {key: None if value != value else value for key, value in asdict(metrics).items()}
            for metrics in self.curves
        ]

    def restore(self, tensors: Mapping[str, Tensor], curves: list[dict[str, Any]]) -> None:
        """Continue from the results of `tensors` and `curves_plain`.

        Raises KeyError, TypeError, ValueError or RuntimeError if they are damaged or belong to another network.
        """
        restored = [_metrics(values) for values in curves]
        for name, now in self.tensors().items():
            if tensors[name].shape != now.shape or tensors[name].dtype != now.dtype:
                raise ValueError(f"'{name}' has shape {tuple(tensors[name].shape)}, not {tuple(now.shape)}")
        with torch.no_grad():
            self.flat.values.copy_(tensors["values"])
            self.best.copy_(tensors["best"])
        self.rng.set_state(tensors["rng"])
        self.optimiser.restore({name: tensors[f"optimiser.{name}"] for name in self.optimiser.tensors()})
        self.curves = restored


def _metrics(values: Any) -> EpochMetrics:
    """Return the metrics in a JSON object; raises TypeError if it is another value."""
    kinds = (int, float, type(None))
    if not isinstance(values, dict) or not all(isinstance(value, kinds) for value in values.values()):
        raise TypeError(f"metrics must be an object of numbers, not {brief(values)}")
    measured: dict[str, Any] = {key: math.nan if value is None else value for key, value in values.items()}
    return EpochMetrics(**measured)


def learning_rate(training: Training, step: int, steps: int, spent: float = 0.0) -> float:
    """Return the learning rate of a step: linear warm-up, then constant, or half a cosine to 0 at `steps`.

    `spent`: the used share of the time limit; the cosine follows it if it is ahead of the steps.
    """
    if step < training.warmup_steps:
        return training.learning_rate * (step + 1) / training.warmup_steps
    if training.schedule == "constant":
        return training.learning_rate
    done = max(spent, (step - training.warmup_steps) / max(1, steps - training.warmup_steps))
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def augmented(batch: Batch, training: Training, rng: torch.Generator) -> Batch:
    """Return the batch with state noise and image shifts, as configured in `training`."""
    if training.state_noise:
        noise = torch.randn(batch.state.shape, generator=rng).to(batch.state.device)
        batch = replace(batch, state=batch.state + training.state_noise * noise)
    if training.shift_px and batch.images:
        images = {key: shifted(image, training.shift_px, rng) for key, image in batch.images.items()}
        batch = replace(batch, images=images)
    return batch


@torch.no_grad()
def mean_loss(network: Network, batches: Batches) -> float:
    """Return the loss over all samples, as for a single batch."""
    total, count = 0.0, 0.0
    network.eval()
    for batch in batches.in_order(VALIDATION_BATCH if not batches.has_images else 128):
        weight = float(len(batch)) if batch.weight is None else float(batch.weight.sum())
        loss = network.loss(batch.state, batch.images, batch.target, batch.weight)
        total, count = total + weight * loss.item(), count + weight
    network.train()
    return total / count
