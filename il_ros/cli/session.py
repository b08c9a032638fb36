"""`il-ros session`: run the interactive loop from one terminal, and report the results."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from il_ros.cli import next_steps, options, session_relabel
from il_ros.cli import run as runner
from il_ros.core import atomic
from il_ros.core.tables import say, worded
from il_ros.episodes.bag.reader import BagError
from il_ros.scenarios import SCENARIOS, domain
from il_ros.scenarios.arguments import ROOT
from il_ros.scenarios.graph import as_flags

_SCENARIO = SCENARIOS["dagger"]


def add_parser(subparsers: Any) -> None:
    """Add the subcommand with its verbs."""
    parser = subparsers.add_parser("session", help="correct a policy while it runs", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    verb = verbs.add_parser(
        "run",
        help="run policy, expert, recorder and trainer, operated by keys",
        description="Run the scenario 'dagger' in this terminal and end with a report. `?` lists the keys.",
    )
    runner.add_arguments(verb, _SCENARIO)
    verb.set_defaults(act=_run)
    session_relabel.add_verb(verbs)
    verb = verbs.add_parser("report", help="report on the recorded episodes of a session")
    verb.add_argument("folder", nargs="?", type=Path, help="folder of the episodes, as --root")
    options.add_root(verb)
    verb.add_argument("-o", "--output", type=Path, help="folder of the page (default: ROOT_report)")
    verb.set_defaults(act=lambda args: _report(args.folder or args.root, args.output))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return 1 on failure, with the reason on stderr."""
    return int(args.act(args))


def _run(args: argparse.Namespace) -> int:
    given = runner.given_of(args, _SCENARIO)
    if given.get("sim", "true") == "true":
        domain.isolate()  # a simulated robot's commands must not reach a real one
        os.environ.setdefault("MUJOCO_GL", "egl")
    given["report"] = "false"  # this command reports after the recorder has saved everything
    try:
        specs = _SCENARIO.nodes(given)
    except ValueError as error:
        say(f"il-ros session run: {as_flags(str(error), _SCENARIO.arguments)}", file=sys.stderr)
        return 2
    trained = next_steps.correcting(
        given, {argument.name: argument.default for argument in _SCENARIO.arguments}
    )
    status = runner.run_nodes(specs, args.logs)
    root = Path(given.get("root", ROOT.default))
    if not root.is_dir():
        return status
    failed = _report(root, None)
    if command := trained():
        next_steps.tell(command)
    return failed or status


def _report(root: Path, output: Path | None) -> int:
    from il_ros.session import page, report

    try:
        place = output or page.folder_for(root)
        atomic.require_folder(place)
        found = report.read(root)
        say(f"\n{report.text(found)}")
        written = page.write(found, place)
    except (BagError, OSError, ValueError) as error:
        say(f"il-ros session report: {worded(error)}", file=sys.stderr)
        return 1
    say(f"\npage: {written}")
    return 0
