"""Plot one episode over time: observations, commands and authority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import EpisodeArrays

_COLOURS = {"expert": "tab:orange", "policy": "tab:blue", "none": "tab:red"}
_MOST_LINES = 20
"""Signals with more elements than this (a laser scan) are drawn as an image."""


@dataclass(frozen=True)
class Curve:
    """A signal: `values` (T,) at `ticks_ns` (T,), NaN where unknown."""

    name: str
    ticks_ns: NDArray[np.int64]
    values: NDArray[np.float64]


def plot_episode(
    episode: EpisodeArrays, contract: Contract, path: Path, curves: Sequence[Curve] = ()
) -> None:
    """Plot the episode's numeric observations, commands and authority into a PNG (or PDF, SVG) file.

    Each of `curves` has a panel between commands and authority, unless all its values are NaN.
    Gaps between frames stay blank. Raises OSError when the file can't be written.
    """
    from matplotlib.figure import Figure

    numeric = [spec for spec in contract.observations if spec.kind == "numeric"]
    curves = [curve for curve in curves if np.isfinite(curve.values).any()]
    rows = len(numeric) + len(contract.actions) + len(curves) + bool(episode.authority)
    heights = [1.0] * (len(numeric) + len(contract.actions)) + [0.6] * len(curves)
    heights += [0.2] * bool(episode.authority)
    figure = Figure(figsize=(11, 1.2 + 2.2 * sum(heights)), layout="constrained")
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    times_s = (np.asarray(episode.ticks_ns) - int(episode.ticks_ns[0])) / 1e9
    figure.suptitle(
        f"{episode.name}: {episode.task or 'no task'}, {episode.outcome}, "
        f"{counted(len(episode), 'frame')} in {episode.duration_s:.1f} s"
    )
    for panel, spec in zip(panels, numeric, strict=False):
        _lines(panel, times_s, np.asarray(episode.observations[spec.key]), episode.runs, spec.elements)
        panel.set_ylabel(_label(spec.key, spec.unit))
    for panel, action in zip(panels[len(numeric) :], contract.actions, strict=False):
        commands = np.asarray(episode.commands)[:, contract.action_slices[action.key]]
        _lines(panel, times_s, commands, episode.runs, action.names, steps=True)
        panel.set_ylabel(_label(f"{action.key} command", action.unit))
    for panel, curve in zip(panels[len(numeric) + len(contract.actions) :], curves, strict=False):
        panel.plot((curve.ticks_ns - int(episode.ticks_ns[0])) / 1e9, curve.values, color="C4", linewidth=1.2)
        panel.set_ylabel(curve.name)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    if episode.authority:
        _authority(panels[-1], times_s, episode)
    panels[-1].set_xlabel("s since the first frame")
    figure.savefig(path, dpi=110)


def _label(name: str, unit: str) -> str:
    return f"{name}\n[{unit}]" if unit else name


def _lines(
    panel: Any,
    times_s: Vector,
    values: Vector,
    runs: Sequence[slice],
    names: Sequence[str],
    steps: bool = False,
) -> None:
    if len(names) > _MOST_LINES:
        edges = np.append(times_s, times_s[-1] + 0.05)
        panel.pcolormesh(edges, np.arange(len(names) + 1), values.T, cmap="viridis")
        return
    for index, name in enumerate(names):
        for number, run in enumerate(runs):
            panel.plot(
                times_s[run],
                values[run, index],
                color=f"C{index % 10}",
                linestyle="-" if index < 10 else "--",
                drawstyle="steps-post" if steps else "default",
                label=name if number == 0 else None,
                linewidth=1.2,
            )
    panel.grid(alpha=0.3)
    panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="x-small", frameon=False)


def _authority(panel: Any, times_s: Vector, episode: EpisodeArrays) -> None:
    period_s = episode.period_ns / 1e9
    shown: set[str] = set()
    for run in episode.runs:
        for name, frames in groupby(range(run.start, run.stop), key=lambda index: episode.authority[index]):
            indices = list(frames)
            start_s, end_s = times_s[indices[0]], times_s[indices[-1]] + period_s
            label = None if name in shown else name
            panel.axvspan(start_s, end_s, color=_COLOURS.get(name, "tab:green"), alpha=0.6, label=label, lw=0)
            shown.add(name)
    panel.set_yticks([])
    panel.set_ylabel("authority")
    panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="x-small", frameon=False)
