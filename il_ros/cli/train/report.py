"""Progress output of `il-ros train`: for people, or for programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from il_ros.cli import next_steps
from il_ros.core.progress import ProgressView, duration, progress, with_progress
from il_ros.core.tables import counted, percent, say, say_json, table
from il_ros.training.advice import memorised

if TYPE_CHECKING:
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.episodes.catalogue import Entry
    from il_ros.training.loop import EpochMetrics
    from il_ros.training.recipe import Recipe
    from il_ros.training.run import Outcome
    from il_ros.training.trainer.plans import TrainingPlan


class Reporter(Protocol):
    """Prints a training's progress."""

    def reading(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        """Return the entries, showing the progress as they are decoded."""

    def start(
        self, dataset: Dataset, recipe: Recipe, parent: str, refusal: str, notes: Sequence[str] = ()
    ) -> None:
        """Print the data, the version of the initial weights or why they were refused, and the notes."""

    def warning(self, sentence: str) -> None:
        """Print a warning about the data."""

    def raced(self, sentence: str) -> None:
        """Print how a recipe did in a race, before the training starts."""

    def epoch(self, point: EpochMetrics) -> None:
        """Print the metrics of an epoch."""

    def done(self, outcome: Outcome) -> None:
        """Print the result."""


class BarReporter:
    """Output for people: a bar with both losses, then a table and the next step.

    The command that continues a stopped training repeats the options of `plan`.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self._plan, self._out = plan, plan.out

    def start(
        self, dataset: Dataset, recipe: Recipe, parent: str, refusal: str, notes: Sequence[str] = ()
    ) -> None:
        """Print the data, the version of the initial weights or why they were refused, and the notes."""
        say("\n".join([*dataset.summary.lines(), *(_indented(note) for note in notes)]))
        if parent or refusal:
            say(f"initial weights: {parent}" if parent else _indented(f"warning: {refusal}"))
        device, why = _device(dataset, recipe)
        if device != "cpu" or why:
            say(f"training on {device}" + (f": {why}" if why else ""))
        self._training, self._tested = recipe.training, ""
        self._bar = epoch_bar(recipe.training.epochs)

    def warning(self, sentence: str) -> None:
        """Print a warning about the data."""
        say(f"  warning: {sentence}")

    def raced(self, sentence: str) -> None:
        """Print how a recipe did in a race."""
        say(sentence, flush=True)

    def epoch(self, point: EpochMetrics) -> None:
        """Advance the bar; it keeps the last test in the simulator."""
        from il_ros.training.metrics.remaining import remaining_s

        if not math.isnan(point.score):
            self._tested = f", {_score(point.success, point.mean_return)}"
        left_s = remaining_s(self._training, point)
        left = "?" if left_s is None else duration(left_s)
        losses = f"loss {point.train_loss:.5f}, validation {point.validation_loss:.5f}"
        self._bar.set_postfix_str(f"{left} left, {losses}{self._tested}", False)
        self._bar.update(point.epoch - self._bar.n)

    def reading(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        """Show a bar while the episodes are decoded."""
        return reading_bar(entries)

    def done(self, outcome: Outcome) -> None:
        """Print the result and where it was saved."""
        self._bar.close()
        metrics = outcome.policy.metrics
        losses = _number(metrics["train_loss"]), _number(metrics["validation_loss"])
        rows = [
            ("policy", outcome.policy.version),
            (
                "epochs",
                f"{metrics['epochs']} in {metrics['duration_s']:.1f} s, kept: {metrics['best_epoch']}",
            ),
            ("loss", f"{losses[0]} training, {losses[1]} validation"),
            *_tests(metrics.get("tests")),
            ("checkpoint", str(outcome.checkpoint)),
            ("curves", str(self._out / "curves.png")),
        ]
        say(table(("result", ""), rows))
        if not outcome.finished:
            say(
                f"stopped early: policy {outcome.policy.version} is not fully trained, and `deploy` would run it; "
                f"this continues: {self._plan.by_hand(self._out, resume=True)}"
            )
            return
        if sentence := memorised(metrics, _loss(outcome)):
            say(sentence)
        if outcome.policy.settings.follows:
            next_steps.tell(next_steps.after_inverse(self._out))
        else:
            tested = next_steps.after_training(
                self._out, outcome.checkpoint, metrics["tasks"], joint=self._plan.joint
            )
            next_steps.tell(tested)


def _indented(text: str) -> str:
    """Return a note below the data; its further lines, of what it lists, are further in."""
    return "  " + text.replace("\n", "\n    ")


def reading_bar(entries: Sequence[Entry]) -> Iterable[Entry]:
    """Return the entries, with a bar while the episodes are decoded."""
    return with_progress(entries, "reading", "episode")


def epoch_bar(epochs: int) -> ProgressView:
    """Return the bar of a training, in whose place of the rate the postfix says what is left."""
    return progress("training", "epoch", epochs, remaining=False)


class QuietReporter:
    """No output: that of all but the first of several processes."""

    def reading(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        """Return the entries."""
        return entries

    def start(
        self, dataset: Dataset, recipe: Recipe, parent: str, refusal: str, notes: Sequence[str] = ()
    ) -> None:
        """Print nothing."""

    def warning(self, sentence: str) -> None:
        """Print nothing."""

    def raced(self, sentence: str) -> None:
        """Print nothing."""

    def epoch(self, point: EpochMetrics) -> None:
        """Print nothing."""

    def done(self, outcome: Outcome) -> None:
        """Print nothing."""


class JsonReporter:
    """Output for programs: one JSON object per line."""

    def start(
        self, dataset: Dataset, recipe: Recipe, parent: str, refusal: str, notes: Sequence[str] = ()
    ) -> None:
        """Print the amount of data, the version of the initial weights or why they were refused, and the notes."""
        summary = dataset.summary
        self._training = recipe.training
        say_json(
            event="start",
            parent=parent,
            epochs=recipe.training.epochs,
            episodes=len(summary.train) + len(summary.validation),
            frames=summary.frames,
            left_out=dict(summary.left_out),
            omissions=dict(summary.omissions),
            notes=[*summary.notes, *notes],
            warnings=[*summary.warnings, *([refusal] if refusal else [])],
            device=_device(dataset, recipe)[0],
        )

    def warning(self, sentence: str) -> None:
        """Print a warning about the data."""
        say_json(event="fitted", warnings=[sentence])

    def raced(self, sentence: str) -> None:
        """Print how a recipe did in a race."""
        say_json(event="race", notes=[sentence])

    def reading(self, entries: Sequence[Entry]) -> Iterable[Entry]:
        """Print the number of each episode as it is decoded."""
        for number, entry in enumerate(entries, 1):
            say_json(event="reading", episode=number, episodes=len(entries))
            yield entry

    def epoch(self, point: EpochMetrics) -> None:
        """Print the metrics of an epoch, and of its test in the simulator if there was one."""
        from il_ros.training.metrics.remaining import remaining_s

        tested = (
            {} if math.isnan(point.score) else {"success": point.success, "mean_return": point.mean_return}
        )
        say_json(
            event="epoch",
            epoch=point.epoch,
            epochs=self._training.epochs,
            train_loss=point.train_loss,
            validation_loss=_known(point.validation_loss),
            seconds=point.seconds,
            left_s=remaining_s(self._training, point),
            **{name: _known(value) for name, value in tested.items()},
        )

    def done(self, outcome: Outcome) -> None:
        """Print the result."""
        say_json(
            event="done",
            finished=outcome.finished,
            checkpoint=str(outcome.checkpoint.resolve()),
            version=outcome.policy.version,
            advice=memorised(outcome.policy.metrics, _loss(outcome)),
            **{
                key: outcome.policy.metrics[key]
                for key in ("epochs", "train_loss", "validation_loss", "duration_s", "tests")
                if key in outcome.policy.metrics
            },
        )


def _device(dataset: Dataset, recipe: Recipe) -> tuple[str, str]:
    """Return the training's device, and why `auto` is the CPU for a policy with cameras."""
    from il_ros.training.device import device_of

    chosen = recipe.policy.inputs
    images = any(spec.image and spec.key in (chosen or (spec.key,)) for spec in dataset.contract.observations)
    return device_of(recipe.training.device, images=images)


def _score(success: float | None, mean_return: float) -> str:
    """Return the result of a test in the simulator in words; without success, the task does not define it."""
    if success is None or math.isnan(success):
        return f"return {mean_return:.4g}"
    return f"success {percent(success)}"


def _tests(tests: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return the row of the tests in the simulator; none without tests."""
    if tests is None:
        return []
    found = "of the kept weights: none"
    if tests["mean_return"] is not None:
        found = f"{_score(tests['success'], tests['mean_return'])} of {counted(tests['starts'], 'episode')}"
    chosen = ", the best" if tests["chosen"] else ""
    return [
        ("simulator", f"{found}{chosen} of {counted(tests['times'], 'test')} in {tests['duration_s']:.1f} s")
    ]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"


def _loss(outcome: Outcome) -> str:
    """Return the name of the loss in a policy's settings, "" where its family has one loss."""
    return str(getattr(outcome.policy.settings, "loss", ""))
