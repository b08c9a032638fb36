"""The training curves of a run, as a table and as a plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from il_ros.core import atomic
from il_ros.core.plot_style import EXPERT, POLICY, QUIET, STYLE, save
from il_ros.training.loop import EpochMetrics

TABLE, PICTURE = "curves.csv", "curves.png"


def write_table(folder: Path, curves: Sequence[EpochMetrics]) -> Path:
    """Write curves.csv: a header and one row per epoch; a cell is empty if the loss was not measured.

    The named parts of the loss have columns of their own, after the others.
    """
    names = [field.name for field in fields(EpochMetrics) if field.name != "parts"]
    parts = list(dict.fromkeys(part for metrics in curves for part in metrics.parts))
    rows = [
        ",".join(
            [
                *(_cell(getattr(metrics, name)) for name in names),
                *(_cell(metrics.parts.get(part, math.nan)) for part in parts),
            ]
        )
        for metrics in curves
    ]
    header = ",".join([*names, *(f"loss_{part}" for part in parts)])
    atomic.write_text(folder / TABLE, "\n".join([header, *rows]) + "\n", durable=False)
    return folder / TABLE


def write_picture(folder: Path, curves: Sequence[EpochMetrics]) -> Path:
    """Plot curves.png: both losses over the epochs, and the epoch whose weights are kept."""
    import matplotlib  # the import takes half a second

    with matplotlib.rc_context(STYLE):
        return _draw(folder, curves)


def _draw(folder: Path, curves: Sequence[EpochMetrics]) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    epochs = [metrics.epoch for metrics in curves]
    axes.plot(epochs, [metrics.train_loss for metrics in curves], color=POLICY, label="training")
    measured = [metrics for metrics in curves if not math.isnan(metrics.validation_loss)]
    if measured:
        axes.plot(
            [metrics.epoch for metrics in measured],
            [metrics.validation_loss for metrics in measured],
            color=EXPERT,
            label="validation (episodes never trained on)",
        )
    kept = [metrics.epoch for metrics in curves if metrics.best]
    if kept:
        axes.axvline(kept[-1], color=QUIET, linestyle=":", label=f"kept: epoch {kept[-1]}")
    losses = [loss for metrics in curves for loss in (metrics.train_loss, metrics.validation_loss)]
    likelihood = any(loss <= 0 for loss in losses)  # a log likelihood can be negative
    axes.set(xlabel="epoch", ylabel="loss (normalised actions)", yscale="linear" if likelihood else "log")
    axes.legend(frameon=False)
    save(figure, folder / PICTURE, dpi=110)
    return folder / PICTURE


def _cell(value: float) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return "" if math.isnan(value) else repr(value)
