"""Plot values of the states of a grid as heat maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from il_ros.core.plot_style import BAD, EXPERT, STYLE, save
from il_ros.core.specs import Vector
from il_ros.irl.grid import Grid

_LINES = (EXPERT, BAD, "white")
_WIDTH_IN = 4.2


def draw_heat_maps(
    file: Path, grid: Grid, panels: Mapping[str, Vector], paths: Mapping[str, NDArray[np.int64]] | None = None
) -> None:
    """Write a picture with one panel per title, side by side: values of states (S,), and paths on them.

    `paths`: rows and columns of cells (N, 2), by the name in the legend. The picture shows the rectangle that holds all
    free cells; its format is that of the file's name.
    """
    top, left = grid.cells.min(axis=0) - 1
    bottom, right = grid.cells.max(axis=0) + 1
    height_in = _WIDTH_IN * (bottom - top) / (right - left) + 0.9
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN * len(panels), height_in), layout="constrained")
        all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (title, values) in zip(all_axes, panels.items(), strict=True):
            image = axes.imshow(grid.on_map(values), origin="lower", cmap="viridis", interpolation="nearest")
            for colour, (name, path) in zip(_LINES, (paths or {}).items(), strict=False):
                axes.plot(path[:, 1], path[:, 0], color=colour, linewidth=1.2, label=name)
            axes.set(title=title, xticks=(), yticks=(), xlim=(left, right), ylim=(top, bottom))
            axes.grid(False)
            axes.spines[:].set_visible(False)
            figure.colorbar(image, ax=axes, shrink=0.8)
        if paths:
            figure.legend(
                *all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(paths)
            )
        save(figure, file, dpi=120)
