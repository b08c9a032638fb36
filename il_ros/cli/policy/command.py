"""`il-ros policy`: the trained versions, their lineage and their success; roll-back and pardon of a version."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from il_ros.cli.policy import export
from il_ros.core.tables import counted, say, table, worded
from il_ros.episodes.bag.reader import BagError
from il_ros.episodes.catalogue import Entry, scan
from il_ros.episodes.counts import count_episode
from il_ros.policies import lineage
from il_ros.policies.lineage import Lineage, LineageError
from il_ros.policies.versions import is_occupied, versions

ROLLBACK_S = 30.0
"""Longest wait for a running policy server to load the earlier version."""
_POLL_S = 0.1

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
    _add_folder(listing)
    listing.add_argument(
        "--root", type=Path, help="folder of the recorded episodes; adds the successes of each version"
    )
    listing.set_defaults(run=run)
    going_back = verbs.add_parser(
        "rollback",
        help="go back to an earlier version, on disk and on a running policy server",
        description="Go back to the good version before the one in control (without a running policy server: before "
        "the newest good one). All good versions after it count as rolled back: they are not run and are not the "
        "start of a training. A running policy server of this computer changes within a second or two.",
    )
    going_back.add_argument("--to", metavar="VERSION", default="", help="an earlier version, such as v2")
    _add_folder(going_back)
    going_back.set_defaults(run=rollback)
    pardoning = verbs.add_parser(
        "pardon",
        help="make a refused or rolled-back version usable again",
        description="Take back the verdict on a version that was refused or rolled back: it may be examined, "
        "drive, and be the start of a training again. A running policy server notices it within a second.",
    )
    pardoning.add_argument("version", help="its name, such as v3")
    _add_folder(pardoning)
    pardoning.set_defaults(run=pardon)
    export.add_verb(verbs)


def _add_folder(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("checkpoint"),
        help="of the versions; default: ./checkpoint",
    )


def pardon(args: argparse.Namespace) -> int:
    """Pardon a version; return 1 when there is none of that name, or it needs no pardon."""
    try:
        _require_folder(args.folder)
        run_folder = _named(args.folder, args.version)
        was = lineage.pardon(run_folder)
    except (LineageError, OSError) as error:
        say(f"il-ros policy: {worded(error)}", file=sys.stderr)
        return 1
    say(f"{args.version} was {was.state} ({was.reason}); now it counts as trained.")
    newest = lineage.newest_good(args.folder)
    if newest == run_folder:
        say(f"It is the newest good version in {args.folder}: the next start drives with it.")
    else:
        say(f"To drive with it:  il-ros run deploy --checkpoint {run_folder}")
    return 0


def rollback(args: argparse.Namespace) -> int:
    """Go back to an earlier version; return 1 when there is none, or a running policy server does not follow."""
    try:
        _require_folder(args.folder)
        driving = next((run for run in versions(args.folder) if is_occupied(run)), None)
        newest = driving or lineage.newest_good(args.folder)
        if newest is None:
            raise LineageError(f"{args.folder} holds no good version v1, v2, ...")
        target = _earlier(args.folder, newest, args.to)
        after = versions(args.folder)[versions(args.folder).index(target) + 1 :]
        # the version in control too if it is bad already: its new reason tells the server
        leaving = [run for run in after if lineage.is_good(run) or run == driving]
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        reason = f"by a person at {now}, to go back to {target.name}"
        for run in leaving:
            was = lineage.roll_back(run, reason)
            say(f"{run.name} was {was.state}; now it is rolled back.")
        say(_lineage_of(target, newest))
        done = driving is None or _followed(driving, target, reason)
    except (LineageError, OSError) as error:
        say(f"il-ros policy: {worded(error)}", file=sys.stderr)
        return 1
    if not done:
        say(
            f"il-ros policy: the policy server still drives with {newest.name} after {ROLLBACK_S:.0f} s; its log says "
            "why. The next start drives with the version above.",
            file=sys.stderr,
        )
        return 1
    if driving is None:
        say(
            f"No running policy server has a version of {args.folder}; the next start drives with {target.name}."
        )
    else:
        say(f"The running policy server drives with {target.name}.")
    say(
        f"The next training starts from {target.name}. `il-ros policy pardon VERSION` takes a roll-back back."
    )
    return 0


def _require_folder(folder: Path) -> None:
    """Raise LineageError unless there is a folder of versions."""
    if not folder.is_dir():
        raise LineageError(
            f"{folder}: there is no such folder; give the one with the versions v1, v2, ..., which `il-ros train` "
            "writes. A version itself is named by --to VERSION (rollback) or before the folder (pardon)"
        )


def _named(folder: Path, name: str) -> Path:
    """Return the folder of a version by its name; raises LineageError if there is none."""
    if folder / name not in versions(folder):
        known = ", ".join(each.name for each in versions(folder)) or "none"
        raise LineageError(f"{folder} has no version '{name}'; there are: {known}")
    return folder / name


def _earlier(folder: Path, newest: Path, wanted: str) -> Path:
    """Return the version to go back to from `newest`; raises LineageError if there is none, or it is no good."""
    if not wanted:
        target = lineage.good_before(newest)
        if target is None:
            raise LineageError(f"{folder} has no good version before {newest.name}")
        return target
    target = _named(folder, wanted)
    if target not in versions(folder)[: versions(folder).index(newest)]:
        raise LineageError(f"--to {wanted}: must be a version before {newest.name}")
    if bad := lineage.recorded_bad(target):
        raise LineageError(
            f"--to {wanted}: it was {bad}; `il-ros policy pardon {wanted} {folder}` makes it usable again"
        )
    return target


def _lineage_of(target: Path, newest: Path) -> str:
    """Return where a version comes from, and how `newest` descends from it."""
    record, chain = lineage.read(target), [newest.name]
    parents = {run.name: lineage.read(run).parent for run in versions(newest.parent) if lineage.is_good(run)}
    parents[newest.name] = lineage.read(newest).parent
    while chain[-1] != target.name and (parent := parents.get(chain[-1], "")) and parent not in chain:
        chain.append(parent)
    origin = f"from {record.parent}" if record.parent else "from scratch"
    when = f" at {record.trained_at}" if record.trained_at else ""
    data = (
        f", {counted(len(record.episodes), 'episode')}, {counted(record.labels, 'label')}"
        if record.data
        else ""
    )
    descends = f"; {newest.name} descends from it: {' <- '.join(reversed(chain))}"
    apart = f"; {newest.name} does not descend from it"
    return f"{target.name}: trained{when} {origin}{data}{descends if target.name in chain else apart}."


def _followed(driving: Path, target: Path, reason: str) -> bool:
    """Wait until the policy server has put `target` in control in place of `driving`; return whether it has."""
    end_s = time.monotonic() + ROLLBACK_S
    while not is_occupied(target):
        if not is_occupied(driving) or time.monotonic() > end_s:
            return is_occupied(target)
        if lineage.read(driving).reason != reason:  # the server wrote its driving record at the same moment
            lineage.roll_back(driving, reason)
        time.sleep(_POLL_S)
    return True


def run(args: argparse.Namespace) -> int:
    """Print the table; return 1 when there is no version, or a version's file is damaged."""
    try:
        _require_folder(args.folder)
        runs = versions(args.folder)
        if not runs:
            raise LineageError(f"{args.folder} holds no versions v1, v2, ...")
        fared = {} if args.root is None else successes(args.root)
    except (LineageError, OSError) as error:
        say(f"il-ros policy: {worded(error)}", file=sys.stderr)
        return 1
    rows: list[tuple[str, ...]] = []
    unmarked = [f"{count} of {name}" for name, (_, _, count) in sorted(fared.items()) if count]
    damaged, copied = [], []
    for run_folder in runs:
        try:
            record = lineage.read(run_folder)
        except LineageError as error:
            damaged.append(str(error))
            rows.append((run_folder.name, *("?",) * 4, "damaged", *("?",) * 3, "not used; see below"))
            continue
        rows.append((run_folder.name, *_row(record, fared.get(record.version))))
        if record.version != run_folder.name:
            copied.append(
                f"{run_folder.name}: its version.json is of {record.version}; is the folder a copy?"
            )
    say(table(HEADER, rows, right=HEADER[2:5] + HEADER[6:9]))
    if unmarked:
        say(f"success: of the marked episodes; not counted, because unmarked: {', '.join(unmarked)}")
    for sentence in copied:
        say(sentence)
    for sentence in damaged:
        say(sentence, file=sys.stderr)
    return 1 if damaged else 0


def successes(root: Path) -> dict[str, tuple[int, int, int]]:
    """Return (successes, failures, unmarked episodes) by the version that drove most of each episode.

    Prints unreadable episodes on stderr. Raises OSError when the folder does not exist.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for entry in scan(root).entries:
        version = "" if entry.state == "discarded" else _version(entry)
        if version:
            counts[version, entry.outcome] += 1
    names = {version for version, _ in counts}
    return {
        name: (counts[name, "success"], counts[name, "failure"], counts[name, "unmarked"]) for name in names
    }


def _version(entry: Entry) -> str:
    if not entry.usable:
        say(f"not counted: {entry.name}: {entry.reason}", file=sys.stderr)
        return ""
    try:
        return count_episode(entry).version
    except BagError as error:
        say(f"not counted: {entry.name}: {worded(error)}", file=sys.stderr)
        return ""


def _row(record: Lineage, fared: tuple[int, int, int] | None) -> tuple[str, ...]:
    """Return the columns after the version's name."""
    loss = record.metrics.get("validation_loss")
    rate = record.interventions_per_minute
    return (
        record.parent or "-",
        str(len(record.episodes)) if record.data else "-",
        str(record.labels) if record.data else "-",
        "-" if loss is None else f"{loss:.5f}",
        record.state if record.metrics.get("finished", True) else f"{record.state}, stopped early",
        "-" if rate is None else f"{record.driven_s / 60:.2f}",
        "-" if rate is None else f"{rate:.2f}",
        "-" if fared is None or not sum(fared[:2]) else f"{fared[0]}/{sum(fared[:2])}",
        record.reason,
    )
