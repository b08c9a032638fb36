"""Plot one episode over time: each joint measured and commanded, with its limits, and where the limiter acted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.contract import Contract
from il_ros.core.plot_style import BAD, EXPERT, LINES, POLICY, QUIET, STYLE, save
from il_ros.core.specs import ObservationSpec, Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.records.decision import drives
from il_ros.records.labelling import EXPERT as EXPERT_NAME

_MOST_LINES = 20
"""Signals with more elements than this (a laser scan) are drawn as an image."""
LEAST_SPAN = 0.1
"""The least span of a joint's axis, as a share of its limits: noise must not look like motion."""
STILL = 0.005
"""A joint that moves less than this share of its limits is named, not drawn."""
_FASTEST_S = 1.0
"""Without position limits, one second of motion at the speed limit takes the place of their range."""
_WIDTH_IN, _ROW_IN = 8.0, 1.15


@dataclass(frozen=True)
class Curve:
    """A signal: `values` (T,) at `ticks_ns` (T,), NaN where unknown."""

    name: str
    ticks_ns: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class _Joint:
    """One element of an action: measured (T,) or None, commanded (T,), its limits and the scale of its axis.

    `turn`: a whole turn of a continuous joint's angle, 0 for others.
    """

    name: str
    unit: str
    measured: Vector | None
    commanded: Vector
    lower: float
    upper: float
    scale: float
    turn: float

    @property
    def still(self) -> bool:
        """Whether neither curve moves; the end of a turn is no motion."""
        even = [np.unwrap(each, period=self.turn) if self.turn else each for each in self._drawn]
        return all(np.ptp(values) < STILL * self.scale for values in even)

    @property
    def _drawn(self) -> list[Vector]:
        """The curves without NaN, which a command of an action group without a label is; no empty ones."""
        curves = [self.commanded] if self.measured is None else [self.commanded, self.measured]
        known = [values[~np.isnan(values)] for values in curves]
        return [values for values in known if len(values)]

    @property
    def limits_shown(self) -> bool:
        """Whether a limit lies within the axis."""
        low, high = self.span
        return low <= self.lower <= high or low <= self.upper <= high

    @property
    def span(self) -> tuple[float, float]:
        """The axis: the curves with a margin, at least LEAST_SPAN of the limits' range."""
        drawn = np.concatenate([*self._drawn, *([] if self._drawn else [np.zeros(1)])])
        low, high = float(drawn.min()), float(drawn.max())
        half = max(1.15 * (high - low), LEAST_SPAN * self.scale) / 2
        return (low + high) / 2 - half, (low + high) / 2 + half


def plot_episode(
    episode: EpisodeArrays,
    contract: Contract,
    path: Path,
    curves: Sequence[Curve] = (),
    limited: Mapping[str, NDArray[np.int64]] | None = None,
) -> None:
    """Plot the episode's joints, other numeric observations and `curves` into a PNG (or PDF, SVG) file.

    `limited`: by the name of an action's element, the ticks (N,) at which the limiter changed its command. Joints that
    don't move are named in the title; a curve without a finite value has no panel. Gaps between frames stay blank, and
    the line of a continuous joint's angle is broken where it goes on at the other end of its turn.
    Raises OSError when the file can't be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    joints = _joints(episode, contract)
    moving = [joint for joint in joints if not joint.still]
    references = {action.reference for action in contract.actions}
    others = [spec for spec in contract.observations if spec.kind == "numeric" and spec.key not in references]
    curves = [curve for curve in curves if np.isfinite(curve.values).any()]
    rows = max(1, len(moving) + len(others) + len(curves))
    times_s = (np.asarray(episode.ticks_ns) - int(episode.ticks_ns[0])) / 1e9
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, 1.1 + _ROW_IN * rows), layout="constrained")
        panels = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
        figure.suptitle(
            _title(episode, [joint for joint in joints if joint.still]), fontsize=10, x=0.01, ha="left"
        )
        for place, panel in enumerate(panels):
            key = moving[place].name.partition("/")[0] if place < len(moving) else ""
            own = next((group.name for group in episode.groups if key in group.keys), "")
            _authority(panel, times_s, episode, episode.authorities.get(own, episode.authority))
        for panel, joint in zip(panels, moving, strict=False):
            acted_ns = (limited or {}).get(joint.name, np.zeros(0, dtype=np.int64))
            _joint(panel, times_s, joint, episode, (acted_ns - int(episode.ticks_ns[0])) / 1e9)
        for panel, spec in zip(panels[len(moving) :], others, strict=False):
            _lines(panel, times_s, np.asarray(episode.observations[spec.key]), episode.runs, spec)
            panel.set_ylabel(_label(spec.key, spec.unit))
        for panel, curve in zip(panels[len(moving) + len(others) :], curves, strict=False):
            panel.plot((curve.ticks_ns - int(episode.ticks_ns[0])) / 1e9, curve.values, color=POLICY, lw=1.2)
            panel.set_ylabel(curve.name)
            panel.set_ylim(bottom=0)
        _legend(figure, moving, limited or {}, episode)
        panels[-1].set_xlabel("s since the first frame")
        save(figure, path, dpi=130)


def _joints(episode: EpisodeArrays, contract: Contract) -> list[_Joint]:
    found = []
    for action in contract.actions:
        commands = np.asarray(episode.commands)[:, contract.action_slices[action.key]]
        lower, upper, speed, _ = action.limits.arrays()
        seen = None if action.reference is None else np.asarray(episode.observations[action.reference])
        for place, name in enumerate(action.names):
            measured = None if seen is None else seen[:, action.reference_index[place]]
            ranged = float(upper[place] - lower[place])
            scale = ranged if np.isfinite(ranged) else float(speed[place]) * _FASTEST_S
            found.append(
                _Joint(
                    f"{action.key}/{name}", action.unit, measured, commands[:, place],
                    float(lower[place]), float(upper[place]), scale, float(action.turns[place]),
                )
            )  # fmt: skip
    return found


def _joint(panel: Any, times_s: Vector, joint: _Joint, episode: EpisodeArrays, acted_s: Vector) -> None:
    for run in episode.runs:
        if joint.measured is not None:
            panel.plot(*broken(times_s[run], joint.measured[run], joint.turn), color=QUIET, lw=2.2, alpha=0.7)
        commanded = broken(times_s[run], joint.commanded[run], joint.turn)
        panel.plot(*commanded, color=POLICY, lw=1.2, drawstyle="steps-post")
    low, high = joint.span
    for limit in (joint.lower, joint.upper):
        if low <= limit <= high:
            panel.axhline(limit, color=BAD, lw=0.9, ls="--")
    if len(acted_s):
        panel.plot(acted_s, np.full(len(acted_s), low + 0.04 * (high - low)), "|", color=BAD, ms=6, mew=1.0)
    panel.set_ylim(low, high)
    panel.set_ylabel(joint.name.partition("/")[2], rotation=0, ha="right", va="center")


def broken(times_s: Vector, values: Vector, turn: float) -> tuple[Vector, Vector]:
    """Return times and values (T,) of a line that is not drawn across the end of a `turn`; 0: there is none.

    Where two values are more than half a turn apart, the angle went the shorter way, over the end: a NaN is put
    between them, at the time of the second.
    """
    if not turn:
        return times_s, values
    (ends,) = np.nonzero(np.abs(np.diff(values)) > turn / 2)
    return np.insert(times_s, ends + 1, times_s[ends + 1]), np.insert(values, ends + 1, np.nan)


def _title(episode: EpisodeArrays, still: Sequence[_Joint]) -> str:
    title = f"{episode.name}: {episode.task or 'no task'}, {episode.outcome}, {episode.duration_s:.1f} s"
    if still:
        title += f"\nnot moving: {', '.join(joint.name.partition('/')[2] for joint in still[:12])}"
    return title


def _legend(
    figure: Any, moving: Sequence[_Joint], limited: Mapping[str, Any], episode: EpisodeArrays
) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    if any(joint.measured is not None for joint in moving):
        handles.append(Line2D([], [], color=QUIET, lw=2.2, alpha=0.7, label="measured"))
    if moving:
        handles.append(Line2D([], [], color=POLICY, lw=1.2, label="commanded"))
    if any(joint.limits_shown for joint in moving):
        handles.append(Line2D([], [], color=BAD, lw=0.9, ls="--", label="limit"))
    if any(len(limited.get(joint.name, ())) for joint in moving):
        handles.append(Line2D([], [], color=BAD, marker="|", ls="", label="the limiter acted"))
    if any(drives(each, EXPERT_NAME) for each in episode.authority) and set(episode.authority) != {
        EXPERT_NAME
    }:
        handles.append(Patch(color=EXPERT, alpha=0.15, label="the expert drove"))
    if handles:
        figure.legend(
            handles=handles, ncols=len(handles), loc="outside lower left", frameon=False, fontsize=8
        )


def _label(name: str, unit: str) -> str:
    return f"{name}\n[{unit}]" if unit else name


def _lines(panel: Any, times_s: Vector, values: Vector, runs: Sequence[slice], spec: ObservationSpec) -> None:
    names = spec.elements
    if len(names) > _MOST_LINES:
        edges = np.append(times_s, times_s[-1] + 0.05)
        panel.pcolormesh(edges, np.arange(len(names) + 1), values.T, cmap="viridis")
        panel.grid(visible=False)
        return
    for index, name in enumerate(names):
        for number, run in enumerate(runs):
            panel.plot(
                *broken(times_s[run], values[run, index].astype(np.float64), float(spec.turns[index])),
                color=LINES[index % len(LINES)],
                ls="-" if index < len(LINES) else "--",
                label=name if number == 0 else None,
                lw=1.2,
            )
    panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small", frameon=False)


def _authority(panel: Any, times_s: Vector, episode: EpisodeArrays, authority: Sequence[str]) -> None:
    """Shade where the expert drove by `authority` (T), unless it always did: that of the panel's group, or of all."""
    if not episode.authority or set(episode.authority) == {EXPERT_NAME}:
        return
    period_s = episode.period_ns / 1e9
    for run in episode.runs:
        for name, frames in groupby(range(run.start, run.stop), key=lambda index: authority[index]):
            indices = list(frames)
            if drives(name, EXPERT_NAME):
                panel.axvspan(
                    times_s[indices[0]], times_s[indices[-1]] + period_s, color=EXPERT, alpha=0.15, lw=0
                )
