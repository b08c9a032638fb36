"""The session's report as an HTML page with its figures, and the same numbers as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np

from il_ros.core import atomic
from il_ros.core.tables import counted, grouped
from il_ros.session import plots
from il_ros.session.facts import EpisodeFacts, Facts, VersionFacts

SHOWN_EPISODES = 12
HEADER = (
    *("policy", "episodes", "succeeded", "95 % interval", "autonomous"),
    *("minutes", "interventions", "per minute", "95 % interval", "expert min", "labels"),
)


def folder_for(root: Path) -> Path:
    """Return the folder of the report on the episodes in `root`: beside it, because `root` holds only episodes."""
    root = root.resolve()
    return root.with_name(f"{root.name}_report")


def write(facts: Facts, folder: Path) -> Path:
    """Write figures, report.json and the page into `folder`; return the page's path.

    Raises OSError when the folder is not writable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plots.plot_episodes(facts, folder / "episodes.svg")
    plots.plot_versions(facts, folder / "versions.svg")
    plots.plot_labels(facts, folder / "labels.svg")
    shown = _with_curves(facts)
    plots.plot_uncertainties(shown, folder / "uncertainty.svg")
    atomic.write_text(folder / "report.json", json.dumps(record(facts), indent=2) + "\n")
    first, last = _ends(facts)
    kept = facts.kept
    minutes = sum(episode.duration_s for episode in kept) / 60
    text = Template(resources.files("il_ros.session").joinpath("page.html").read_text("utf-8")).substitute(
        root=escape(str(facts.root)),
        title=_title(first, last),
        alone=_alone(last),
        alone_before=_alone(first),
        rate=_per_minute(last),
        rate_before=_per_minute(first),
        labels=f"{sum(episode.labels for episode in kept):,}".replace(",", " "),
        minutes=f"{minutes:.1f}",
        expert=f"{sum(episode.expert_s for episode in kept) / 60:.1f}",
        episodes=counted(len(kept), "episode"),
        undone=_undone(facts),
        header="".join(f"<th>{name}</th>" for name in HEADER),
        rows="".join(_row(version) for version in facts.versions),
        left_out="".join(f"<li>{escape(line)}</li>" for line in grouped(facts.left_out)),
        shown=counted(len(shown), "episode"),
    )
    path = folder / "index.html"
    atomic.write_text(path, text)
    return path


def record(facts: Facts) -> dict[str, object]:
    """Return the contents of report.json."""
    return {
        "root": str(facts.root),
        "episodes": len(facts.kept),
        "undone": len(facts.episodes) - len(facts.kept),
        "minutes": sum(episode.duration_s for episode in facts.kept) / 60,
        "expert_minutes": sum(episode.expert_s for episode in facts.kept) / 60,
        "labels": sum(episode.labels for episode in facts.kept),
        "versions": [
            {
                **asdict(version),
                "interventions_per_minute": version.per_minute,
                "interventions_per_minute_interval": version.per_minute_interval,
                "interval": version.interval,
            }
            for version in facts.versions
        ],
        "left_out": [list(pair) for pair in facts.left_out],
    }


def _with_curves(facts: Facts) -> tuple[EpisodeFacts, ...]:
    """Return the last episodes with uncertainty or disagreement, or the last ones if none has any."""
    known = [each for each in facts.episodes if np.isfinite([each.uncertainties, each.disagreements]).any()]
    return tuple((known or facts.episodes)[-SHOWN_EPISODES:])


def _ends(facts: Facts) -> tuple[VersionFacts, VersionFacts]:
    """Return the first and the last version under which an episode ended."""
    ran = [version for version in facts.versions if version.version and version.episodes]
    ran = ran or list(facts.versions)
    return ran[0], ran[-1]


def _title(first: VersionFacts, last: VersionFacts) -> str:
    if first is last or not (first.episodes and last.episodes):
        return "Session report"
    before, after = (100 * each.alone / each.episodes for each in (first, last))
    return f"Autonomous success: {before:.0f} % with the first policy, {after:.0f} % with the last"


def _alone(version: VersionFacts) -> str:
    return f"{100 * version.alone / version.episodes:.0f} %" if version.version and version.episodes else "–"


def _per_minute(version: VersionFacts) -> str:
    return "–" if version.per_minute is None else f"{version.per_minute:.1f}"


def _undone(facts: Facts) -> str:
    count = len(facts.episodes) - len(facts.kept)
    return f", {count} more discarded" if count else ""


def _row(version: VersionFacts) -> str:
    interval, rate = version.interval, version.per_minute_interval
    cells = (
        escape(version.version or "(demonstration)"),
        version.episodes,
        version.successes,
        "–" if interval is None else f"{100 * interval[0]:.0f}–{100 * interval[1]:.0f} %",
        version.alone,
        f"{version.minutes:.1f}",
        version.interventions if version.version else "–",
        _per_minute(version),
        "–" if rate is None else f"{rate[0]:.1f}–{rate[1]:.1f}",
        f"{version.expert_minutes:.1f}",
        version.labels,
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"
