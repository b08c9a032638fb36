"""The curves of a training run, as a table and as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from il_ros.core import atomic
from il_ros.training.loop import EpochMetrics

TABLE, PICTURE = "curves.csv", "curves.png"


def write_table(folder: Path, curves: Sequence[EpochMetrics]) -> Path:
    """Write curves.csv: a header, then a row per epoch; an empty cell was not measured."""
    names = [field.name for field in fields(EpochMetrics)]
    rows = [",".join(_cell(getattr(point, name)) for name in names) for point in curves]
    atomic.write_text(folder / TABLE, "\n".join([",".join(names), *rows]) + "\n", durable=False)
    return folder / TABLE


def write_picture(folder: Path, curves: Sequence[EpochMetrics]) -> Path:
    """Draw curves.png: both losses over the epochs, and which epoch's weights are kept."""
    from matplotlib.figure import Figure  # half a second; only where it is drawn

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    epochs = [point.epoch for point in curves]
    axes.plot(epochs, [point.train_loss for point in curves], label="training")
    measured = [point for point in curves if not math.isnan(point.validation_loss)]
    if measured:
        axes.plot(
            [point.epoch for point in measured],
            [point.validation_loss for point in measured],
            label="validation (episodes never trained on)",
        )
    kept = [point.epoch for point in curves if point.best]
    if kept:
        axes.axvline(kept[-1], color="grey", linestyle=":", label=f"kept: epoch {kept[-1]}")
    losses = [loss for point in curves for loss in (point.train_loss, point.validation_loss)]
    likelihood = any(loss <= 0 for loss in losses)  # a likelihood's logarithm may have either sign
    axes.set(xlabel="epoch", ylabel="loss (normalised actions)", yscale="linear" if likelihood else "log")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(folder / PICTURE, dpi=110)
    return folder / PICTURE


def _cell(value: float) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return "" if math.isnan(value) else repr(value)
