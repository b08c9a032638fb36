"""`il-ros episodes export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from il_ros.core.tables import say

FORMATS = ("robomimic",)


def add_verbs(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add `export`."""
    parser = verbs.add_parser(
        "export",
        parents=[common],
        help="write episodes in the format of another package",
        description="Write the labelled frames of episodes to one file of another package: robomimic's HDF5, with the "
        "masks train and valid. Actions are absolute commands in the contract's units. Needs h5py.",
    )
    parser.add_argument("episodes", nargs="*", metavar="EPISODE", help="default: all under --root")
    parser.add_argument("--format", default=FORMATS[0], choices=FORMATS, help="(default: robomimic)")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help="a new file, such as push.hdf5"
    )
    parser.add_argument(
        "--contract", default="", help="file, or name in config/contracts (default: the recorded one)"
    )
    parser.add_argument(
        "--validation", type=float, default=0.1, help="share of the frames in the mask 'valid' (default: 0.1)"
    )
    parser.add_argument("--poor", action="store_true", help="also episodes that the recorder graded poor")
    parser.set_defaults(act=_export)


def _export(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from il_ros.cli.episodes.choice import entries_of
    from il_ros.cli.train import contract_of
    from il_ros.episodes.catalogue import Selection
    from il_ros.episodes.exchange.robomimic import export, summary

    select = Selection(poor=args.poor)
    chosen = []
    for entry in entries_of(args.episodes, args.root):
        why = entry.reason if not entry.usable else select.poorness(entry)
        if why:
            say(f"left out {entry.name}: {why}")
        else:
            chosen.append(entry)
    contract = contract_of(args.contract, chosen[0].folder.parent if chosen else args.root)

    def bar(entries: Any) -> Any:
        return tqdm(entries, desc="exporting", unit="episode", disable=None, leave=False)

    done = export(chosen, contract, args.out, validation=args.validation, progress=bar)
    for sentence in done.left_out:
        say(f"left out {sentence}")
    say(summary(done, args.out))
    return 0
