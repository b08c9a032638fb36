"""The training loop.

On a CPU, with one thread, training is deterministic bit by bit. A run that is saved between two epochs and
resumed gives the same result as an uninterrupted one. What a loss draws comes from the loop's generator, which is
saved; torch's global generator, which dropout uses, is seeded for each epoch and left as it was, differently in each
of several processes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from il_ros.core.strict_yaml import brief
from il_ros.core.tables import counted
from il_ros.policies.networks.together import PartialGenerator
from il_ros.policies.protocol import Model
from il_ros.training.augmentation.draws import augmented
from il_ros.training.batches import Batches
from il_ros.training.optimiser.accumulation import AccumulatedGradient
from il_ros.training.optimiser.adam import AdamW
from il_ros.training.optimiser.flat import FlatParameters
from il_ros.training.optimiser.gradients import Gradient, gradient_of
from il_ros.training.processes import ALONE, Processes
from il_ros.training.recipe import BEST, SUCCESS, Training

VALIDATION_BATCH = 1024


class TrainingError(RuntimeError):
    """Training failed or cannot be resumed; the message says what to change."""


@dataclass(frozen=True)
class EpochMetrics:
    """The metrics of one epoch. Losses are per step of normalised actions; NaN: not measured.

    `seconds`: since training began, without the tests in the simulator. `best`: the weights were kept. `parts`: the
    mean training loss of each of its named parts. `success`, `mean_return`: of the tests; success is NaN where the task
    does not define it. `tests_s`: seconds of all tests so far.
    """

    epoch: int
    step: int
    train_loss: float
    validation_loss: float
    learning_rate: float
    seconds: float
    best: bool
    parts: Mapping[str, float] = field(default_factory=dict)
    success: float = math.nan
    mean_return: float = math.nan
    tests_s: float = 0.0

    @property
    def score(self) -> float:
        """What tests count in a choice: success, or the mean return where it is not defined; NaN: not tested."""
        return self.mean_return if math.isnan(self.success) else self.success


Test = Callable[[Mapping[str, Tensor]], tuple[float, float]]
"""Tries weights and buffers in the simulator; returns success (NaN: not defined) and mean return."""


class TrainingLoop:
    """A network in training. `curves`: the metrics per epoch; `best` (P,) and `best_buffers`: what to keep.

    With `ema`, what is validated and kept is the moving average of the weights. `processes`: those that train the same
    network, each with a part of every batch; all have the same `curves` and weights.
    """

    def __init__(self, network: Model, training: Training, processes: Processes = ALONE) -> None:
        self.network, self.training, self.processes = network, training, processes
        self.flat = FlatParameters(network, network.parameter_groups())
        self.optimiser = AdamW(self.flat, training.weight_decay)
        self.rng = processes.generator(training.seed, in_parts=training.accumulate > 1)
        self.curves: list[EpochMetrics] = []
        self.average = self.flat.values.clone() if training.ema else None
        self.best = self.flat.values.clone()
        self.best_buffers = _copied(self.flat.buffers())

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
        self,
        train: Batches,
        validation: Batches | None,
        clock: Callable[[], float],
        test: Test | None = None,
    ) -> Iterator[EpochMetrics]:
        """Train until `finished`, yielding the metrics of each epoch; `clock` returns seconds.

        `test`: how weights do in the simulator, asked every `test_every` epochs and at the end; the time that it takes
        counts nowhere. An epoch ends early, after at least one step, when the time limit is reached.
        Raises TrainingError if the loss is not finite, or the batches are too small for the number of their parts,
        ValueError when the recipe asks for tests and there is no `test`.
        """
        processes = self.processes
        if self.training.test_every and test is None:
            raise ValueError(
                "test_every: nothing tests this model in a simulator; set it to 0, and keep to last"
            )
        gradient = self._gradient_for(train)
        for values in (self.flat.values, *self.flat.buffers().values()):
            processes.take_over_(values)
        before_s, tested_s = (self.curves[-1].seconds, self.curves[-1].tests_s) if self.curves else (0.0, 0.0)
        started_s, tests_s = clock(), 0.0

        def elapsed_s() -> float:
            return processes.of_first(before_s + clock() - started_s - tests_s)

        while not self.finished:
            seed = self.training.seed + 1_000_003 * len(self.curves) + 7_919 * processes.part.rank
            with _seeded(seed, self.flat.values.device):
                metrics = self._epoch(gradient, train, validation, elapsed_s)
            self.curves.append(replace(metrics, tests_s=tested_s + tests_s))
            if test is not None and (metrics.epoch % self.training.test_every == 0 or self.finished):
                begun_s = clock()
                metrics = self._tested(metrics, test)
                tests_s += clock() - begun_s
                self.curves[-1] = replace(metrics, tests_s=tested_s + tests_s)
            self._choose(validated=validation is not None)
            yield self.curves[-1]

    def _gradient_for(self, train: Batches) -> Gradient:
        """Return how gradients are computed; raises as `epochs`."""
        training, processes = self.training, self.processes
        least, parts = min(train.sizes(training.batch_size)), processes.part.of * training.accumulate
        if least < parts:
            who, remedy = f"{processes.part.of} processes", "start fewer"
            if training.accumulate > 1:
                who, remedy = f"accumulate: {parts} parts", "set it lower"
            raise TrainingError(
                f"{who} cannot share a batch of {counted(least, 'frame')}: {remedy}, or set a larger batch_size"
            )
        if training.compile and not processes.alone:
            raise ValueError("compile: is for a training by one process; set compile to false")
        if training.accumulate > 1:
            return AccumulatedGradient(self.network, self.flat, training.accumulate, training.precision)
        return gradient_of(
            self.network, self.flat, train.example(), training.precision, compiled=training.compile
        )

    def _epoch(
        self, gradient: Gradient, train: Batches, validation: Batches | None, elapsed_s: Callable[[], float]
    ) -> EpochMetrics:
        """Train one epoch and measure it; `elapsed_s` returns the seconds since training began."""
        training, epoch = self.training, len(self.curves) + 1
        steps_per_epoch = len(train.sizes(training.batch_size))
        step = self.curves[-1].step if self.curves else 0
        total, parts = torch.zeros((), device=self.flat.gradient.device), dict[str, Tensor]()
        seen, spent = 0, 0.0

        def done() -> float:
            nonlocal spent
            if training.seconds:
                spent = self._spent(elapsed_s())
            return progress(training, step, steps_per_epoch * training.epochs, spent)

        processes = self.processes
        batches = train.shuffled(training.batch_size, self.rng, done, processes.part)
        for count, batch in zip(train.sizes(training.batch_size), batches, strict=True):
            if spent >= 1 and seen:
                break
            if isinstance(self.rng, PartialGenerator):
                self.rng.begin(processes.part, count)
            rate = learning_rate(training, step, batch.progress)
            batch = augmented(batch, training, self.rng, train.optional)
            with processes.sharing():
                loss = gradient(batch, self.rng)
            processes.average_(self.flat.gradient)
            if training.gradient_clip:
                self.flat.gradient[None].renorm_(2, 0, training.gradient_clip)
            self.optimiser.step(rate)
            if self.average is not None:
                self.average.lerp_(self.flat.values, 1 - min(training.ema, (1 + step) / (10 + step)))
            if not processes.alone:  # those that a family counts over the whole batch are equal already
                for buffer in self.flat.buffers().values():
                    if buffer.is_floating_point():
                        processes.average_(buffer)
            total.add_(loss.total, alpha=count)
            for name, part in loss.parts.items():
                parts[name] = parts.get(name, 0.0) + part * count
            seen += count
            step += 1
        for each in (total, *parts.values()):
            processes.average_(each)
        train_loss = total.item() / seen
        if not math.isfinite(train_loss):
            raise TrainingError(
                f"the loss became {train_loss} in epoch {epoch}: lower learning_rate "
                f"({training.learning_rate:g}) or set gradient_clip"
            )
        due = (
            epoch % training.validate_every == 0
            or (training.test_every and epoch % training.test_every == 0)  # to choose among equals
            or epoch == training.epochs
            or spent >= 1
        )
        validation_loss = math.nan
        if validation is not None and due:
            validation_loss = processes.of_first(self._validated(validation) if processes.first else math.nan)
        means = {name: part.item() / seen for name, part in parts.items()}
        return EpochMetrics(epoch, step, train_loss, validation_loss, rate, elapsed_s(), False, means)

    def _validated(self, validation: Batches) -> float:
        """Return the validation loss of the weights that would be kept."""
        if self.average is None:
            return mean_loss(self.network, validation, self.training.seed)
        own = self.flat.values.clone()
        try:
            self.flat.values.copy_(self.average)
            return mean_loss(self.network, validation, self.training.seed)
        finally:
            self.flat.values.copy_(own)

    def _tested(self, metrics: EpochMetrics, test: Test) -> EpochMetrics:
        """Return the metrics with how the weights that would be kept do in the simulator."""
        success, mean_return = math.nan, math.nan
        if self.processes.first:
            values = self.flat.values if self.average is None else self.average
            success, mean_return = test(self.flat.state_dict(values.clone(), _copied(self.flat.buffers())))
        success, mean_return = map(self.processes.of_first, (success, mean_return))
        return replace(metrics, success=success, mean_return=mean_return)

    def _choose(self, *, validated: bool) -> None:
        """Keep the weights of the newest epoch if they are the best ones; until any are measured, the newest."""

        def value(metrics: EpochMetrics) -> tuple[float, ...] | None:
            """Return what an epoch counts, more is better; None: it was not measured."""
            loss = metrics.validation_loss
            if self.training.keep == SUCCESS:
                among_equals = -math.inf if math.isnan(loss) else -loss
                return None if math.isnan(metrics.score) else (metrics.score, among_equals, metrics.epoch)
            if self.training.keep == BEST and validated:
                return None if math.isnan(loss) else (-loss,)
            return (metrics.epoch,)

        *before, metrics = self.curves
        known = [each for each in map(value, before) if each is not None]
        own = value(metrics)
        best = not known if own is None else own > max(known, default=())
        if best:
            self.best.copy_(self.flat.values if self.average is None else self.average)
            self.best_buffers = _copied(self.flat.buffers())
        self.curves[-1] = replace(metrics, best=best)

    def best_weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights and buffers to keep, for `load_state_dict`."""
        return self.flat.state_dict(self.best.clone(), _copied(self.best_buffers))

    def tensors(self) -> dict[str, Tensor]:
        """Return the state that, together with `curves_plain`, `restore` needs."""
        averaged = {} if self.average is None else {"average": self.average}
        return {
            "values": self.flat.values,
            "best": self.best,
            "rng": self.rng.get_state(),
            **averaged,
            **{f"optimiser.{name}": tensor for name, tensor in self.optimiser.tensors().items()},
            **{f"buffer.{name}": tensor for name, tensor in self.flat.buffers().items()},
            **{f"best_buffer.{name}": tensor for name, tensor in self.best_buffers.items()},
        }

    def curves_plain(self) -> list[dict[str, Any]]:
        """Return the curves for JSON; None where a loss was not measured, no parts where there are none."""
        return [
            {key: None if value != value else value for key, value in asdict(metrics).items() if value != {}}
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
            if self.average is not None:
                self.average.copy_(tensors["average"])
            for name, buffer in self.flat.buffers().items():
                buffer.copy_(tensors[f"buffer.{name}"])
                self.best_buffers[name].copy_(tensors[f"best_buffer.{name}"])
        self.rng.set_state(tensors["rng"])
        self.optimiser.restore({name: tensors[f"optimiser.{name}"] for name in self.optimiser.tensors()})
        self.curves = restored


def _metrics(values: Any) -> EpochMetrics:
    """Return the metrics in a JSON object; raises TypeError if it is another value."""
    if not isinstance(values, dict):
        raise TypeError(f"metrics must be an object of numbers, not {brief(values)}")
    numbers = {key: value for key, value in values.items() if key != "parts"}
    parts = values.get("parts", {})
    for found in (numbers, parts):
        if not isinstance(found, dict) or not all(
            isinstance(each, (int, float, type(None))) for each in found.values()
        ):
            raise TypeError(f"metrics must be an object of numbers, not {brief(values)}")
    measured: dict[str, Any] = {key: math.nan if value is None else value for key, value in numbers.items()}
    return EpochMetrics(**measured, parts=parts)


def progress(training: Training, step: int, steps: int, spent: float = 0.0) -> float:
    """Return the share of the training that is done before a step: of its `steps`, or of its time if that is more.

    `spent`: the used share of the time limit. Warm-up does not count.
    """
    return min(1.0, max(spent, (step - training.warmup_steps) / max(1, steps - training.warmup_steps), 0.0))


def learning_rate(training: Training, step: int, done: float) -> float:
    """Return the learning rate of a step: linear warm-up, then constant, or half a cosine to 0 at progress 1."""
    if step < training.warmup_steps:
        return training.learning_rate * (step + 1) / training.warmup_steps
    if training.schedule == "constant":
        return training.learning_rate
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def mean_loss(network: Model, batches: Batches, seed: int = 0) -> float:
    """Return the loss over all samples, as for a single batch; what it draws depends on `seed` only."""
    total, count = 0.0, 0.0
    rng = torch.Generator().manual_seed(seed)
    network.eval()
    for batch in batches.in_order(VALIDATION_BATCH if not batches.has_images else 128):
        weight = float(len(batch)) if batch.weight is None else float(batch.weight.sum())
        loss = network.loss(batch, rng).total
        total, count = total + weight * loss.item(), count + weight
    network.train()
    return total / count


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators inside the context, and restore them."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
