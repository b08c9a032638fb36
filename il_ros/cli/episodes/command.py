"""`il-ros episodes`: inspect, check, repair and plot recorded episodes; needs no ROS."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from il_ros.cli.episodes import cut, doctor, exchange, keep, label, play, prune, relabel, show
from il_ros.core.contract import ContractError
from il_ros.core.tables import say, worded
from il_ros.episodes.arrays.array_files import NoFramesError
from il_ros.episodes.bag.reader import BagError
from il_ros.episodes.bag.recover import RecoverError
from il_ros.episodes.bag.topics import MismatchError
from il_ros.episodes.cut import CutError
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.layout import LayoutError
from il_ros.episodes.recording.record import RecordError
from il_ros.episodes.retention import RetentionError
from il_ros.episodes.video import VideoError
from il_ros.policies.lineage import CheckpointError
from il_ros.session.relabelling.moments import RelabelError

_EXPECTED = (
    BagError,
    CheckpointError,
    ContractError,
    CutError,
    ExchangeError,
    LayoutError,
    MismatchError,
    NoFramesError,
    OSError,
    RecordError,
    RecoverError,
    RelabelError,
    RetentionError,
    VideoError,
)

_EXAMPLES = """\
An EPISODE is a folder, or a number under --root. examples:
  il-ros episodes list                          all under ./episodes
  il-ros episodes info 12                       episode 12: streams, rates, grade
  il-ros episodes verify                        read and check everything
  il-ros episodes recover 12                    after a crash of the recorder
  il-ros episodes discard 12 --reason "slipped" deletes nothing; 'undo 12' reverts it
  il-ros episodes prune --grade poor            makes room: to the trash, after a question; 'undo' reverts it
  il-ros episodes doctor                        what in the data teaches the wrong thing, and how to undo it
  il-ros episodes amend 12 --leave-out 0:1.5    training leaves the span out; '--undo' reverts it
  il-ros episodes replay 12                     frames as the policy would see them
  il-ros episodes plot 12 -o episode.png
  il-ros episodes video 12 --sheet
  il-ros episodes export lerobot -o data/push   all under ./episodes, as a LeRobotDataset v3.0
  il-ros episodes import lerobot data/push --root imported
  il-ros episodes cut long_bag --topic /demonstrating --contract my_robot.yaml
  il-ros episodes relabel --uncertain 2         new labels at marked or uncertain moments
  il-ros episodes label --model inverse/v1      infer the actions of demonstrations without any
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand and its own subcommands."""
    parser = subparsers.add_parser(
        "episodes",
        help="inspect, check, repair and plot recorded episodes",
        description="Inspect, check, repair and plot recorded episodes. Needs no ROS.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for part in (show, keep, prune, doctor, play, exchange, cut, relabel, label):
        part.add_verbs(verbs, _common())
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return 1 on failure, with the reason on stderr."""
    try:
        return int(args.act(args))
    except _EXPECTED as error:
        say(f"il-ros episodes {args.verb}: {worded(error)}", file=sys.stderr)
        return 1


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--root",
        type=Path,
        default=Path("episodes"),
        help="folder of the episodes: of those given by number, and of new ones (default: ./episodes)",
    )
    return common
