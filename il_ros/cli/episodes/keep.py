"""`il-ros episodes verify | recover | discard | undo`."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from il_ros.cli import options
from il_ros.cli.episodes.choice import entries_of, folder_of
from il_ros.core.tables import counted, say, size, worded
from il_ros.episodes import layout, trash
from il_ros.episodes.bag.reader import bag_files
from il_ros.episodes.bag.recover import RecoverError, Recovery, recover
from il_ros.episodes.foreign_types import find_beside
from il_ros.episodes.layout import INFO_FILE, LayoutError
from il_ros.episodes.verify import VerifyReport, verify

_MOST_SPANS = 20
"""Damaged spans that are listed for each bag."""


def add_verbs(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add the verbs that check, repair and discard."""
    several = {"nargs": "+", "metavar": "EPISODE", "help": "folders, or numbers under --root"}

    parser = verbs.add_parser(
        "verify",
        parents=[common],
        help="read every message, build every frame, and report errors",
        description="Decode every message and build every frame. Exit status 1 when an episode is unusable.",
    )
    parser.add_argument("episodes", nargs="*", metavar="EPISODE", help="default: all under --root")
    options.add_contract(parser)
    parser.set_defaults(act=_verify)

    parser = verbs.add_parser(
        "recover",
        parents=[common],
        help="repair the bag of a recorder that was killed",
        description="Rewrite the bag with all intact messages, and report what is damaged. The original is "
        "kept, as *.orig, if anything was left out. A complete bag is not changed.",
    )
    parser.add_argument("episodes", **several)
    parser.set_defaults(act=_recover)

    parser = verbs.add_parser(
        "discard",
        parents=[common],
        help="exclude episodes from now on; deletes nothing",
        description="Write a tombstone file; training then ignores the episode. 'undo' removes the file.",
    )
    parser.add_argument("episodes", **several)
    parser.add_argument("--reason", default="", help="reason, shown in lists")
    parser.set_defaults(act=_discard)

    parser = verbs.add_parser("undo", parents=[common], help="revert a discard or a prune")
    parser.add_argument("episodes", **several)
    parser.set_defaults(act=_undo)


def _verify(args: argparse.Namespace) -> int:
    entries = entries_of(args.episodes, args.root)
    contract = None
    if args.contract:
        contract = find_beside(args.contract, lambda: [entry.folder for entry in entries])
    counts = {"ok": 0, "unusable": 0, "discarded": 0}
    for entry in entries:
        report = verify(entry.folder, contract)
        state = "discarded" if entry.state == "discarded" else "ok" if report.ok else "unusable"
        counts[state] += 1
        _print_report(report, state)
    say(
        f"\n{counted(len(entries), 'episode')}: "
        + ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    )
    return 1 if counts["unusable"] else 0


def _print_report(report: VerifyReport, state: str) -> None:
    frames = ""
    if report.frames is not None and report.ticks is not None:
        frames = f", {counted(report.frames, 'frame')} of {counted(report.ticks, 'tick')}"
    say(f"{report.folder.name}: {state}, {counted(report.messages, 'message')}{frames}")
    for error in report.errors:
        say(f"  error: {error}")
    for warning in report.warnings:
        say(f"  warning: {warning}")


def _recover(args: argparse.Namespace) -> int:
    """Recover each episode independently of failures of the others."""
    status = 0
    for word in args.episodes:
        folder = folder_of(word, args.root)
        try:
            done = recover(folder)
        except RecoverError as error:
            say(f"il-ros episodes recover: {worded(error)}", file=sys.stderr)
            status = 1
            continue
        _print_recovery(done)
    return status


def _print_recovery(done: Recovery) -> None:
    lost = f", {size(done.cut_bytes)} at its end unusable" if done.cut_bytes else ""
    lost += f", {counted(done.damaged_chunks, 'damaged chunk')} left out" if done.damaged_chunks else ""
    lost += (
        f", {counted(done.undeclared, 'message')} of undeclared topics left out" if done.undeclared else ""
    )
    what = "recovered" if done.changed else "was complete already"
    say(f"{done.folder.name}: {what}, {counted(done.messages, 'message')}{lost}")
    for span in done.spans[:_MOST_SPANS]:
        say(f"  {span.words}")
    if len(done.spans) > _MOST_SPANS:
        say(f"  and {len(done.spans) - _MOST_SPANS} more damaged spans")
    for original in done.kept:
        say(f"  the original is kept: {original}")


def _discard(args: argparse.Namespace) -> int:
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    for folder in _episodes(args):
        layout.discard(folder, args.reason, at)
        say(f"{folder.name}: discarded (il-ros episodes undo {folder})")
    return 0


def _undo(args: argparse.Namespace) -> int:
    """Move episodes back from the trash, and revert a discard of the others."""
    pruned = [word for word in args.episodes if _in_trash(word, args.root) is not None]
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    for word in pruned:
        found = _in_trash(word, args.root)
        assert found is not None
        back = trash.restore(found.parent.parent, found.name, at)
        say(f"{back.name}: is back{', and still discarded' if layout.is_discarded(back) else ''}")
    args.episodes = [word for word in args.episodes if word not in pruned]
    for folder in _episodes(args):
        was = layout.is_discarded(folder)
        layout.undo_discard(folder)
        say(f"{folder.name}: {'counts again' if was else 'was not discarded'}")
    return 0


def _in_trash(word: str, root: Path) -> Path | None:
    """Return the folder in the trash of an episode, given by number or path; None if it is not there."""
    path = root / layout.episode_name(int(word)) if word.isdigit() and not Path(word).exists() else Path(word)
    pruned = path.parent / trash.FOLDER / path.name
    return pruned if pruned.is_dir() and not path.exists() else None


def _episodes(args: argparse.Namespace) -> list[Path]:
    """Return the folders of all episodes; a wrong number raises before anything changes."""
    folders = [folder_of(word, args.root) for word in args.episodes]
    for folder in folders:
        if not folder.is_dir() or not (bag_files(folder) or (folder / INFO_FILE).exists()):
            raise LayoutError(f"{folder} is not an episode: it has neither {INFO_FILE} nor a bag")
    return folders
