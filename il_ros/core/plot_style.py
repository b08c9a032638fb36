"""Style of plots and report pages: colours with a fixed meaning, matplotlib's settings, the pages' style sheet."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from il_ros.core import atomic

POLICY, EXPERT, QUIET = "#0b7285", "#e8590c", "#868e96"
GOOD, BAD = "#2b8a3e", "#c92a2a"
LINES = (POLICY, EXPERT, GOOD, "#862e9c", "#5c940d", "#1864ab", BAD, QUIET)
"""Colours of several lines in one panel, in this order."""
STYLE: Any = {  # matplotlib's own type enumerates all keys
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#adb5bd",
    "axes.grid": True,
    "axes.axisbelow": True,  # bars hide the grid, not the grid bars
    "grid.color": "#e9ecef",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
}


def label_epochs(axes: Any) -> None:
    """Label the horizontal axis with whole epochs: there is no epoch 2.5."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def save(figure: Any, path: Path, **options: Any) -> None:
    """Write matplotlib's `figure` to a PNG, SVG or PDF file, with `options` of its `savefig`; it says who wrote it.

    The file appears when it is complete. Raises FileExistsError when a file is there that il_ros did not write,
    OSError when it cannot be written, ValueError on another ending of its name.
    """
    atomic.require_own(path)
    key = "Software" if path.suffix.lower() == ".png" else "Creator"
    with atomic.replacing(path) as part:
        figure.savefig(part, format=path.suffix[1:].lower(), metadata={key: atomic.MARK}, **options)


def report_page(title: str, package: str, values: Mapping[str, str]) -> str:
    """Return a report as an HTML page.

    `title`: of the window. `package`: the one that has the page's body, page.html, a `string.Template` with these
    `values`, which are HTML, and page.css, what the page adds to the style that all have.
    """
    shared, own = resources.files("il_ros.core"), resources.files(package)
    style = shared.joinpath("report.css").read_text("utf-8") + own.joinpath("page.css").read_text("utf-8")
    body = Template(own.joinpath("page.html").read_text("utf-8")).substitute(values)
    frame = Template(shared.joinpath("report.html").read_text("utf-8"))
    return frame.substitute(title=escape(title), style=style, body=body.rstrip())
