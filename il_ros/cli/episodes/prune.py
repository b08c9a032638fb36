"""`il-ros episodes prune | trash`: make room by rule, and never silently."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from il_ros.core.tables import counted, say, size, table, worded
from il_ros.episodes import trash
from il_ros.episodes.catalogue import scan
from il_ros.episodes.retention import (
    PruneCandidate,
    PruneChoice,
    RetentionError,
    RetentionRules,
    copies_in,
    in_days,
    select,
    trained_on,
)

_AGES = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_SIZES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
POLICIES = Path("checkpoint")

_EXAMPLES = """\
An episode goes if it fits every rule that is given. It is moved to ROOT/.trash: 'il-ros episodes undo 12' brings it
back, 'il-ros episodes trash --empty' deletes what is there and frees the space. ROOT/pruned.jsonl says what went, when
and why. Episodes that a version was trained on stay, as do those that are being recorded, incomplete or damaged.

examples:
  il-ros episodes prune --grade poor --older-than 30d --dry-run    shows what would go, with reasons and sizes
  il-ros episodes prune --discarded                                what 'discard' excluded
  il-ros episodes prune --outcome failure --keep-last 50
  il-ros episodes prune --exported-to data/push --older-than 2w    what a LeRobot data set has copies of
  il-ros episodes prune --down-to 200GB --yes                      the oldest, until the folder is small enough
"""


def add_verbs(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add the verbs that make room."""
    parser = verbs.add_parser(
        "prune",
        parents=[common],
        help="move episodes to the trash by age, grade, outcome, size or copies",
        description="Show which episodes fit the rules, and after a question move them to the trash.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    rules = parser.add_argument_group("rules")
    rules.add_argument(
        "--older-than", type=_unit("age", _AGES, "30d"), metavar="AGE", help="such as 12h, 30d, 6w"
    )
    rules.add_argument("--grade", action="append", default=[], help="good, fair or poor; may be repeated")
    rules.add_argument(
        "--outcome", action="append", default=[], help="success, failure or unmarked; may be repeated"
    )
    rules.add_argument("--discarded", action="store_true", help="excluded by 'discard' or key u")
    rules.add_argument(
        "--exported-to",
        type=Path,
        metavar="DATA_SET",
        help="a LeRobot data set of il_ros has their labelled frames",
    )
    rules.add_argument(
        "--down-to",
        type=_unit("size", _SIZES, "200GB"),
        metavar="SIZE",
        help="only until the folder has this size",
    )
    rules.add_argument("--keep-last", type=int, default=0, metavar="N", help="keep the newest N episodes")
    parser.add_argument(
        "--policies", type=Path, action="append", metavar="FOLDER",
        help=f"folders of versions; what they were trained on stays (default: {POLICIES})",
    )  # fmt: skip
    parser.add_argument("--no-policies", action="store_true", help="nothing was trained on these episodes")
    parser.add_argument("--trained", action="store_true", help="also what versions were trained on")
    parser.add_argument("--dry-run", action="store_true", help="change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--delete", action="store_true", help="delete at once, without the trash")
    parser.set_defaults(act=_prune)

    parser = verbs.add_parser("trash", parents=[common], help="list what 'prune' moved away, or delete it")
    parser.add_argument("--empty", action="store_true", help="delete all of it, after a question")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(act=_trash)


def _unit(what: str, units: dict[str, int], example: str) -> Callable[[str], int]:
    """Return an argument type: a number with one of `units`."""

    def read(text: str) -> int:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text)
        if match is None or match[2] not in units:
            known = ", ".join(units)
            raise argparse.ArgumentTypeError(
                f"'{text}' is no {what}; write a number and {known}, such as {example}"
            )
        return round(float(match[1]) * units[match[2]])

    return read


def _prune(args: argparse.Namespace) -> int:
    if args.keep_last < 0:
        raise RetentionError(f"--keep-last is {args.keep_last}; it must be 0 or more")
    rules = RetentionRules(
        older_than_s=args.older_than,
        grades=tuple(args.grade),
        outcomes=tuple(args.outcome),
        discarded=args.discarded,
        exported="" if args.exported_to is None else str(args.exported_to),
        copies=frozenset() if args.exported_to is None else copies_in(args.exported_to),
        down_to_bytes=args.down_to,
        keep_last=args.keep_last,
    )
    root, now = args.root, datetime.now(timezone.utc)
    chosen = select(scan(root).entries, rules, {} if args.trained else _trained(args), now)
    _show(chosen, rules)
    if not chosen.going or args.dry_run:
        return 0
    count = counted(len(chosen.going), "episode")
    asked = f"Delete {count} for good?" if args.delete else f"Move {count} to {root / trash.FOLDER}?"
    if not (args.yes or _agreed(asked)):
        say("nothing was changed")
        return 1
    at = now.isoformat(timespec="seconds")
    done = failed = 0
    for each in chosen.going:
        try:
            if args.delete:
                trash.delete(each.entry.folder, root, ", ".join(each.why), at)
            else:
                trash.move(each.entry.folder, ", ".join(each.why), at)
            done += 1
        except OSError as error:
            failed += 1
            say(f"il-ros episodes prune: {worded(error)}", file=sys.stderr)
    _end(args, done)
    return 1 if failed else 0


def _end(args: argparse.Namespace, done: int) -> None:
    log = args.root / trash.LOG
    if args.delete:
        say(f"{counted(done, 'episode')} deleted; {log} lists them")
        return
    root = "" if args.root == Path("episodes") else f" --root {args.root}"
    say(f"{counted(done, 'episode')} moved to {args.root / trash.FOLDER}; {log} lists them")
    say(f"back: il-ros episodes undo{root} NUMBER    free the space: il-ros episodes trash{root} --empty")


def _trained(args: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """Return what was trained on which episode; raises RetentionError if it is not known."""
    if args.no_policies:
        return {}
    if not args.policies and not POLICIES.is_dir():
        raise RetentionError(
            f"there is no folder '{POLICIES}' of versions, so what was trained on these episodes is unknown: give it "
            "by --policies FOLDER, or --no-policies if there is none"
        )
    return trained_on(args.policies or [POLICIES])


def _show(chosen: PruneChoice, rules: RetentionRules) -> None:
    if chosen.going:
        header = ("episode", "age", "size", "grade", "outcome", "why")
        say(table(header, [_row(each) for each in chosen.going], right=("age", "size")))
    if chosen.kept:
        say(("\n" if chosen.going else "") + "kept, although the rules fit:")
        for each in chosen.kept:
            say(f"  {each.entry.name}: {each.kept}")
    say(
        f"{counted(len(chosen.going), 'episode')} to go: {size(chosen.size_bytes)} of {size(chosen.total_bytes)}"
    )
    left = chosen.total_bytes - chosen.size_bytes
    if rules.down_to_bytes is not None and left > rules.down_to_bytes:
        say(
            f"{size(left)} stay, more than {size(rules.down_to_bytes)}: no further episode may go by these rules"
        )


def _row(each: PruneCandidate) -> tuple[str, ...]:
    grade = None if each.entry.info is None else each.entry.info.grade
    return (
        each.entry.name,
        in_days(each.age_s),
        size(each.size_bytes),
        "-" if grade is None else grade.level,
        each.entry.outcome,
        ", ".join(each.why),
    )


def _trash(args: argparse.Namespace) -> int:
    if not args.root.is_dir():
        raise NotADirectoryError(f"{args.root}: there is no such folder of episodes")
    found = trash.contents(args.root)
    if not found:
        say(f"{args.root / trash.FOLDER}: nothing is there")
        return 0
    say(
        table(
            ("episode", "size"),
            [(each.folder.name, size(each.size_bytes)) for each in found],
            right=("size",),
        )
    )
    say(f"{counted(len(found), 'episode')}, {size(sum(each.size_bytes for each in found))}")
    if not args.empty:
        return 0
    if not (args.yes or _agreed(f"Delete {counted(len(found), 'episode')} for good?")):
        say("nothing was changed")
        return 1
    return _emptied(args.root, found)


def _emptied(root: Path, found: Sequence[trash.Trashed]) -> int:
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    status = 0
    for each in found:
        try:
            trash.delete(each.folder, root, "the trash was emptied", at)
        except OSError as error:
            say(f"il-ros episodes trash: {worded(error)}", file=sys.stderr)
            status = 1
    say(f"{root / trash.LOG} lists what was deleted")
    return status


def _agreed(question: str) -> bool:
    """Ask on the terminal; no answer is a no."""
    say(f"{question} [y/N] ", flush=True)
    try:
        return input().strip().lower() in ("y", "yes")
    except EOFError:
        return False
