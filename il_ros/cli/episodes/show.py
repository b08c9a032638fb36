"""`il-ros episodes list | info`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from il_ros.cli import options
from il_ros.cli.episodes.choice import entry_of
from il_ros.core.tables import counted, say, seconds, shown, size, table
from il_ros.episodes.bag.reader import BagError, bag_files, open_bag
from il_ros.episodes.catalogue import Catalogue, Entry, scan
from il_ros.episodes.layout import EpisodeInfo, StreamInfo

_CLOCKS = {
    "steady": "steady, tied to ROS time once",
    "node": "ROS time",
    "": "ROS time, also after it was set (an earlier version)",
}


def add_verbs(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add `list` and `info`."""
    parser = verbs.add_parser(
        "list", parents=[common], help="list the episodes of a folder, and why some can't be used"
    )
    parser.add_argument("folder", nargs="?", type=Path, help="their folder, as --root")
    parser.set_defaults(act=_list)
    parser = verbs.add_parser("info", parents=[common], help="show the details of one episode")
    options.add_episode(parser)
    parser.set_defaults(act=_info)


def _list(args: argparse.Namespace) -> int:
    catalogue = scan(args.folder or args.root)
    if not catalogue.entries:
        say(f"{catalogue.root}: no episodes")
        return 0
    header = ("episode", "state", "outcome", "task", "s", "size", "grade", "contract", "note")
    say(table(header, [_row(entry) for entry in catalogue.entries], right=("s", "size")))
    say(_totals(catalogue))
    return 0


def _row(entry: Entry) -> tuple[str, ...]:
    info = entry.info
    stored = sum(file.stat().st_size for file in bag_files(entry.folder))
    grade = "-" if info is None or info.grade is None else info.grade.level
    note = entry.reason if entry.damage or not entry.usable else _worst(info)
    return (
        entry.name,
        entry.state,
        entry.outcome,
        entry.task or "-",
        seconds(None if info is None else info.duration_s),
        size(stored),
        grade,
        "-" if info is None or not info.contract_name else info.contract_name,
        note,
    )


def _worst(info: EpisodeInfo | None) -> str:
    if info is None:
        return "bag of another recorder"
    if info.faults:
        return info.faults[0]
    return info.grade.reasons[0] if info.grade is not None and info.grade.reasons else ""


def _totals(catalogue: Catalogue) -> str:
    states = Counter(entry.state for entry in catalogue.entries)
    outcomes = Counter(entry.outcome for entry in catalogue.usable)
    total_s = sum(entry.info.duration_s or 0.0 for entry in catalogue.usable if entry.info is not None)
    poor = sum(bool(entry.poor) for entry in catalogue.usable)
    left_out = f" {poor} of them poor, which training leaves out." if poor else ""
    return (
        f"\n{counted(len(catalogue.entries), 'episode')}: {_counted(states)}. "
        f"Usable: {_counted(outcomes) or 'none'}, {total_s:.1f} s in all.{left_out}"
    )


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _info(args: argparse.Namespace) -> int:
    entry = entry_of(args.episode, args.root)
    say(f"{entry.folder}\nstate        {entry.state}" + (f": {entry.reason}" if entry.reason else ""))
    if entry.info is not None:
        _print_info(entry.info)
    if entry.info is not None and entry.info.streams:
        say("\n" + _streams(entry.info.streams))
        return 0
    return _print_bag(entry)


def _print_info(info: EpisodeInfo) -> None:
    facts = {
        "outcome": info.outcome,
        "task": info.task,
        "operator": info.operator,
        "instruction": info.instruction,
        "seed": "" if info.seed is None else str(info.seed),
        "made from": info.made_from,
        "recorded": info.recorded_at,
        "duration": "" if info.duration_s is None else f"{info.duration_s:.2f} s",
        "stopped": info.stop_reason,
        "contract": f"{info.contract_name} ({info.contract_hash})" if info.contract_hash else "",
        "decisions": info.decision_topic,
        "clock": _CLOCKS[info.clock],
        "grade": "" if info.grade is None else info.grade.level,
    }
    for name, text in facts.items():
        if text:
            say(f"{name:<12} {shown(text)}")
    for reason in info.grade.reasons if info.grade is not None else ():
        say(f"{'':<12} {reason}")
    for fault in info.faults:
        say(f"{'fault':<12} {fault}")


def _streams(streams: tuple[StreamInfo, ...]) -> str:
    header = (
        "topic",
        "type",
        "messages",
        "Hz",
        "lost",
        "age p50 ms",
        "age p99 ms",
        "gap s",
        "stale s",
        "size",
    )
    rows = [
        (
            stream.topic,
            stream.type,
            str(stream.messages),
            seconds(stream.rate_hz),
            str(stream.lost),
            *(
                "-" if age_s is None else f"{age_s * 1e3:.1f}"
                for age_s in (stream.age_p50_s, stream.age_p99_s)
            ),
            "-" if stream.longest_gap_s is None else f"{stream.longest_gap_s:.2f}",
            f"{stream.stale_s:.2f}",
            size(stream.bytes),
        )
        for stream in streams
    ]
    return table(header, rows, right=header[2:])


def _print_bag(entry: Entry) -> int:
    """Print the bag's own statistics, when the recorder's are missing."""
    try:
        bag = open_bag(entry.folder)
    except BagError as error:
        if entry.usable:
            raise
        if str(error) != entry.reason:
            say(f"\n{error}")
        return 0
    say(f"{'bag':<12} {counted(bag.messages_total, 'message')} in {bag.duration_s:.2f} s\n")
    rows = [(name, topic.type, str(topic.messages)) for name, topic in sorted(bag.topics.items())]
    say(table(("topic", "type", "messages"), rows, right=("messages",)))
    return 0
