"""The demo's page: one HTML file and its images."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from html import escape
from pathlib import Path

from il_ros.core import atomic
from il_ros.core.plot_style import report_page
from il_ros.core.tables import counted, percent, percent_range
from il_ros.demo import pictures
from il_ros.demo.phases import DemoPlan
from il_ros.demo.summary import DemoSummary, Score
from il_ros.records.trials import Trial, Trials
from il_ros.sim.experts import make_expert

FILM_SHOTS = 6
CAMERAS = {"drive": ("camera",)}
ARM_CAMERAS = ("overhead", "wrist")


def write(plan: DemoPlan, summary: DemoSummary, performed: Trials) -> Path:
    """Write the pictures and the page into the plan's folder, and return the page's path."""
    shown = next((trial for trial in performed.done if trial.outcome == "success"), performed.done[0])
    episode = plan.performed / shown.episode
    pictures.plot_trace(pictures.trace(episode, make_expert(plan.task)), plan.folder / "trace.svg")
    _curve(plan)
    rate = summary.policy.simulated_s / summary.phases_s["run"]
    task = summary.task.replace("_", " ")
    values = {
        "task": escape(task),
        "total": _duration(summary.total_s),
        "factor": f"{rate:.1f}",
        "phases": _phases(summary),
        "film_episode": escape(shown.episode),
        "film_seed": str(shown.seed),
        "film": _film(plan, episode),
        "endings": "".join(_ending(plan, trial) for trial in performed.done),
        "verdict": _verdict(performed),
        "training": _training(plan),
        "rows": _row("expert", summary.expert) + _row("policy, held-out starts", summary.policy),
        "folder": escape(str(plan.folder)),
        **_figures("policy", summary.policy, "held-out episode"),
        **_figures("expert", summary.expert, "demonstration"),
    }
    path = plan.folder / atomic.PAGE
    atomic.write_text(path, report_page(task, "il_ros.demo", values))
    return path


def _film(plan: DemoPlan, episode: Path) -> str:
    """Save selected images of every camera; return their figures, camera by camera."""
    out = []
    for camera in CAMERAS.get(plan.task, ARM_CAMERAS):
        for number, shot in enumerate(pictures.spread(pictures.shots(episode, camera), FILM_SHOTS)):
            name = f"film_{camera}_{number}.png"
            pictures.save(shot.picture, plan.folder / name)
            out.append(_figure(name, f"{shot.time_s:.1f} s", f"{camera} camera"))
    return "".join(out)


def _ending(plan: DemoPlan, trial: Trial) -> str:
    """Save the first camera's last image of an episode, and return its figure."""
    camera = CAMERAS.get(plan.task, ARM_CAMERAS)[0]
    seen = pictures.shots(plan.performed / trial.episode, camera)
    if not seen:
        return ""
    name = f"end_{trial.seed}.png"
    pictures.save(seen[-1].picture, plan.folder / name)
    return _figure(name, f"{trial.simulated_s:.1f} s", f"start {trial.seed}: {trial.reason}", trial.outcome)


def _figure(name: str, caption: str, alt: str, kind: str = "") -> str:
    return (
        f'<figure class="{kind}"><img src="{name}" alt="{escape(alt)}" title="{escape(alt)}">'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def _verdict(performed: Trials) -> str:
    failed = [trial for trial in performed.done if trial.outcome != "success"]
    if not failed:
        return "All succeeded."
    return f"{len(failed)} failed, underlined in red: {escape(_reasons(failed))}."


def _reasons(failed: Iterable[Trial]) -> str:
    return ", ".join(f"start {trial.seed} ({trial.reason})" for trial in failed)


def _training(plan: DemoPlan) -> str:
    metrics = json.loads((plan.checkpoint / "config.json").read_text())["metrics"]
    return (
        f"Behaviour cloning of {counted(metrics['frames'], 'frame')} from "
        f"{counted(len(metrics['data']['train']), 'episode')}; "
        f"{len(metrics['data']['validation'])} more were used for validation only; the weights of epoch "
        f"{metrics['best_epoch']} of {metrics['epochs']} were kept."
    )


def _curve(plan: DemoPlan) -> None:
    with (plan.trained / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}
    pictures.plot_curve(columns, plan.folder / "curve.svg")


def _phases(summary: DemoSummary) -> str:
    return "".join(
        f'<span style="flex:{seconds:.1f}" title="{name} {seconds:.1f} s">{name} {seconds:.0f} s</span>'
        for name, seconds in summary.phases_s.items()
    )


def _figures(name: str, score: Score, noun: str) -> dict[str, str]:
    return {
        f"{name}_rate": percent(score.rate),
        f"{name}_episodes": counted(score.episodes, noun),
        f"{name}_interval": percent_range(*score.interval),
    }


def _row(name: str, score: Score) -> str:
    figures = _figures("it", score, "episode")
    cells = (name, score.episodes, score.successes, figures["it_rate"], figures["it_interval"])
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
