"""`il-ros demo`: demonstrate, record, train and run one task in simulation, and write a page about it."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from il_ros.cli import next_steps, options
from il_ros.core.tables import say, worded

Result = TypeVar("Result")

MARK = ".il_ros_demo"


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    from il_ros.core import plugins

    parser = subparsers.add_parser("demo", help="the whole loop in simulation", description=__doc__)
    parser.add_argument(
        "--task", default="push", choices=plugins.names(plugins.TASKS), help="(default: push)"
    )
    parser.add_argument("--demonstrations", type=int, default=30, help="demonstrations (default: 30)")
    parser.add_argument("--episodes", type=int, default=20, help="held-out episodes run (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first demonstration (default: 0)")
    options.add_changes(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("demo"),
        help="output folder; replaced if a demo wrote it (default: demo)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo; return 0 when it completed, whatever the policy's success rate."""
    from il_ros.core.processes.group import ChildError
    from il_ros.demo import page, phases
    from il_ros.demo.phases import DemoPlan
    from il_ros.demo.summary import DemoSummary, Score

    times: dict[str, float] = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        plan = DemoPlan(
            args.task, args.output, args.demonstrations, args.episodes, args.seed, tuple(args.set)
        )
        _empty(plan.folder)
        phases.isolate()
        shown = _timed(times, "show", lambda: phases.show(plan))
        _timed(times, "train", lambda: phases.train(plan))
        performed = _timed(times, "run", lambda: phases.perform(plan))
        summary = DemoSummary(plan.task, plan.contract, Score.of(shown), Score.of(performed), times)
        written = _timed(times, "page", lambda: page.write(plan, summary, performed))
    except (ValueError, OSError, ChildError, TimeoutError) as error:
        say(f"il-ros demo: {worded(error)}", file=sys.stderr)
        return 1
    summary.save(plan.folder)
    say(f"\n{summary.text()}\n\npage: {written}")
    next_steps.tell(next_steps.after_evaluation(plan.trained, plan.task))
    return 0


def _timed(times: dict[str, float], name: str, phase: Callable[[], Result]) -> Result:
    began_s = time.monotonic()
    result = phase()
    times[name] = time.monotonic() - began_s
    return result


def _empty(folder: Path) -> None:
    """Create the folder, replacing an earlier demo's; raises ValueError when it holds other files."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise ValueError(f"{folder} holds files that no demo wrote; choose another folder with --output")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
