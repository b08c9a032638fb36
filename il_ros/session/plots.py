"""Figures of a session (SVG): drivers over time, statistics of the versions, uncertainty in each episode."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from matplotlib.patches import Patch

from il_ros.core.plot_style import BAD, EXPERT, GOOD, POLICY, QUIET, STYLE, save
from il_ros.records.decision import drives
from il_ros.records.labelling import EXPERT as EXPERT_NAME
from il_ros.records.labelling import POLICY as POLICY_NAME
from il_ros.session.facts import EpisodeFacts, Facts, VersionFacts

_COLOURS = {EXPERT_NAME: EXPERT, POLICY_NAME: POLICY}
_NO_AUTHORITY = "#dee2e6"
_OUTCOMES = {"success": GOOD, "failure": BAD}
_LABEL_LETTERS = 14
LONG = 4
"""Versions with at least 1/LONG of the longest driving time set the scale of the rates."""


def plot_episodes(facts: Facts, path: Path, *, narrow: bool = False) -> None:
    """Draw each episode as a bar: its drivers, its outcome and its policy version."""
    episodes = facts.episodes
    with matplotlib.rc_context(STYLE):
        figure, axis = pyplot.subplots(figsize=(_width(narrow), 0.9 + 0.2 * len(episodes)))
        axis.grid(axis="y", visible=False)
        axis.set_axisbelow(True)
        for row, episode in enumerate(episodes):
            _bar(axis, row, episode)
        changes = [
            row for row in range(1, len(episodes)) if episodes[row].version != episodes[row - 1].version
        ]
        for row in changes:
            axis.axhline(row - 0.5, color=QUIET, lw=0.8, ls=":")
        longest = max(episode.duration_s for episode in episodes)
        for row in [0, *changes]:
            name = _short(episodes[row].version) or "demonstration"
            axis.text(longest * 1.06, row, name, va="center", fontsize=8, color=QUIET)
        axis.set_ylim(len(episodes) - 0.4, -0.6)
        axis.set_xlim(0, longest * 1.05)
        axis.set_yticks(range(len(episodes)))
        axis.set_yticklabels([str(int(episode.name.rsplit("_", 1)[-1])) for episode in episodes], fontsize=8)
        axis.set_ylabel("episode")
        axis.set_xlabel("s")
        handles = [Patch(color=POLICY, label="policy"), Patch(color=EXPERT, label="expert")]
        handles += [Patch(color=_NO_AUTHORITY, label="no authority")]
        axis.legend(
            handles=handles, ncols=3, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), fontsize=8
        )
        _save(figure, path)


def plot_versions(facts: Facts, path: Path, *, narrow: bool = False) -> None:
    """Draw success and interventions per minute of each version, with 95 % confidence intervals."""
    versions = [version for version in facts.versions if version.version] or list(facts.versions)
    places = np.arange(len(versions))
    with matplotlib.rc_context(STYLE):
        figure, (left, right) = _two(2.6, narrow)
        _success(left, places, versions)
        _interventions(right, places, versions)
        for axis in (left, right):
            axis.grid(axis="x", visible=False)
            axis.set_axisbelow(True)
            axis.set_xlim(-0.6, max(3, len(versions)) - 0.4)
            axis.set_xticks(places, [_short(version.version) or "demonstration" for version in versions])
            axis.tick_params(axis="x", labelsize=8, rotation=20 if len(versions) > 4 else 0)
        figure.subplots_adjust(wspace=0.3, hspace=0.6)
        _save(figure, path)


def plot_labels(facts: Facts, path: Path, *, narrow: bool = False) -> None:
    """Draw the cumulative labels and expert time over the minutes of interaction."""
    kept = facts.kept
    minutes = np.cumsum([0.0, *(episode.duration_s / 60 for episode in kept)])
    labels = np.cumsum([0, *(episode.labels for episode in kept)])
    expert = np.cumsum([0.0, *(episode.expert_s / 60 for episode in kept)])
    with matplotlib.rc_context(STYLE):
        figure, panels = _two(2.1, narrow)
        for panel, total, colour, title in (
            (panels[0], labels, POLICY, "labels"),
            (panels[1], expert, EXPERT, "minutes the expert drove"),
        ):
            panel.plot(minutes, total, color=colour, lw=1.6)
            panel.set_title(title, fontsize=9, loc="left")
            panel.set_xlabel("minutes of interaction")
            panel.set_xlim(left=0)
            panel.set_ylim(bottom=0)
        figure.subplots_adjust(wspace=0.3, hspace=0.6)
        _save(figure, path)


def plot_uncertainties(episodes: Sequence[EpisodeFacts], path: Path, *, narrow: bool = False) -> None:
    """Draw uncertainty and disagreement in each episode, with the expert's control shaded."""
    columns = 1 if narrow else min(3, len(episodes))
    rows = -(-len(episodes) // columns)
    with matplotlib.rc_context(STYLE):
        figure, panels = pyplot.subplots(
            rows, columns, figsize=(_width(narrow), 1.5 * rows + 0.3), squeeze=False
        )
        for panel in panels.ravel()[len(episodes) :]:
            panel.set_visible(False)
        for panel, episode in zip(panels.ravel(), episodes, strict=False):
            draw_uncertainty(panel, episode)
            colour = _OUTCOMES.get(episode.outcome, QUIET)
            number = int(episode.name.rsplit("_", 1)[-1])
            panel.set_title(f"{number}: {episode.outcome}", fontsize=8, loc="left", color=colour)
            panel.tick_params(labelsize=8)
        handles = [Patch(color=POLICY, label="uncertainty"), Patch(color=QUIET, label="policy to expert")]
        figure.legend(handles=handles, ncols=2, frameon=False, loc="upper right", fontsize=8)
        figure.tight_layout(rect=(0, 0, 1, 0.97))
        _save(figure, path)


def draw_uncertainty(panel: Any, episode: EpisodeFacts) -> None:
    """Draw one episode's uncertainty and disagreement into a panel, with the expert's control shaded."""
    for start_s, end_s, driver in _intervals(episode):
        if drives(driver, EXPERT_NAME):
            panel.axvspan(start_s, end_s, color=EXPERT, alpha=0.15, lw=0)
    panel.plot(episode.times_s, episode.uncertainties, color=POLICY, lw=1.1)
    panel.plot(episode.times_s, episode.disagreements, color=QUIET, lw=1.1)
    for tick in episode.takeovers:
        panel.axvline(episode.times_s[tick], color=EXPERT, lw=0.8)
    panel.set_xlim(0, max(episode.duration_s, 1e-3))
    panel.set_ylim(bottom=0)


def _width(narrow: bool) -> float:
    """Return the width of a figure in inches; on a phone's screen the narrow one keeps its letters' size."""
    return 4.2 if narrow else 8.0


def _two(height_in: float, narrow: bool) -> tuple[Any, Any]:
    """Return a figure with two panels, side by side or, if narrow, one above the other."""
    if narrow:
        return pyplot.subplots(2, 1, figsize=(_width(narrow), 2 * height_in))  # type: ignore[no-any-return]
    return pyplot.subplots(1, 2, figsize=(_width(narrow), height_in))  # type: ignore[no-any-return]


def _bar(axis: Any, row: int, episode: EpisodeFacts) -> None:
    alpha = 0.25 if episode.discarded else 1.0
    for start_s, end_s, driver in _intervals(episode):
        axis.barh(
            row,
            end_s - start_s,
            left=start_s,
            height=0.62,
            color=_colour(driver),
            alpha=alpha,
        )
    mark = "discarded" if episode.discarded else {"success": "✓", "failure": "✗"}.get(episode.outcome, "?")
    axis.annotate(
        mark,
        (episode.duration_s, row),
        (4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=QUIET if episode.discarded else _OUTCOMES.get(episode.outcome, QUIET),
    )


def _colour(driver: str) -> str:
    """Return the colour of a driver; of action groups with several drivers, the expert's comes first."""
    return next((colour for name, colour in _COLOURS.items() if drives(driver, name)), _NO_AUTHORITY)


def _intervals(episode: EpisodeFacts) -> list[tuple[float, float, str]]:
    """Return the intervals of constant driver: start in s, end in s, driver."""
    out = []
    for driver, ticks in groupby(range(len(episode.drivers)), key=lambda tick: episode.drivers[tick]):
        indices = list(ticks)
        end_s = float(episode.times_s[indices[-1]] + episode.lasts_s[indices[-1]])
        out.append((float(episode.times_s[indices[0]]), end_s, driver))
    return out


def _success(axis: Any, places: Any, versions: Sequence[VersionFacts]) -> None:
    axis.set_title("success: all, and autonomous (dark)", fontsize=9, loc="left")
    axis.set_ylim(0, 100)
    axis.set_ylabel("%")
    for place, version in zip(places, versions, strict=True):
        if version.interval is None:
            continue
        rate, alone = (100 * count / version.episodes for count in (version.successes, version.alone))
        low, high = (100 * bound for bound in version.interval)
        axis.bar(place, rate, color=POLICY, alpha=0.35, width=0.55)
        axis.bar(place, alone, color=POLICY, width=0.55)
        axis.errorbar(place, rate, [[rate - low], [high - rate]], color=QUIET, lw=1, capsize=3)


def _short(version: str) -> str:
    return version if len(version) <= _LABEL_LETTERS else f"{version[: _LABEL_LETTERS - 1]}…"


def _save(figure: Any, path: Path) -> None:
    save(figure, path, bbox_inches="tight")
    pyplot.close(figure)


def _interventions(axis: Any, places: Any, versions: Sequence[VersionFacts]) -> None:
    """Draw the rates; versions with little driving time do not set the scale and may exceed it."""
    axis.set_title("interventions per minute", fontsize=9, loc="left")
    top, longest = 1.0, max(version.minutes for version in versions)
    for place, version in zip(places, versions, strict=True):
        rate, interval = version.per_minute, version.per_minute_interval
        if rate is None or interval is None:
            continue
        axis.bar(place, rate, color=EXPERT, width=0.55)
        axis.errorbar(place, rate, [[rate - interval[0]], [interval[1] - rate]], color=QUIET, lw=1, capsize=3)
        if version.minutes >= longest / LONG:
            top = max(top, 1.05 * interval[1])
    axis.set_ylim(0, top)
