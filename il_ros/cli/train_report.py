"""Progress output of `il-ros train`: for people, or for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from il_ros.core.tables import say, table

if TYPE_CHECKING:
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.training.loop import EpochMetrics
    from il_ros.training.recipe import Recipe
    from il_ros.training.run import Outcome


class Reporter(Protocol):
    """Prints a training's progress."""

    def start(
        self, dataset: Dataset, recipe: Recipe, parent: str, refusal: str, notes: Sequence[str] = ()
    ) -> None:
        """Print the data, the version of the initial weights or why they were refused, and the notes."""

    def warning(self, sentence: str) -> None:
        """Print a warning about the data."""

    def epoch(self, point: EpochMetrics) -> None:
        """Print the metrics of an epoch."""

    def done(self, outcome: Outcome) -> None:
        """Print the result."""


class BarReporter:
    """Output for people: a bar with both losses, then a table."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def start(
        self, dataset: Dataset, recipe: Recipe, parent: str, refusal: str, notes: Sequence[str] = ()
    ) -> None:
        """Print the data, the version of the initial weights or why they were refused, and the notes."""
        from tqdm import tqdm

        say("\n".join([*dataset.summary.lines(), *(f"  {note}" for note in notes)]))
        if parent or refusal:
            say(f"initial weights: {parent}" if parent else f"  warning: {refusal}")
        self._bar = tqdm(total=recipe.training.epochs, desc="training", unit="epoch", disable=None)

    def warning(self, sentence: str) -> None:
        """Print a warning about the data."""
        say(f"  warning: {sentence}")

    def epoch(self, point: EpochMetrics) -> None:
        """Advance the bar."""
        self._bar.set_postfix_str(
            f"loss {point.train_loss:.5f}, validation {point.validation_loss:.5f}", False
        )
        self._bar.update(point.epoch - self._bar.n)

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
            ("checkpoint", str(outcome.checkpoint)),
            ("curves", str(self._out / "curves.png")),
        ]
        say(table(("result", ""), rows))
        if not outcome.finished:
            say(
                f"stopped early: policy {outcome.policy.version} is not fully trained, and `deploy` would run it; "
                "the same command with --resume continues"
            )


class JsonReporter:
    """Output for programs: one JSON object per line."""

    def start(
        self, dataset: Dataset, recipe: Recipe, parent: str, refusal: str, notes: Sequence[str] = ()
    ) -> None:
        """Print the amount of data, the version of the initial weights or why they were refused, and the notes."""
        summary = dataset.summary
        self._epochs = recipe.training.epochs
        _say(
            event="start",
            parent=parent,
            epochs=recipe.training.epochs,
            episodes=len(summary.train) + len(summary.validation),
            frames=summary.frames,
            left_out=dict(summary.left_out),
            omissions=dict(summary.omissions),
            notes=[*summary.notes, *notes],
            warnings=[*summary.warnings, *([refusal] if refusal else [])],
        )

    def warning(self, sentence: str) -> None:
        """Print a warning about the data."""
        _say(event="fitted", warnings=[sentence])

    def epoch(self, point: EpochMetrics) -> None:
        """Print the metrics of an epoch."""
        validation = None if math.isnan(point.validation_loss) else point.validation_loss
        _say(
            event="epoch",
            epoch=point.epoch,
            epochs=self._epochs,
            train_loss=point.train_loss,
            validation_loss=validation,
            seconds=point.seconds,
        )

    def done(self, outcome: Outcome) -> None:
        """Print the result."""
        _say(
            event="done",
            finished=outcome.finished,
            checkpoint=str(outcome.checkpoint.resolve()),
            version=outcome.policy.version,
            **{
                key: outcome.policy.metrics[key]
                for key in ("epochs", "train_loss", "validation_loss", "duration_s")
            },
        )


def _say(**values: Any) -> None:
    import json

    say(json.dumps(values), flush=True)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"
