"""The session's report as an HTML page with its figures, and the same numbers as JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from html import escape
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from il_ros.core import atomic
from il_ros.core.plot_style import report_page
from il_ros.core.tables import counted, grouped, percent, percent_range
from il_ros.episodes.bag.reader import BagError, open_bag
from il_ros.episodes.layout import LayoutError, load_info
from il_ros.episodes.video import VideoError, cameras, write_sheet, write_video
from il_ros.session import plots
from il_ros.session.facts import EpisodeFacts, Facts, VersionFacts

SHOWN_EPISODES, SHOWN_VIDEOS = 12, 3
ENOUGH = 5
"""Episodes from which a share is given as a percentage."""
_EPISODES = """<h2>Episodes</h2>
<p>Each episode from its start: the driver over time, and the outcome. Dotted lines: change of policy version.</p>"""
_VERSIONS = "<h2>Policy versions</h2>"
_COUNTING = """<p class="quiet">A minute counts for the policy that drove last, also while the expert drove. Autonomous:
successes in which the expert never drove. An episode counts for the policy at its end. (demonstration): without a
policy.</p>"""
_UNCERTAINTY = """<h2>Uncertainty, and distance between policy and expert</h2>
<p>The last {} over time [s]. Shaded: the expert drove. Grey: root mean square distance between the proposals of
policy and expert for the same tick, in the actions' units.</p>"""
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

    Raises OSError when the folder is not writable, or holds a page that il_ros did not write.
    """
    with atomic.page(folder) as made:
        _write(facts, made)
    return folder / atomic.PAGE


def _write(facts: Facts, folder: Path) -> None:
    shown = _with_curves(facts)
    sections = [
        _section(
            _EPISODES,
            _figure(folder, "episodes", partial(plots.plot_episodes, facts), "Each episode as a bar"),
        ),
        _pictures(facts, folder),
    ]
    if any(version.version for version in facts.versions):
        drawn = _figure(
            folder, "versions", partial(plots.plot_versions, facts), "Success and interventions per minute"
        )
        rows = "".join(_row(version) for version in facts.versions)
        head = "".join(f"<th>{name}</th>" for name in HEADER)
        table = f'<div class="wide"><table><thead><tr>{head}</tr></thead>{rows}</table></div>'
        sections.append(_section(_VERSIONS, drawn + table + _COUNTING))
    if any(episode.labels for episode in facts.kept):
        drawn = _figure(
            folder, "labels", partial(plots.plot_labels, facts), "Labels and the expert's minutes"
        )
        sections.append(_section("<h2>Labels and expert time</h2>", drawn))
    if facts.groups:
        sections.append(_section("<h2>Action groups</h2>", _group_table(facts)))
    if shown:
        drawn = _figure(
            folder, "uncertainty", partial(plots.plot_uncertainties, shown), "Uncertainty over time"
        )
        sections.append(_section(_UNCERTAINTY.format(counted(len(shown), "episode")), drawn))
    atomic.write_text(folder / "report.json", json.dumps(record(facts), indent=2) + "\n")
    first, last = _ends(facts)
    kept = facts.kept
    minutes = sum(episode.duration_s for episode in kept) / 60
    values = {
        "root": escape(str(facts.root)),
        "title": _title(first, last),
        "measured": _measured(first, last),
        "labels": f"{sum(episode.labels for episode in kept):,}".replace(",", " "),
        "minutes": f"{minutes:.1f}",
        "expert": f"{sum(episode.expert_s for episode in kept) / 60:.1f}",
        "episodes": counted(len(kept), "episode"),
        "undone": _undone(facts),
        "sections": "\n".join(filter(None, sections)),
        "left_out": "".join(f"<li>{escape(line)}</li>" for line in grouped(facts.left_out)),
        "next": escape(shlex.join(["il-ros", "episodes", "plot", str(facts.root / kept[-1].name)]))
        if kept
        else "",
    }
    atomic.write_text(folder / atomic.PAGE, report_page("session report", "il_ros.session", values))


def _measured(first: VersionFacts, last: VersionFacts) -> str:
    """Return the numbers of the policies, "" without one."""
    tiles = []
    for kind, words, number in (
        ("main", "autonomous success", _alone),
        ("expert", "interventions per minute", _per_minute),
    ):
        if number(last) != "–":
            before = (
                ""
                if first is last
                else f'<br><span class="quiet">{number(first)} with the first policy</span>'
            )
            tiles.append(f'<div class="{kind}"><b>{number(last)}</b>{words}{before}</div>')
    return "\n  ".join(tiles)


def _section(head: str, body: str) -> str:
    return f"{head}\n{body}" if body else ""


def _figure(folder: Path, name: str, draw: Callable[..., None], says: str) -> str:
    """Draw a figure for wide and for narrow screens; return its HTML."""
    draw(folder / f"{name}.svg")
    draw(folder / f"{name}_narrow.svg", narrow=True)
    return (
        f'<picture><source media="(max-width: 40rem)" srcset="{name}_narrow.svg">'
        f'<img class="plot" src="{name}.svg" alt="{says}"></picture>'
    )


def _pictures(facts: Facts, folder: Path) -> str:
    """Write videos and contact sheets of the last episodes with cameras; return their HTML, "" without cameras."""
    found: list[str] = []
    for episode in reversed(facts.kept):
        try:
            info, bag = load_info(facts.root / episode.name), open_bag(facts.root / episode.name)
            if len(found) >= SHOWN_VIDEOS or not cameras(bag):
                continue
            write_sheet(bag, info, folder / f"{episode.name}.png", pictures=6)
            write_video(bag, info, folder / f"{episode.name}.mp4", fps=15)
        except LayoutError:
            continue  # it is gone
        except (VideoError, BagError) as error:
            found.append(f"<p class=quiet>{escape(f'{episode.name}: no pictures: {error}')}</p>")
            continue
        found.append(
            f"<figure><video controls playsinline preload=metadata src={quoteattr(episode.name + '.mp4')}></video>"
            f"<img class=sheet src={quoteattr(episode.name + '.png')} alt='six moments'>"
            f"<figcaption>{escape(episode.name)}: {escape(episode.outcome)}</figcaption></figure>"
        )
    return f"<h2>Pictures</h2>\n<div class=films>{''.join(found)}</div>" if found else ""


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
        **({"groups": {name: asdict(group) for name, group in facts.groups.items()}} if facts.groups else {}),
    }


def _with_curves(facts: Facts) -> tuple[EpisodeFacts, ...]:
    """Return the last episodes with uncertainty or disagreement."""
    known = [each for each in facts.episodes if np.isfinite([each.uncertainties, each.disagreements]).any()]
    return tuple(known[-SHOWN_EPISODES:])


def _ends(facts: Facts) -> tuple[VersionFacts, VersionFacts]:
    """Return the first and the last version under which an episode ended."""
    ran = [version for version in facts.versions if version.version and version.episodes]
    ran = ran or list(facts.versions)
    return ran[0], ran[-1]


def _title(first: VersionFacts, last: VersionFacts) -> str:
    if first is last or min(first.episodes, last.episodes) < ENOUGH:
        return "Session report"  # a few episodes are no headline
    before, after = (each.alone / each.episodes for each in (first, last))
    return f"Autonomous success: {percent(before)} with the first policy, {percent(after)} with the last"


def _alone(version: VersionFacts) -> str:
    if not (version.version and version.episodes):
        return "–"
    if version.episodes < ENOUGH:
        return f"{version.alone} of {version.episodes}"
    return percent(version.alone / version.episodes)


def _per_minute(version: VersionFacts) -> str:
    return "–" if version.per_minute is None else f"{version.per_minute:.1f}"


def _undone(facts: Facts) -> str:
    count = len(facts.episodes) - len(facts.kept)
    return f", {count} more discarded" if count else ""


def _group_table(facts: Facts) -> str:
    """Return a table of what the expert did in each action group."""
    head = "".join(f"<th>{name}</th>" for name in ("group", "expert min", "labels", "takeovers"))
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{group.expert_s / 60:.1f}</td><td>{group.labels}</td>"
        f"<td>{group.takeovers}</td></tr>\n"
        for name, group in facts.groups.items()
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>{rows}</table></div>'


def _row(version: VersionFacts) -> str:
    interval, rate = version.interval, version.per_minute_interval
    cells = (
        escape(version.version or "(demonstration)"),
        version.episodes,
        version.successes,
        "–" if interval is None else percent_range(*interval),
        version.alone,
        f"{version.minutes:.1f}",
        version.interventions if version.version else "–",
        _per_minute(version),
        "–" if rate is None else f"{rate[0]:.1f}–{rate[1]:.1f}",
        f"{version.expert_minutes:.1f}",
        version.labels,
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"
