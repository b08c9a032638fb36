"""`il-ros episodes replay | plot | video`."""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from il_ros.cli import options
from il_ros.cli.episodes.choice import contract_for, entry_of
from il_ros.core import atomic
from il_ros.core.contract import Contract
from il_ros.core.tables import counted, say
from il_ros.episodes.arrays.replay import Frame, Replay, Skipped, count_reasons, open_replay
from il_ros.episodes.bag.reader import open_bag, require_whole


def add_verbs(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add the verbs that replay and plot an episode."""
    parser = verbs.add_parser(
        "replay",
        parents=[common],
        help="replay it through the live synchroniser and report the policy's observations",
        description="Replay the messages through the live synchroniser, tick by tick: how many ticks give a "
        "frame, the age of each observation, and why other ticks give none.",
    )
    options.add_episode(parser)
    options.add_contract(parser)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write ticks, observations and actions")
    parser.set_defaults(act=replay)

    parser = verbs.add_parser(
        "plot", parents=[common], help="plot measurements, commands and uncertainty over time"
    )
    options.add_episode(parser)
    options.add_contract(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: EPISODE.png here")
    parser.set_defaults(act=_plot)

    parser = verbs.add_parser(
        "video",
        parents=[common],
        help="write its cameras as mp4, or as a contact sheet",
        description="Write the cameras side by side to an mp4, or (--sheet) selected images to a PNG.",
    )
    options.add_episode(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: EPISODE.mp4 or .png here")
    parser.add_argument("--sheet", action="store_true", help="a PNG of selected images instead of a video")
    parser.add_argument("--pictures", type=int, default=12, help="images on a sheet (default: 12)")
    parser.add_argument(
        "--fps", type=float, default=20.0, help="frames per second of the video (default: 20)"
    )
    parser.add_argument("--topic", action="append", default=[], help="only this camera; may be repeated")
    parser.set_defaults(act=_video)


def replay(args: argparse.Namespace) -> int:
    """Print how many ticks of the episode give a frame, and why others give none; 1 without a frame."""
    entry = entry_of(args.episode, args.root)
    contract = contract_for(entry, args.contract)
    if args.csv is not None:
        atomic.require_own(args.csv, "tick_ns,authority")
    require_whole(entry.folder)
    played = open_replay(open_bag(entry.folder), contract, entry.info)
    frames, skipped = _played(played, contract, args.csv)
    amount = f"{counted(frames, 'frame')} of {counted(frames + len(skipped), 'tick')}"
    say(f"{entry.name} under contract '{contract.name}': {amount}")
    for note in played.notes:
        say(f"  {note}")
    for reason, count in count_reasons(skipped).items():
        say(f"  {counted(count, 'tick')} without a frame: {reason}")
    if args.csv is not None:
        say(f"written: {args.csv}")
    return 0 if frames else 1


def _played(replay: Replay, contract: Contract, path: Path | None) -> tuple[int, list[Skipped]]:
    """Replay the episode; with a `path`, write each frame to that CSV file."""
    skipped: list[Skipped] = []
    frames = 0
    with ExitStack() as stack:
        write = None
        if path is not None:
            part = stack.enter_context(atomic.replacing(path))
            write = csv.writer(stack.enter_context(part.open("w", newline="", encoding="utf-8"))).writerow
            write(_csv_header(contract))
        for item in replay:
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            frames += 1
            if write is not None:
                write(_csv_row(item, contract))
    return frames, skipped


def _csv_header(contract: Contract) -> list[str]:
    numeric = [spec for spec in contract.observations if spec.kind == "numeric"]
    return [
        "tick_ns",
        "authority",
        *(f"authority/{group.name}" for group in contract.groups if contract.grouped),
        *(f"age_s/{spec.key}" for spec in contract.observations),
        *(f"{spec.key}/{name}" for spec in numeric for name in spec.elements),
        *contract.action_names,
    ]


def _csv_row(frame: Frame, contract: Contract) -> list[Any]:
    seen = frame.observation
    numbers = [seen.values[spec.key] for spec in contract.observations if spec.kind == "numeric"]
    return [
        frame.tick_ns,
        frame.authority,
        *(frame.authorities.get(group.name, "") for group in contract.groups if contract.grouped),
        *(seen.ages_s[spec.key] for spec in contract.observations),
        *(float(number) for values in numbers for number in values),
        *(float(number) for number in frame.command),
    ]


def _plot(args: argparse.Namespace) -> int:
    from il_ros.episodes.arrays import cache
    from il_ros.episodes.plots import plot_episode
    from il_ros.episodes.video import require_suffix
    from il_ros.records.labelling import DRIVEN
    from il_ros.session.curves import decision_curves, limited_ticks

    entry = entry_of(args.episode, args.root)
    contract = contract_for(entry, args.contract)
    output = args.output or Path(f"{entry.name}.png")
    require_suffix(output, (".png", ".pdf", ".svg"))
    atomic.require_own(output)
    # a temporary cache: plotting writes nothing into the folder of the episodes
    with tempfile.TemporaryDirectory(prefix="il_ros_plot_") as folder:
        curves = decision_curves(entry, lambda reason: say(f"left out from {reason}", file=sys.stderr))
        arrays = cache.Conversion(contract, Path(folder), DRIVEN).load(entry)
        plot_episode(arrays, contract, output, curves, limited_ticks(entry))
    say(f"written: {output}")
    return 0


def _video(args: argparse.Namespace) -> int:
    from il_ros.episodes.video import write_sheet, write_video

    entry = entry_of(args.episode, args.root)
    require_whole(entry.folder)
    bag = open_bag(entry.folder)
    output = args.output or Path(f"{entry.name}.{'png' if args.sheet else 'mp4'}")
    if args.sheet:
        count = write_sheet(bag, entry.info, output, pictures=args.pictures, topics=args.topic)
    else:
        count = write_video(bag, entry.info, output, fps=args.fps, topics=args.topic)
    say(f"written: {output} ({counted(count, 'picture')})")
    return 0
