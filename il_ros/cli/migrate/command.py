"""`il-ros migrate`: contracts, parameter files and recipes of earlier versions in today's words."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from il_ros.cli.migrate.migration import Kind, Migration, migrate_text
from il_ros.cli.migrate.search import Search, search
from il_ros.cli.migrate.unsettled import Unsettled
from il_ros.core import atomic, files
from il_ros.core.strict_yaml import MOST_CHARACTERS, YamlError
from il_ros.core.tables import counted, say, worded

_OURS = ("ros__parameters", "rate_hz:", "training:", "il_ros")
"""A file in a searched folder that cannot be read is named if one of these is in it."""
_NOT_OURS = (
    "is no file of il_ros: a contract has observations and actions, a parameter file ros__parameters, a recipe "
    "policy and training"
)

_EXAMPLES = """\
Recordings and checkpoints stay as they are: the contract and the recipe inside are read with the former words, and with
the stated default for a key that they lack. Launch files and programs are programs: former words in them are named.

examples:
  il-ros migrate my_robot.yaml my_params.yaml    shows what would change
  il-ros migrate config/ launch/                 all files in these folders
  il-ros migrate config/ --write                 changes them; each former file is kept beside it, as FILE.orig

exit status: 0 if all files are in today's words, 1 if something differs or is left to settle, 2 for wrong arguments
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "migrate",
        help="bring settings files of earlier versions up to date",
        description="Show, as a diff, what contracts, parameter files and recipes of earlier versions are called now, "
        "and name what has to be settled by hand. Comments, order and spacing stay as they are.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, and folders to search")
    parser.add_argument(
        "--write", action="store_true", help="change the files; the default shows the changes only"
    )
    parser.add_argument(
        "--no-backup", action="store_true", help="with --write: keep no copy of the former file"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show or make the changes; return the exit status."""
    try:
        places = search(args.paths)
    except OSError as error:
        say(f"il-ros migrate: {worded(error)}", file=sys.stderr)
        return 1
    migrations, problems = _read(places)
    counts: Counter[str] = Counter()
    for each in migrations:
        problems += each.problems
        if not each.changed:
            counts["as it is" if not each.problems else "to settle"] += 1
            continue
        if args.write:
            failed = _write(each, backup=not args.no_backup)
            problems += failed
            counts["not written" if failed else "changed"] += 1
        else:
            say(_diff(each))
            counts["to change"] += 1
    _report(places, migrations, problems, counts)
    return 1 if problems or counts["to change"] else 0


def _read(places: Search) -> tuple[list[Migration], list[Unsettled]]:
    """Return the migrations of all files of this package, and what is wrong with files that cannot be read."""
    migrations: list[Migration] = []
    problems: list[Unsettled] = []
    for path in (*places.given, *places.found):
        was_given, text = path in places.given, ""
        try:
            text = files.read_bytes(path, 4 * MOST_CHARACTERS).decode("utf-8")
            made = migrate_text(text, path)
        except (OSError, ValueError) as error:
            if was_given or any(word in text for word in _OURS):
                named = isinstance(error, YamlError)
                problems.append(Unsettled("" if named else str(path), 0, "", str(error)))
            continue
        if made is not None and (made.kind is not Kind.LAUNCH or made.problems):
            migrations.append(made)
        elif made is None and was_given:
            problems.append(Unsettled(str(path), 0, "", _NOT_OURS))
    return migrations, problems


def _diff(migration: Migration) -> str:
    lines = difflib.unified_diff(
        migration.before.splitlines(),
        migration.after.splitlines(),
        str(migration.path),
        f"{migration.path} (today)",
        lineterm="",
        n=1,
    )
    return "\n".join(lines)


def _write(migration: Migration, *, backup: bool) -> list[Unsettled]:
    """Replace a file atomically, through links, with its permissions; return why not, if that fails."""
    path = migration.path.resolve()
    try:
        mode = path.stat().st_mode
        kept = ""
        if backup:
            copy = _free(path)
            copy.write_bytes(migration.before.encode("utf-8"))
            copy.chmod(mode)
            kept = f"; the former file is {copy}"
        atomic.write_text(path, migration.after)
        path.chmod(mode)
    except OSError as error:
        return [Unsettled(str(migration.path), 0, "", f"cannot be written: {error}")]
    say(f"{migration.path}: changed{kept}")
    return []


def _free(path: Path) -> Path:
    """Return a name for the former file that no file has: FILE.orig, FILE.orig.2, ..."""
    copy, number = path.with_name(f"{path.name}.orig"), 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.name}.orig.{number}")
    return copy


def _report(
    places: Search, migrations: list[Migration], problems: list[Unsettled], counts: Counter[str]
) -> None:
    for each in migrations:
        for remark in each.remarks:
            say(f"remark: {remark}")
    for problem in problems:
        say(f"to settle: {problem}", file=sys.stderr)
    if places.kept:
        say(
            f"{counted(len(places.kept), 'folder')} of recordings and checkpoints, such as {places.kept[0]}: left as "
            "they are; former words in them are read, and a key that they lack has its stated default"
        )
    states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    say(f"{counted(len(migrations), 'file')} of il_ros" + (f": {states}" if states else ""))
    if counts["to change"]:
        say("--write makes these changes")
