"""The doctor's findings as an HTML page with a picture each, as text, and as JSON."""

from __future__ import annotations

import json
import shlex
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import atomic
from il_ros.core.plot_style import BAD, LINES, QUIET, STYLE, report_page, save
from il_ros.core.tables import counted, grouped
from il_ros.episodes.doctor.examination import Examination
from il_ros.episodes.doctor.findings import Finding, Pictures, Plot, Severity

_WIDTH_IN, _HEIGHT_IN = 8.0, 2.6
MOST_SHOWN = 30
"""Findings on the page; report.json has all."""


def folder_for(root: Path) -> Path:
    """Return the folder of the page on the episodes in `root`: beside it, because `root` holds only episodes."""
    root = root.resolve()
    return root.with_name(f"{root.name}_doctor")


def text(found: Examination) -> str:
    """Return the findings as lines, worst first, and a total."""
    lines = []
    for finding in found.findings:
        lines += [f"{finding.severity.value}: {finding.check.value}: {finding.what}", f"  {finding.effect}"]
        lines += [f"    {fix}" for fix in finding.fix[:2]]
    lines += [f"left out {line}" for line in grouped(found.left_out)]
    return "\n".join([*lines, total(found)])


def total(found: Examination) -> str:
    """Return the counts in one line."""
    counts = {severity: sum(each.severity is severity for each in found.findings) for severity in Severity}
    words = ", ".join(counted(count, severity.value) for severity, count in counts.items() if count)
    return f"{counted(len(found.takes.episodes), 'episode')} examined: {words or 'nothing found'}"


def record(found: Examination) -> dict[str, Any]:
    """Return the contents of report.json."""
    return {
        "contract": found.takes.contract.name,
        "episodes": [each.name for each in found.takes.episodes],
        "findings": [
            {
                "check": each.check.value,
                "severity": each.severity.value,
                "what": each.what,
                "effect": each.effect,
                "episodes": list(each.episodes),
                "fix": list(each.fix),
            }
            for each in found.findings
        ],
        "left_out": [list(pair) for pair in found.left_out],
    }


def write(found: Examination, folder: Path, root: Path) -> Path:
    """Write pictures, report.json and the page about the episodes of `root` into `folder`; return the page's path.

    Raises OSError when the folder is not writable, or holds a page that il_ros did not write.
    """
    with atomic.page(folder) as made:
        _write(found, made, root)
    return folder / atomic.PAGE


def _write(found: Examination, folder: Path, root: Path) -> None:
    sections = []
    for number, finding in enumerate(found.findings[:MOST_SHOWN], 1):
        name = f"finding_{number:02d}.svg"
        draw(finding.picture, folder / name)
        sections.append(_section(finding, name))
    more = len(found.findings) - MOST_SHOWN
    if more > 0:
        sections.append(f"<p>and {counted(more, 'more finding')} in report.json</p>")
    atomic.write_text(folder / "report.json", json.dumps(record(found), indent=2) + "\n")
    values = {
        "title": escape(total(found)),
        "examined": escape(f"Contract '{found.takes.contract.name}', episodes in {root}"),
        "findings": "\n".join(sections) or "<p>Nothing was found.</p>",
        "again": escape(shlex.join(["il-ros", "episodes", "doctor", str(root)])),
        "left_out": "".join(f"<li>left out {escape(line)}</li>" for line in grouped(found.left_out)),
    }
    atomic.write_text(folder / atomic.PAGE, report_page("data doctor", "il_ros.episodes.doctor", values))


def _section(finding: Finding, picture: str) -> str:
    fixes = "\n".join(escape(fix) for fix in finding.fix)
    title = f"{finding.severity.value}: {finding.check.value}"
    return (
        f'<section class="{finding.severity.value}"><h2>{escape(title)}</h2>\n<p>{escape(finding.what)}</p>\n'
        f'<img class="plot" src="{picture}" alt="{escape(finding.check.value)}">\n'
        f"<p>{escape(finding.effect)}</p>\n<pre>{fixes}</pre></section>"
    )


def draw(picture: Plot | Pictures, path: Path) -> None:
    """Draw a finding's picture into a file; raises OSError when it cannot be written."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN), layout="constrained")
        if isinstance(picture, Pictures):
            _draw_pictures(picture, figure)
        else:
            _draw_plot(picture, figure)
        figure.suptitle(picture.title, fontsize=10, x=0.01, ha="left")
        save(figure, path)


def _draw_pictures(picture: Pictures, figure: Any) -> None:
    panels = figure.subplots(1, len(picture.frames), squeeze=False)[0]
    for panel, frame, caption in zip(panels, picture.frames, picture.captions, strict=True):
        grey = frame.shape[2] == 1
        panel.imshow(frame[:, :, 0] if grey else frame, cmap="gray" if grey else None, vmin=0, vmax=255)
        panel.set_title(caption, fontsize=8)
        panel.set_axis_off()


def _draw_plot(picture: Plot, figure: Any) -> None:
    panel = figure.subplots()
    for index, line in enumerate(picture.lines):
        colour = LINES[index % len(LINES)]
        if picture.dots:
            few = len(line.x) < 200
            panel.plot(
                line.x,
                line.y,
                "o" if few else ".",
                color=colour if few else QUIET,
                ms=4 if few else 1.5,
                label=line.name,
            )
        else:
            panel.plot(line.x, np.asarray(line.y), color=colour, lw=1.4, label=line.name)
    for start, stop in picture.spans:
        panel.axvspan(start, stop, color=BAD, alpha=0.15, lw=0)
    panel.set_xlabel(picture.x_label)
    panel.set_ylabel(picture.y_label)
    if len(picture.lines) > 1:
        panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
