"""`il-ros episodes relabel`."""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from il_ros.cli import next_steps
from il_ros.cli.episodes.choice import some_entries_of
from il_ros.cli.run import renamed
from il_ros.core.tables import counted, grouped, say
from il_ros.session.relabelling.moments import MarkedMoment, RelabelError, ToLabel, to_label
from il_ros.sim.tasks.task import task_class, task_names


def add_verbs(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add `relabel`."""
    parser = verbs.add_parser(
        "relabel",
        parents=[common],
        help="let the scripted expert demonstrate, in the simulator, from marked or uncertain moments",
        description="Restore the moments that a person marked (key l in a session), and with --uncertain the "
        "most uncertain ones, in the simulator, and record the scripted expert from there: ordinary episodes "
        "beside their sources that training uses. With `il-ros session relabel` a person demonstrates instead.",
    )
    add_moments(parser)
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="seconds recorded from each moment (default: 3)"
    )
    parser.set_defaults(act=_relabel)


def add_moments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that select moments."""
    parser.add_argument("episodes", nargs="*", metavar="EPISODE", help="default: all under --root")
    parser.add_argument(
        "--uncertain",
        type=int,
        default=0,
        metavar="N",
        help="also the N moments of each episode at which the policy was most uncertain",
    )
    parser.add_argument("--doubtful", type=renamed("--uncertain"), help=argparse.SUPPRESS)
    parser.add_argument(
        "--before",
        type=float,
        default=0.5,
        metavar="S",
        help="seconds before a mark, for a person's reaction time (0.5)",
    )


def chosen_moments(args: argparse.Namespace) -> ToLabel:
    """Return the selected moments without labels, and print why the others were left out.

    Raises RelabelError when an option is out of range, or the simulator does not have a moment's task.
    """
    for name in ("uncertain", "before"):
        value = getattr(args, name)
        if not value >= 0:
            raise RelabelError(f"--{name} is {value:g}; it must be 0 or more")
    root = Path(args.root)
    found = to_label(some_entries_of(args.episodes, root), uncertain=args.uncertain, before_s=args.before)
    for sentence in grouped(found.stateless):
        say(sentence)
    for sentence in found.left_out:
        say(f"left out: {sentence}")
    if found.labelled:
        say(f"already labelled: {counted(found.labelled, 'moment')}")
    for moment in found.moments:
        if moment.info.task not in task_names():
            raise RelabelError(
                f"{moment.info.name}: its task is '{moment.info.task}'; the simulator has: {', '.join(task_names())}"
            )
    return found


def no_moment(args: argparse.Namespace) -> str:
    """Return the sentence that there is nothing to label, and what can be done about it."""
    if args.uncertain:
        return (
            "no moment to label: none is marked (key l in a session), and no policy drove in these episodes"
        )
    return (
        "no moment to label: none is marked (key l in a session); --uncertain N also takes the N most uncertain ones "
        "of each episode"
    )


def _recorded(moment: MarkedMoment, seconds: float) -> Path | None:
    """Return the scripted expert's new episode from a moment, None where it can't complete the task."""
    from il_ros.core import contract  # these import torch: only where there is something to label
    from il_ros.session.relabelling.relabel import contract_of, relabel
    from il_ros.sim.experts import make_expert
    from il_ros.sim.fitting import task_for

    observed = contract.find(task_class(moment.info.task).contract)
    with closing(task_for(moment.info.task, contract_of(moment))) as task:
        act = make_expert(moment.info.task).act
        return relabel(moment, task, act, observed, moment.root, seconds)


def _relabel(args: argparse.Namespace) -> int:
    if not args.seconds > 0:
        raise RelabelError(f"--seconds is {args.seconds:g}; it must be above 0")
    found = chosen_moments(args)
    made: Counter[Path] = Counter()
    for moment in found.moments:
        folder = _recorded(moment, args.seconds)
        if folder is not None:
            made[moment.root] += 1
        say(
            f"{folder}  from {moment.words}"
            if folder is not None
            else f"not labelled: {moment.words}: the expert can't complete the task from there"
        )
    unable = len(found.stateless)
    if not (found.moments or found.labelled or found.left_out or unable):
        say(no_moment(args))
    say(f"{counted(made.total(), 'episode')} made" + (f", {unable} without states" if unable else ""))
    for root in made:
        next_steps.tell(next_steps.after_recording(root))
    return 0 if found.moments or found.labelled or not unable else 1
