"""`il-ros episodes relabel`."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

from il_ros.cli.episodes_choice import entries_of


def add_verbs(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add `relabel`."""
    parser = verbs.add_parser(
        "relabel",
        parents=[common],
        help="let the scripted expert show, in the simulator, what to do at marked or doubtful moments",
        description="Return to the moments that a person marked (key l in a session), and to the most "
        "doubtful ones if asked, in the simulator, and record what the scripted expert does from there: "
        "ordinary episodes under --root, which training uses as all others.",
    )
    parser.add_argument("episodes", nargs="*", metavar="EPISODE", help="default: all under --root")
    parser.add_argument(
        "--doubtful", type=int, default=0, metavar="N", help="also each episode's N most doubtful moments"
    )
    parser.add_argument(
        "--before", type=float, default=0.5, metavar="S", help="s before a mark: people react late (0.5)"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="s shown from each moment (default: 3)")
    parser.set_defaults(act=_relabel)


def _relabel(args: argparse.Namespace) -> int:
    from il_ros import contract, share
    from il_ros.scenarios import TASKS
    from il_ros.session.moments import NoStateError, RelabelError, moments
    from il_ros.session.relabel import contract_of, relabel
    from il_ros.sim.experts import make_expert
    from il_ros.sim.fitting import task_for

    made, unable = 0, 0
    for entry in entries_of(args.episodes, args.root):
        if entry.state != "ready" or (entry.info is not None and entry.info.made_from):
            continue
        try:
            found = moments(entry.folder, doubtful=args.doubtful, before_s=args.before)
        except NoStateError as error:
            print(error)
            unable += 1
            continue
        for moment in found:
            if moment.info.task not in TASKS:
                raise RelabelError(
                    f"{entry.folder}: its task is '{moment.info.task}'; the simulator has: {', '.join(TASKS)}"
                )
            teacher = contract.load(share.path("config", "contracts", f"{TASKS[moment.info.task]}.yaml"))
            with closing(task_for(moment.info.task, contract_of(moment))) as task:
                act = make_expert(moment.info.task).act
                folder = relabel(moment, task, act, teacher, Path(args.root), args.seconds)
            print(f"{folder.name}  from {moment.words}")
            made += 1
    print(f"{made} episodes made" + (f", {unable} without states" if unable else ""))
    return 0 if made or not unable else 1
