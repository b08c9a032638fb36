"""One recipe trained with several seeds: a table, and a plot with mean and interval."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import atomic
from il_ros.core.plot_style import EXPERT, POLICY, QUIET, STYLE, label_epochs, save

TABLE, PICTURE = "seeds.csv", "seeds.png"
_SIGN = "seed,folder,version,epochs,"
SUCCESS, VALIDATION = CHOICES = ("success", "validation")
"""By what the best seed may be chosen."""


@dataclass(frozen=True)
class SeedResult:
    """What the training with one seed came to, in the folder `folder`. NaN: not measured.

    `success` (NaN also where the task does not define it) and `mean_return`: of the kept weights, in the simulator.
    """

    seed: int
    folder: str
    version: str
    epochs: int
    train_loss: float
    validation_loss: float
    success: float
    mean_return: float
    duration_s: float

    @classmethod
    def of(cls, seed: int, folder: str, done: Mapping[str, Any]) -> SeedResult:
        """Return that of a training's last event, "done"."""
        tests = done.get("tests") or {}
        numbers = (
            done["train_loss"],
            done["validation_loss"],
            tests.get("success"),
            tests.get("mean_return"),
            done["duration_s"],
        )
        known = (math.nan if number is None else float(number) for number in numbers)
        return cls(seed, folder, done["version"], done["epochs"], *known)

    @property
    def score(self) -> float:
        """Success, or the mean return where it is not defined; NaN: not tested."""
        return self.mean_return if math.isnan(self.success) else self.success


def best_of(results: Sequence[SeedResult], by: str) -> SeedResult:
    """Return the best result: by success, of equal ones the one with the lower validation loss, or by that loss.

    Raises ValueError when it was not measured.
    """

    def value(result: SeedResult) -> tuple[float, ...]:
        loss = math.inf if math.isnan(result.validation_loss) else result.validation_loss
        return (-loss,) if by == VALIDATION else (result.score, -loss)

    if any(math.isnan(each.validation_loss if by == VALIDATION else each.score) for each in results):
        raise ValueError(f"--choose {by}: it was not measured")
    return max(results, key=value)


def interval(values: Sequence[float], *, share: bool = False) -> tuple[float, float, float]:
    """Return the mean over seeds and its 95 % interval (Student's t); NaN bounds for a single seed.

    `share`: the values are shares, of which the interval ends at 0 and 1.
    """
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return mean, math.nan, math.nan
    half = float(stdtrit(count - 1, 0.975) * np.std(values, ddof=1) / math.sqrt(count))
    low, high = mean - half, mean + half
    return (mean, max(0.0, low), min(1.0, high)) if share else (mean, low, high)


def require_writable(folder: Path) -> None:
    """Raise FileExistsError when something else wrote files of these names, OSError when the folder is not writable."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic.require_own(folder / TABLE, _SIGN)
    atomic.require_own(folder / PICTURE)


def write_table(folder: Path, results: Sequence[SeedResult], best: SeedResult | None) -> None:
    """Write seeds.csv: a row per seed; a cell is empty if it was not measured. `best`: the chosen one."""
    names = [field.name for field in fields(SeedResult)]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*names, "best"])
    for result in results:
        values = [getattr(result, name) for name in names]
        writer.writerow([*("" if value != value else value for value in values), int(result == best)])
    atomic.write_text(folder / TABLE, written.getvalue(), durable=False)


def write_picture(folder: Path, runs: Mapping[int, Path], best: int | None) -> None:
    """Plot seeds.png from the curves.csv of each seed's folder: loss and, if tested, success or return, over epochs.

    Thin lines are the seeds, thick ones their mean as far as all have it, with its 95 % interval.
    """
    import matplotlib
    from matplotlib.figure import Figure

    from il_ros.training.metrics.curves import read_table

    curves = {seed: read_table(run) for seed, run in runs.items()}
    panels: list[tuple[tuple[str, ...], str]] = [
        (("train_loss", "validation_loss"), "loss (normalised actions)")
    ]
    for name, label in (("success", "success in the simulator"), ("return", "return in the simulator")):
        if any(not math.isnan(row.get(name, math.nan)) for rows in curves.values() for row in rows):
            panels.append(((name,), label))
            break
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 1 + 3 * len(panels)), layout="constrained")
        all_axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
        for axes, (names, label) in zip(all_axes, panels, strict=True):
            for name, colour in zip(names, (POLICY, EXPERT), strict=False):
                lines = {seed: _line(rows, name) for seed, rows in curves.items()}
                _draw(axes, lines, name, colour, best)
            axes.set_ylabel(label)
            axes.legend(frameon=False)
        losses = [row[name] for rows in curves.values() for row in rows for name in panels[0][0]]
        all_axes[0].set_yscale("linear" if any(loss <= 0 for loss in losses) else "log")
        if panels[-1][0] == ("success",):
            all_axes[-1].set_ylim(-0.03, 1.03)
        label_epochs(all_axes[-1])
        save(figure, folder / PICTURE, dpi=110)


def _line(rows: Sequence[Mapping[str, float]], name: str) -> dict[int, float]:
    """Return the measured values of a column by epoch."""
    return {int(row["epoch"]): row[name] for row in rows if not math.isnan(row.get(name, math.nan))}


def _draw(
    axes: Any, lines: Mapping[int, Mapping[int, float]], name: str, colour: str, best: int | None
) -> None:
    for seed, line in lines.items():
        chosen = seed == best
        axes.plot(
            list(line),
            list(line.values()),
            color=colour if chosen else QUIET,
            linewidth=0.8,
            linestyle="--" if chosen else "-",
            label=f"chosen: seed {seed}" if chosen and name != "train_loss" else None,
        )
    shared = sorted(set.intersection(*(set(line) for line in lines.values())))
    if not shared:
        return
    share = name == "success"
    mean, low, high = np.array(
        [interval([line[epoch] for line in lines.values()], share=share) for epoch in shared]
    ).T
    words = {"train_loss": "training", "validation_loss": "validation"}.get(name, name)
    axes.plot(shared, mean, color=colour, linewidth=2, label=f"{words}, mean of {len(lines)}")
    if np.isfinite(low).any():
        axes.fill_between(shared, low, high, color=colour, alpha=0.15, label=f"{words}, 95 % interval")
