"""`il-ros episodes doctor | amend`: what is wrong with recorded data, and reversible amendments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from il_ros.cli import options
from il_ros.cli.episodes.choice import contract_for, folder_of, some_entries_of
from il_ros.core import atomic
from il_ros.core import contract as contracts
from il_ros.core.contract import Contract, ContractError
from il_ros.core.tables import grouped, say
from il_ros.episodes import amendments
from il_ros.episodes.amendments import Amendments, LeftOut
from il_ros.episodes.bag.reader import bag_files
from il_ros.episodes.catalogue import Entry, look
from il_ros.episodes.foreign_types import find_beside
from il_ros.episodes.layout import INFO_FILE, LayoutError
from il_ros.policies.lineage import find_checkpoint


def add_verbs(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add `doctor` and `amend`."""
    parser = verbs.add_parser(
        "doctor",
        parents=[common],
        help="find what makes recorded data teach the wrong thing",
        description="Compare the takes with each other and with themselves: labels beside the measured state, late "
        "robots, "
        "streams out of time, outliers, near-duplicates, idle spans, dead or clipped numbers, jumps, frozen, dark or "
        "blurred cameras, starts that are all alike, contradicting labels. Writes a page with a picture of each "
        "finding "
        "and a command that undoes it; changes nothing. Exit status 1 if a fault was found.",
    )
    parser.add_argument(
        "episodes", nargs="*", metavar="EPISODE", help="episodes or their folder (default: --root)"
    )
    options.add_contract(parser)
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="CHECKPOINT",
        help="also find what is outside the range that this policy was trained on",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="folder of the page (default: ROOT_doctor)"
    )
    parser.set_defaults(act=_doctor)

    parser = verbs.add_parser(
        "amend",
        parents=[common],
        help="leave out spans, correct labels or the time of a stream; changes no recording",
        description=f"Write {amendments.AMENDMENTS} beside the bag. Training, export, replay and plots apply it; the "
        "bag stays as it was. Without options, show the amendments.",
    )
    parser.add_argument("episodes", nargs="+", metavar="EPISODE", help="folders, or numbers under --root")
    parser.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="FROM:TO",
        help="seconds since the start whose ticks give no frame; may be repeated",
    )
    parser.add_argument(
        "--offset",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="number added to the labels of an action element, such as arm/joint2=-0.297; may be repeated",
    )
    parser.add_argument(
        "--shift",
        action="append",
        default=[],
        metavar="KEY=S",
        help="seconds by which an observation's messages are taken as earlier; may be repeated",
    )
    parser.add_argument("--reason", default="", help="reason of the spans")
    parser.add_argument("--undo", action="store_true", help="remove all amendments")
    parser.set_defaults(act=_amend)


def _doctor(args: argparse.Namespace) -> int:
    entries = some_entries_of(args.episodes, args.root)
    if args.policy is not None:
        find_checkpoint(args.policy)  # names a misspelt folder before torch is imported
    from il_ros.episodes.arrays import cache
    from il_ros.episodes.doctor import page
    from il_ros.episodes.doctor.examination import examined
    from il_ros.policies import checkpoint

    policy = None
    contract = _contract(args, entries)
    if args.policy is not None:
        policy = checkpoint.load(args.policy, contract)
    root = entries[0].folder.parent
    output = args.output or page.folder_for(root)
    atomic.require_page(output)
    kept = [entry for entry in entries if entry.state != "discarded"]
    found = examined(kept, contract, cache.cache_folder(root), policy)
    if not found.takes.episodes:
        for line in grouped(found.left_out):
            say(f"left out {line}")
        raise LayoutError(f"{root}: no episode can be examined under contract '{contract.name}'")
    say(page.text(found))
    path = page.write(found, output, root)
    say(f"written: {path}")
    return int(any(each.severity.value == "fault" for each in found.findings))


def _contract(args: argparse.Namespace, entries: Sequence[Entry]) -> Contract:
    """Return the given contract, or the one under which all episodes were recorded."""
    if args.contract:
        return find_beside(args.contract, lambda: [entry.folder for entry in entries])
    known = [
        entry for entry in entries if entry.usable and entry.info is not None and entry.info.contract_text
    ]
    if not known:
        raise ContractError("no usable episode was recorded with a contract; give one with --contract FILE")
    first = contract_for(known[0], "")
    for entry in known[1:]:
        if entry.info is not None and entry.info.contract_hash != known[0].info.contract_hash:  # type: ignore[union-attr]
            raise ContractError(
                f"{known[0].name} and {entry.name} were recorded under different contracts ('{first.name}', "
                f"'{entry.info.contract_name}'); give one with --contract FILE, or name the episodes"
            )
    return first


def _amend(args: argparse.Namespace) -> int:
    folders = [folder_of(word, args.root) for word in args.episodes]
    added = _asked(args)
    if args.undo and added:
        raise LayoutError("--undo removes all amendments; give no other option with it")
    prepared = []
    for folder in folders:  # all are checked before one is written
        if not (bag_files(folder) or (folder / INFO_FILE).exists()):
            raise LayoutError(f"{folder}: holds no recording; name episodes, such as {folder}/episode_000001")
        if args.undo:
            prepared.append((folder, amendments.NONE))
            continue
        now = amendments.read(folder).joined(added)
        _check(look(folder), now)
        prepared.append((folder, now))
    for folder, now in prepared:
        if args.undo:
            had = (folder / amendments.AMENDMENTS).exists()
            amendments.write(folder, amendments.NONE)
            say(f"{folder.name}: {'amendments removed' if had else 'no amendments'}")
            continue
        if added:
            amendments.write(folder, now)
        say(f"{folder.name}: {now.sentence() or 'no amendments'}")
    if added:
        say(f"revert: il-ros episodes amend {' '.join(str(folder) for folder in folders)} --undo")
    return 0


def _check(entry: Entry, now: Amendments) -> None:
    """Raise LayoutError unless the amendments fit the episode and its contract."""
    info = entry.info
    if info is None or not info.contract_text:
        return
    contract = contracts.parse(info.contract_text, f"{entry.folder} (its contract)")
    now.offset_of(contract)
    now.shifts_ns(contract)
    if info.duration_s is not None:
        amendments.within_episode(now, info.duration_s)


def _asked(args: argparse.Namespace) -> Amendments:
    spans = []
    for text in args.leave_out:
        start, colon, stop = text.partition(":")
        if not colon:
            raise LayoutError(f"--leave-out {text}: it must be FROM:TO in seconds, such as 1.5:4")
        spans.append(LeftOut(_number("--leave-out", start), _number("--leave-out", stop), args.reason))
    return Amendments(
        tuple(spans),
        dict(_pair("--offset", text) for text in args.offset),
        dict(_pair("--shift", t) for t in args.shift),
    )


def _pair(option: str, text: str) -> tuple[str, float]:
    name, equals, value = text.rpartition("=")
    if not (name and equals):
        raise LayoutError(f"{option} {text}: it must be NAME=NUMBER")
    return name, _number(option, value)


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise LayoutError(f"{option}: '{text}' is not a number") from None
