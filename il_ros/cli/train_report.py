"""What `il-ros train` says while it works: to a person, or to a program."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from il_ros.core.tables import table

if TYPE_CHECKING:
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.training.recipe import Recipe
    from il_ros.training.run import Outcome


class BarReporter:
    """Tells a person: a bar with both losses, then a table."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def start(self, dataset: Dataset, recipe: Recipe, parent: str, refusal: str) -> None:
        """Say what is trained on, and whose weights it begins with, or why not."""
        from tqdm import tqdm

        print("\n".join(dataset.summary.lines()))
        if parent or refusal:
            print(f"begins with the weights of {parent}" if parent else f"  warning: {refusal}")
        self._bar = tqdm(total=recipe.training.epochs, desc="training", unit="epoch", disable=None)

    def epoch(self, point: Any) -> None:
        """Move the bar."""
        self._bar.set_postfix_str(
            f"loss {point.train_loss:.5f}, validation {point.validation_loss:.5f}", False
        )
        self._bar.update(point.epoch - self._bar.n)

    def done(self, outcome: Outcome) -> None:
        """Say what came of it, and where it is."""
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
        print(table(("result", ""), rows))
        if not outcome.finished:
            print("stopped early; the same command with --resume goes on")


class JsonReporter:
    """Tells a program: one JSON object a line."""

    def start(self, dataset: Dataset, recipe: Recipe, parent: str, refusal: str) -> None:
        """Say how much there is, and whose weights it begins with, or why not."""
        summary = dataset.summary
        self._epochs = recipe.training.epochs
        _say(
            event="start",
            parent=parent,
            epochs=recipe.training.epochs,
            episodes=len(summary.train) + len(summary.validation),
            frames=summary.frames,
            left_out=dict(summary.left_out),
            warnings=[*summary.warnings, *([refusal] if refusal else [])],
        )

    def epoch(self, point: Any) -> None:
        """Tell of an epoch."""
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
        """Say what came of it."""
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

    print(json.dumps(values), flush=True)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5f}"
