"""`il-ros episodes cut`: a long bag with many demonstrations as episodes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from il_ros.cli import next_steps, options
from il_ros.core import atomic
from il_ros.core.progress import with_progress
from il_ros.core.tables import counted, say
from il_ros.episodes.bag.opened import BagMessage
from il_ros.episodes.bag.reader import open_bag, require_whole
from il_ros.episodes.cut import CutError, CutOptions, by_button, by_flag, by_times, cut
from il_ros.records.outcomes import OUTCOMES, UNMARKED


def add_verbs(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "cut",
        help="cut a long bag with many demonstrations into episodes",
        description="Write each demonstration in a bag of any recorder as an episode under --root. A demonstration "
        "lasts while a Bool topic is true (--topic), from one press of a gamepad's button to the next (--topic, "
        "--button), or as given (--span). The bag stays as it is.",
    )
    parser.add_argument("bag", type=Path, metavar="BAG", help="a rosbag2 folder, or one file of it")
    options.add_root(parser)
    parser.add_argument("--topic", help="of std_msgs/Bool; with --button of sensor_msgs/Joy")
    parser.add_argument("--button", type=int, metavar="NUMBER", help="the button's number, from 0")
    parser.add_argument(
        "--span",
        action="append",
        default=[],
        metavar="FROM-TO",
        help="seconds after the bag's first message, such as 12.5-20; may be repeated",
    )
    options.add_contract(parser)
    parser.add_argument("--task", default="", help="name of the task")
    parser.add_argument("--instruction", default="", help="what was to be done, in words")
    parser.add_argument("--outcome", choices=OUTCOMES, default=UNMARKED, help="default: unmarked")
    parser.add_argument(
        "--pre-roll", type=float, default=1.0, metavar="S", help="copied before each (default: 1 s)"
    )
    parser.set_defaults(act=_cut)


def _cut(args: argparse.Namespace) -> int:
    if args.topic and args.span:
        raise CutError(
            f"--topic {args.topic} and --span {args.span[0]}: only one of them can say what is cut"
        )
    if not args.topic and not args.span:
        given = "" if args.button is None else f"--button {args.button} needs the --topic of a gamepad; "
        raise CutError(f"{given}give --topic, perhaps with --button, or --span")
    if args.button is not None and not args.topic:
        raise CutError(f"--button {args.button} needs the --topic of a gamepad, not --span")
    if not 0 <= args.pre_roll <= 60:
        raise CutError(f"--pre-roll is {args.pre_roll:g}; it must be from 0 to 60 s")
    atomic.require_folder(args.root)
    require_whole(args.bag)
    bag = open_bag(args.bag)
    notes: list[str] = []
    if args.span:
        found = by_times(bag, [_span(text) for text in args.span])
    elif args.button is not None:
        found, notes = by_button(bag, args.topic, args.button)
    else:
        found, notes = by_flag(bag, args.topic)
    wanted = CutOptions(
        contract=options.given_contract(args),
        task=args.task,
        instruction=args.instruction,
        outcome=args.outcome,
        pre_roll_s=args.pre_roll,
    )
    report = cut(bag, args.root, found, wanted, _shown)
    names = ""
    if report.folders:
        first, last = report.folders[0].name, report.folders[-1].name
        names = f", in {args.root}: " + (first if first == last else f"{first} to {last}")
    say(f"{counted(len(report.folders), 'episode')}, {counted(report.messages, 'message')}{names}")
    for note in (*notes, *report.notes):
        say(f"  {note}")
    if report.folders:
        next_steps.tell(next_steps.after_recording(args.root))
    return 0 if report.folders or report.there else 1


def _shown(items: Iterable[BagMessage], total: int) -> Iterable[BagMessage]:
    return with_progress(items, "cutting", "message", total)


def _span(text: str) -> tuple[float, float]:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", text)
    if found is None:
        raise CutError(f"--span {text}: must be two times in seconds, such as 12.5-20")
    begin, end = float(found[1]), float(found[2])
    if begin >= end:
        raise CutError(f"--span {text}: must end after it begins")
    return begin, end
