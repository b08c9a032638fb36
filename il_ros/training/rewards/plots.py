"""A plot of a reward along an episode, under its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.plot_style import EXPERT, GOOD, POLICY, QUIET, STYLE, save
from il_ros.core.specs import Vector
from il_ros.episodes.video import Still
from il_ros.training.rewards.rating import Rated


@dataclass(frozen=True, eq=False)
class Chart:
    """`heat` (H, W): the rewards of a map's cells, NaN where nothing can be. `way` (N, 2): rows and columns.

    `names`: of the coordinates along rows and columns. `low`: their values at the corner of row and column 0, and
    `cell`: the size of a cell, both in the unit of the coordinates.
    """

    heat: Vector
    way: NDArray[np.int64]
    names: tuple[str, str]
    low: tuple[float, float]
    cell: float


def draw(path: Path, rated: Rated, stills: Sequence[Still], title: str, chart: Chart | None = None) -> None:
    """Write a PNG: pictures in time order, or a map; below, the reward, its sum, and where a success was seen.

    The map shows what was passed as a line from a dot to a square, with rows and columns as the contract names them.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        above = [] if chart is None and not stills else [1.2 if chart is None else 2.4]
        figure = Figure(figsize=(9, 3 + 1.4 * sum(above)), layout="constrained")
        outer = figure.add_gridspec(1 + len(above), 1, height_ratios=[*above, 1.6])
        if chart is not None:
            _draw_map(figure, figure.add_subplot(outer[0]), chart)
        elif stills:
            row = outer[0].subgridspec(1, len(stills))
            for place, still in enumerate(stills):
                axes = figure.add_subplot(row[place])
                axes.imshow(still.picture)
                axes.set_axis_off()
        axes = figure.add_subplot(outer[-1])
        axes.plot(rated.time_s, rated.reward, color=POLICY)
        axes.set(xlabel="time [s]", ylabel="reward")
        figure.suptitle(f"{title}, verdict: {rated.episode.outcome}")
        axes.set_xlim(0, max(float(rated.time_s[-1]), 1e-3))
        if rated.fired_s is not None:
            axes.axvline(
                rated.fired_s, color=GOOD, linestyle="--", label=f"success seen: {rated.fired_s:.2f} s"
            )
        if rated.fired_s is None:
            total = axes.twinx()
            total.plot(rated.time_s, np.cumsum(rated.reward), color=QUIET, linewidth=0.8)
            total.set_ylabel("return so far")
            total.grid(visible=False)
        else:
            axes.legend(frameon=False, loc="upper left")
        save(figure, path, dpi=110)


def _draw_map(figure: Any, axes: Any, chart: Chart) -> None:
    """Draw the rewards of the cells, and the way over them, in the unit of the coordinates."""
    rows, columns = chart.heat.shape
    first, second = chart.low
    extent = (second, second + columns * chart.cell, first, first + rows * chart.cell)
    picture = axes.imshow(chart.heat, origin="lower", cmap="viridis", interpolation="nearest", extent=extent)
    way = np.asarray(chart.low) + (chart.way + 0.5) * chart.cell
    axes.plot(way[:, 1], way[:, 0], color=EXPERT, linewidth=1.2)
    axes.plot(way[0, 1], way[0, 0], "o", color=EXPERT)
    axes.plot(way[-1, 1], way[-1, 0], "s", color=EXPERT)
    axes.set(xlabel=chart.names[1], ylabel=chart.names[0])
    axes.grid(visible=False)
    figure.colorbar(picture, ax=axes, shrink=0.8, panchor=False, label="reward of a cell")
