"""`il-ros record`: one person records demonstrations by keys, in the simulator or on a robot."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from il_ros.cli import next_steps
from il_ros.cli import run as runner
from il_ros.core.tables import say
from il_ros.scenarios import domain
from il_ros.scenarios.arguments import ROOT, TASK
from il_ros.scenarios.graph import as_flags
from il_ros.scenarios.recording import DEMONSTRATOR, RECORDING

_EXAMPLES = """\
examples:
  il-ros record --task push                            in the simulator, driven by keys
  il-ros record --no-sim --task fold --contract my_robot.yaml --expert joy --params-file my_joy.yaml
  il-ros record --attach --no-sim --task fold --contract my_robot.yaml       the console alone
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand with the arguments of its scenario."""
    parser = subparsers.add_parser(
        "record",
        help="record demonstrations by keys",
        description=RECORDING.description,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    runner.add_arguments(parser, RECORDING)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Record until ctrl-D, Ctrl-C or the last take; print what was recorded and the next step."""
    given = runner.given_of(args, RECORDING)
    try:
        specs = RECORDING.nodes(given)
    except ValueError as error:
        say(f"il-ros record: {as_flags(str(error), RECORDING.arguments)}", file=sys.stderr)
        return 2
    if (needs := _needs_terminal(given)) and not sys.stdin.isatty():
        say(f"il-ros record: {needs}", file=sys.stderr)
        return 2
    root, attached = Path(given.get("root", ROOT.default)), given.get("attach") == "true"
    if given.get("sim", "true") == "true":
        os.environ.setdefault("MUJOCO_GL", "egl")
        if not attached:
            domain.isolate()  # a simulated robot's commands must not reach a real one
    before = next_steps.names(root)
    status = runner.run_nodes(specs, args.logs)
    if not attached:
        _tell(root, before)
    return status


def _needs_terminal(given: Mapping[str, str]) -> str:
    """Return why a recording needs a terminal, "" if it does not: a gamepad's buttons begin and end takes, too."""
    expert, task = given.get("expert", DEMONSTRATOR.default), given.get("task", TASK.default)
    if expert == "scripted":
        unattended = f"il-ros run record --task {shlex.quote(task)} --expert scripted --episodes 20 --speed 0"
        return f"no terminal, and key n begins a take; `{unattended}` records unattended"
    if expert == "keyboard":
        return "no terminal, and --expert keyboard drives by its keys"
    return ""


def _tell(root: Path, before: set[str]) -> None:
    """Print the new episodes, and the next step if one can be trained on."""
    new = next_steps.recorded_since(root, before)
    for entry in new:
        grade = "" if entry.info is None or entry.info.grade is None else f", {entry.info.grade.level}"
        state = entry.outcome if entry.usable else entry.state
        say(f"{entry.name}: {state}{grade}")
    if any(entry.usable for entry in new):
        next_steps.tell(next_steps.after_recording(root))
