"""`il-ros policy`: the trained versions, their lineage and their success; the pardon of a version."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from il_ros.core.tables import say, table
from il_ros.episodes.bag.reader import BagError
from il_ros.episodes.catalogue import Entry, scan
from il_ros.episodes.counts import count_episode
from il_ros.policies import lineage
from il_ros.policies.lineage import Lineage, LineageError
from il_ros.policies.versions import versions

HEADER = (
    "version",
    "parent",
    "episodes",
    "labels",
    "validation",
    "state",
    "min",
    "int/min",
    "success",
    "why",
)


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("policy", help="trained versions")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    listing = verbs.add_parser(
        "versions",
        help="list the versions in a folder",
        description="List the versions v1, v2, ... in a folder: parent, data, loss, state (trained, "
        "active, replaced, refused, rolled back), minutes of driving, interventions per minute.",
    )
    listing.add_argument(
        "folder", nargs="?", type=Path, default=Path("checkpoint"), help="default: ./checkpoint"
    )
    listing.add_argument(
        "--root", type=Path, help="folder of the recorded episodes; adds the successes of each version"
    )
    listing.set_defaults(run=run)
    pardoning = verbs.add_parser(
        "pardon",
        help="make a refused or rolled-back version usable again",
        description="Take back the verdict on a version that was refused or rolled back: it may be examined, "
        "drive, and be the start of a training again. A running policy server notices it within a second.",
    )
    pardoning.add_argument("version", help="its name, such as v3")
    pardoning.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("checkpoint"),
        help="of the versions; default: ./checkpoint",
    )
    pardoning.set_defaults(run=pardon)


def pardon(args: argparse.Namespace) -> int:
    """Pardon a version; return 1 when there is none of that name, or it needs no pardon."""
    run_folder = args.folder / args.version
    if run_folder not in versions(args.folder):
        known = ", ".join(each.name for each in versions(args.folder)) or "none"
        say(
            f"il-ros policy: {args.folder} has no version '{args.version}'; there are: {known}",
            file=sys.stderr,
        )
        return 1
    try:
        was = lineage.pardon(run_folder)
    except (LineageError, OSError) as error:
        say(f"il-ros policy: {error}", file=sys.stderr)
        return 1
    say(f"{args.version} was {was.state} ({was.reason}); now it counts as trained.")
    newest = lineage.newest_good(args.folder)
    if newest == run_folder:
        say(f"It is the newest good version in {args.folder}: the next start drives with it.")
    else:
        say(f"To drive with it:  il-ros run deploy --checkpoint {run_folder}")
    return 0


def run(args: argparse.Namespace) -> int:
    """Print the table; return 1 when there is no version, or a version's file is damaged."""
    runs = versions(args.folder)
    if not runs:
        say(f"il-ros policy: {args.folder} holds no versions v1, v2, ...", file=sys.stderr)
        return 1
    try:
        fared = {} if args.root is None else successes(args.root)
    except OSError as error:
        say(f"il-ros policy: {error}", file=sys.stderr)
        return 1
    rows: list[tuple[str, ...]] = []
    damaged = []
    for run_folder in runs:
        try:
            record = lineage.read(run_folder)
        except LineageError as error:
            damaged.append(str(error))
            rows.append((run_folder.name, *("?",) * 4, "damaged", *("?",) * 3, "not used; see below"))
            continue
        rows.append(_row(record, fared.get(record.version)))
    say(table(HEADER, rows, right=HEADER[2:5] + HEADER[6:9]))
    for sentence in damaged:
        say(sentence, file=sys.stderr)
    return 1 if damaged else 0


def successes(root: Path) -> dict[str, tuple[int, int]]:
    """Return (successes, marked episodes) by the version that drove most of each episode.

    Prints unreadable episodes on stderr. Raises OSError when the folder does not exist.
    """
    counts: Counter[tuple[str, bool]] = Counter()
    for entry in scan(root).entries:
        if entry.outcome == "unmarked" or entry.state == "discarded":
            continue
        version = _version(entry)
        if version:
            counts[version, entry.outcome == "success"] += 1
    names = {version for version, _ in counts}
    return {name: (counts[name, True], counts[name, True] + counts[name, False]) for name in names}


def _version(entry: Entry) -> str:
    if not entry.usable:
        say(f"not counted: {entry.name}: {entry.reason}", file=sys.stderr)
        return ""
    try:
        return count_episode(entry).version
    except BagError as error:
        say(f"not counted: {entry.name}: {error}", file=sys.stderr)
        return ""


def _row(record: Lineage, fared: tuple[int, int] | None) -> tuple[str, ...]:
    loss = record.metrics.get("validation_loss")
    rate = record.interventions_per_minute
    return (
        record.version,
        record.parent or "-",
        str(len(record.episodes)) if record.data else "-",
        str(record.labels) if record.data else "-",
        "-" if loss is None else f"{loss:.5f}",
        record.state if record.metrics.get("finished", True) else f"{record.state}, stopped early",
        "-" if rate is None else f"{record.driven_s / 60:.2f}",
        "-" if rate is None else f"{rate:.2f}",
        "-" if fared is None else f"{fared[0]}/{fared[1]}",
        record.reason,
    )
