"""`il-ros session relabel`: a person labels recorded moments by demonstrating from them."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from il_ros.cli import next_steps, options
from il_ros.cli import run as runner
from il_ros.cli.episodes.relabel import add_moments, chosen_moments, no_moment
from il_ros.core import plugins
from il_ros.core.tables import counted, say, worded
from il_ros.episodes.bag.reader import BagError
from il_ros.episodes.catalogue import scan
from il_ros.episodes.layout import LayoutError
from il_ros.scenarios import domain
from il_ros.scenarios.relabel import relabel_nodes
from il_ros.session.relabelling.moments import MarkedMoment, RelabelError
from il_ros.session.relabelling.starts import write_starts

_DESCRIPTION = """\
Restore marked moments (key l in a session), and with --uncertain the most uncertain ones, in the simulator,
which stays paused until you drive. Your demonstration becomes an ordinary episode beside its source, and
training uses it."""


def add_verb(verbs: Any) -> None:
    """Add `relabel`."""
    verb = verbs.add_parser(
        "relabel",
        help="demonstrate, in the simulator, from marked or uncertain moments",
        description=_DESCRIPTION,
    )
    add_moments(verb)
    options.add_root(verb)
    verb.add_argument(
        "--expert",
        choices=plugins.names(plugins.DEVICES),
        default="keyboard",
        help="your input device (keyboard)",
    )
    verb.add_argument("--operator", default="", help="your name; recorded in every episode")
    verb.add_argument("--speed", type=float, default=1.0, help="simulated seconds per second (1)")
    verb.add_argument("--logs", type=Path, default=Path("log"), help="folder for each node's output (log)")
    verb.set_defaults(act=_relabel)


def _relabel(args: argparse.Namespace) -> int:
    try:
        if not args.speed > 0:
            raise RelabelError(f"--speed is {args.speed:g}; it must be above 0")
        found = chosen_moments(args).moments
        if not found:
            say(no_moment(args))
            return 1
        chosen = [moment for moment in found if _together(moment) == _together(found[0])]
        with tempfile.TemporaryDirectory(prefix="il_ros_") as folder:
            status = _at(chosen, Path(folder), args)
        return _tell(chosen, len(found) - len(chosen)) or status
    except (BagError, LayoutError, RelabelError, OSError) as error:
        say(f"il-ros session relabel: {worded(error)}", file=sys.stderr)
        return 1


def _together(moment: MarkedMoment) -> tuple[str, str, Path]:
    """Return the key of moments that can be labelled together: their episodes land in one folder."""
    return moment.info.task, moment.info.contract_hash, moment.root


def _at(chosen: list[MarkedMoment], folder: Path, args: argparse.Namespace) -> int:
    info = chosen[0].info
    moments, contract = folder / "moments.json", folder / f"{info.contract_name}.yaml"
    write_starts(moments, chosen)
    contract.write_text(info.contract_text)
    domain.isolate()  # a simulated robot's commands must not reach a real one
    os.environ.setdefault("MUJOCO_GL", "egl")
    specs = relabel_nodes(
        moments, info.task, contract, chosen[0].root, args.expert, args.operator, args.speed
    )
    return runner.run_nodes(specs, args.logs)


def _tell(chosen: list[MarkedMoment], others: int) -> int:
    """Print which moments have an episode now, and the next step."""
    root = chosen[0].root
    made = {e.info.made_from: e.name for e in scan(root).usable if e.info is not None and e.info.made_from}
    say()
    for moment in chosen:
        say(f"{made.get(moment.words, 'not labelled'):14}  {moment.words}")
    if others:
        left = f"{counted(others, 'moment')} left of another task, contract or folder"
        say(f"{left}: run the same command again")
    if any(moment.words in made for moment in chosen):
        next_steps.tell(next_steps.after_recording(root))
    return 0
