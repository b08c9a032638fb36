"""`il-ros episodes label`: infer the actions of demonstrations that lack them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from il_ros.cli import next_steps
from il_ros.cli.episodes.choice import some_entries_of
from il_ros.core.tables import counted, say, worded
from il_ros.episodes import inferred_labels
from il_ros.episodes.bag.reader import BagError
from il_ros.episodes.bag.topics import MismatchError
from il_ros.episodes.layout import LayoutError
from il_ros.policies.lineage import find_checkpoint


def add_verbs(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add `label`."""
    parser = verbs.add_parser(
        "label",
        parents=[common],
        help="infer the actions of demonstrations without any, by an inverse model",
        description=f"Write {inferred_labels.INFERRED} beside each bag that has no commands: what an inverse model "
        "(il-ros train --recipe inverse) infers from successive observations. Policies learn from these labels as from "
        "commands; the bag stays as it was. Episodes with commands are left as they are.",
    )
    parser.add_argument("episodes", nargs="*", metavar="EPISODE", help="default: all under --root")
    parser.add_argument("--model", type=Path, metavar="CHECKPOINT", help="the inverse model")
    parser.add_argument(
        "--beyond",
        type=float,
        default=1.0,
        metavar="SCALES",
        help="no label where an input is farther outside what the model learnt from (default: 1)",
    )
    parser.add_argument("--undo", action="store_true", help="remove the inferred labels")
    parser.set_defaults(act=_label)


def _label(args: argparse.Namespace) -> int:
    entries = some_entries_of(args.episodes, args.root)
    if args.undo != (args.model is None):
        raise LayoutError("give --model CHECKPOINT, or --undo to remove inferred labels")
    if args.undo:
        for entry in entries:
            if inferred_labels.read(entry.folder) is not None:
                inferred_labels.write(entry.folder, None)
                say(f"{entry.name}: inferred labels removed")
        return 0
    if not args.beyond >= 0:
        raise LayoutError(f"--beyond is {args.beyond:g}; it must be 0 or more")
    find_checkpoint(args.model)  # names a misspelt folder before torch is imported
    from il_ros.policies import checkpoint
    from il_ros.training.inverse.labels import HasActionsError, infer, require_inverse

    model = checkpoint.load(args.model)
    require_inverse(model)
    labelled, failed, roots = 0, 0, set()
    for entry in entries:
        try:
            if not entry.usable:
                raise HasActionsError(f"{entry.name}: {entry.state}: {entry.reason}")
            found = infer(model, entry, args.beyond)
        except HasActionsError as reason:
            say(f"left as it is: {reason}")
        except (BagError, MismatchError, ValueError) as error:
            say(f"il-ros episodes label: {worded(error)}", file=sys.stderr)
            failed += 1
        else:
            inferred_labels.write(entry.folder, found.labels)
            say(f"{entry.name}: {found.sentence()}")
            labelled += 1
            roots.add(entry.folder.parent)
    say(f"{counted(labelled, 'episode')} labelled; --undo reverts it")
    for root in sorted(roots):
        next_steps.tell(next_steps.after_recording(root))
    return 0 if labelled and not failed else 1
