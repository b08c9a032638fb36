"""The training curves of a run, as a table and as a plot."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from il_ros.core import atomic
from il_ros.core.plot_style import EXPERT, POLICY, QUIET, STYLE, label_epochs, save
from il_ros.training.loop import EpochMetrics

TABLE, PICTURE = "curves.csv", "curves.png"
_ALWAYS = ("epoch", "step", "train_loss", "validation_loss", "learning_rate", "seconds", "best")


def write_table(folder: Path, curves: Sequence[EpochMetrics]) -> Path:
    """Write curves.csv: a header and one row per epoch; a cell is empty if a number was not measured.

    The named parts of the loss have columns of their own, after the others, and so have tests in the simulator.
    """
    rows = [row(metrics) for metrics in curves]
    names = list(dict.fromkeys(name for values in rows for name in values))
    cells = [[_cell(values.get(name, math.nan)) for name in names] for values in rows]
    text = "\n".join(map(",".join, [names, *cells])) + "\n"
    atomic.write_text(folder / TABLE, text, durable=False)
    return folder / TABLE


def read_table(folder: Path) -> list[dict[str, float]]:
    """Return the rows of curves.csv; NaN where a number was not measured."""
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        return [
            {name: float(value) if value else math.nan for name, value in cells.items()}
            for cells in csv.DictReader(file)
        ]


def row(metrics: EpochMetrics) -> dict[str, float]:
    """Return the numbers of an epoch by their names in curves.csv; NaN where a loss was not measured."""
    tested = {} if math.isnan(metrics.score) else {"success": metrics.success, "return": metrics.mean_return}
    return {
        **{name: getattr(metrics, name) for name in _ALWAYS},
        **{f"loss_{name}": part for name, part in metrics.parts.items()},
        **tested,
    }


def write_picture(folder: Path, curves: Sequence[EpochMetrics]) -> Path:
    """Plot curves.png: both losses over the epochs, below them the tests if there were some, and the kept epoch."""
    import matplotlib  # the import takes half a second

    with matplotlib.rc_context(STYLE):
        return _draw(folder, curves)


def _draw(folder: Path, curves: Sequence[EpochMetrics]) -> Path:
    from matplotlib.figure import Figure

    tested = [metrics for metrics in curves if not math.isnan(metrics.score)]
    figure = Figure(figsize=(7, 6 if tested else 4), layout="constrained")
    all_axes = figure.subplots(2 if tested else 1, sharex=True, squeeze=False)[:, 0]
    axes = all_axes[0]
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
    axes.set(ylabel="loss (normalised actions)", yscale="linear" if likelihood else "log")
    axes.legend(frameon=False)
    if tested:
        _draw_tests(all_axes[1], tested)
        if kept:
            all_axes[1].axvline(kept[-1], color=QUIET, linestyle=":")
    label_epochs(all_axes[-1])
    save(figure, folder / PICTURE, dpi=110)
    return folder / PICTURE


def _draw_tests(axes: Any, tested: Sequence[EpochMetrics]) -> None:
    """Draw success, or the return where success is not defined, of each test in the simulator."""
    judged = any(not math.isnan(metrics.success) for metrics in tested)
    axes.plot(
        [metrics.epoch for metrics in tested], [metrics.score for metrics in tested], "o-", color=POLICY
    )
    axes.set_ylabel("success in the simulator" if judged else "return in the simulator")
    if judged:
        axes.set_ylim(-0.03, 1.03)


def _cell(value: float) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return "" if math.isnan(value) else repr(value)
