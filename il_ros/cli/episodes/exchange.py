"""`il-ros episodes export | import`: other projects' formats."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from il_ros.cli import next_steps, options
from il_ros.cli.episodes.choice import contract_for, entries_of
from il_ros.core import atomic
from il_ros.core.progress import with_progress
from il_ros.core.tables import counted, say
from il_ros.episodes.catalogue import Selection
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.hdf5.export import KIND as ROBOMIMIC
from il_ros.episodes.exchange.hdf5.export import export_robomimic, merge_robomimic, require_share
from il_ros.episodes.exchange.hdf5.ingest import import_robomimic
from il_ros.episodes.exchange.journal import KIND as IMPORT
from il_ros.episodes.exchange.journal import merge_imports
from il_ros.episodes.exchange.lerobot.export import export_lerobot
from il_ros.episodes.exchange.lerobot.ingest import import_lerobot
from il_ros.episodes.exchange.lerobot.merge import merge_lerobot
from il_ros.episodes.exchange.lerobot.options import (
    ACTIONS,
    HOLES,
    PICTURES,
    UNMARKED_AS,
    ExportOptions,
)
from il_ros.episodes.exchange.lerobot.video import CODECS
from il_ros.episodes.exchange.report import ImportReport
from il_ros.episodes.exchange.shards import Shard, read_record

Item = TypeVar("Item")


def add_verbs(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add the verbs; each format is a subcommand of them."""
    parser = verbs.add_parser(
        "export",
        help="write episodes in another project's format",
        description="Write episodes in another project's format.",
    )
    formats = parser.add_subparsers(dest="format", required=True, metavar="format")
    _add_lerobot_export(formats, common)
    _add_robomimic_export(formats, common)
    parser = verbs.add_parser(
        "import",
        help="read another project's data as episodes",
        description="Read another project's data as episodes, which all other commands take.",
    )
    formats = parser.add_subparsers(dest="format", required=True, metavar="format")
    _add_lerobot_import(formats, common)
    _add_robomimic_import(formats, common)
    parser = verbs.add_parser(
        "merge",
        help="put the shards of an export or import together",
        description="Put all shards of one 'export ... --shard' or 'import ... --shard' together. The result is "
        "the one that the conversion without shards gives; the shards stay as they are.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder; for robomimic a new file")
    parser.add_argument("shards", type=Path, nargs="+", metavar="SHARD", help="the folders of all shards")
    parser.set_defaults(act=_merge)


def _merge(args: argparse.Namespace) -> int:
    kind = read_record(args.shards[0]).kind
    if kind == IMPORT:
        count = merge_imports(args.shards, args.out)
        return _said([f"{args.out}: {counted(count, 'episode')}", _after_import(args.out)])
    if kind == ROBOMIMIC:
        return _said(merge_robomimic(args.shards, args.out).lines())
    return _said(merge_lerobot(args.shards, args.out, progress=_steps).lines())


def _said(lines: Iterable[str]) -> int:
    for line in lines:
        say(line)
    return 0


def _add_shard(parser: argparse.ArgumentParser, where: str) -> None:
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help=f"convert only part I of N, {where}; 'il-ros episodes merge' puts all parts together",
    )


def _parts(out: Path, shard: Shard | None) -> tuple[str, str]:
    """Return an export's result and the pattern of its parts, for a shell."""
    of = 1 if shard is None else shard.of
    return shlex.quote(str(out)), f"{shlex.quote(str(out))}.shard-*-of-{of}"


def _add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="processes at a time (default: one per core)"
    )


def _shard(args: argparse.Namespace) -> Shard | None:
    if args.shard is None:
        return None
    try:
        return Shard.parse(args.shard)
    except ExchangeError as error:
        raise ExchangeError(f"--{error}") from error


def _after_shard(shard: Shard | None, *words: object) -> list[str]:
    """Return the line with the command that puts the parts together, if this is one part of several.

    `words`: the result, and the parts, whose names a shell finds.
    """
    if shard is None or shard.of == 1:
        return []
    return [
        f"next, with all {shard.of} parts in one place: il-ros episodes merge {' '.join(map(str, words))}"
    ]


def _add_lerobot_export(formats: Any, common: argparse.ArgumentParser) -> None:
    parser = formats.add_parser(
        "lerobot",
        parents=[common],
        help="LeRobotDataset v3.0",
        description="Write episodes as a LeRobotDataset v3.0: each frame is the recorded tick nearest to its time. The "
        "data set appears when it is complete; an interrupted export goes on when it is called again.",
    )
    parser.add_argument("episodes", nargs="*", metavar="EPISODE", help="default: all under --root")
    parser.add_argument("-o", "--out", type=Path, metavar="OUT", required=True, help="folder of the data set")
    options.add_contract(parser)
    _add_shard(parser, "into OUT.shard-I-of-N")
    parser.add_argument("--append", action="store_true", help="add the episodes to the data set OUT")
    parser.add_argument("--fps", type=int, help="frames per second (default: the contract's rate)")
    parser.add_argument(
        "--actions",
        choices=ACTIONS,
        default="sent",
        help="the commands sent at every tick, with the column 'intervention' (default), or only those that are labels",
    )
    parser.add_argument(
        "--holes",
        choices=HOLES,
        default="refuse",
        help="what to do with an episode that has ticks without a frame inside (default: refuse the export)",
    )
    parser.add_argument(
        "--unmarked",
        choices=UNMARKED_AS,
        default="refuse",
        help="what to do with episodes without a verdict beside others with one (default: refuse the export)",
    )
    parser.add_argument(
        "--pictures", choices=PICTURES, default="video", help="default: video; depth is always a video"
    )
    parser.add_argument("--codec", choices=CODECS, default="h264", help="of colour videos (default: h264)")
    parser.add_argument(
        "--quality", type=int, metavar="CRF", help="0 is best (default: 18 for h264, 30 for av1)"
    )
    parser.add_argument(
        "--depth-most", type=float, default=10.0, metavar="M", help="the largest depth, m (default: 10)"
    )
    parser.add_argument("--robot-type", default="", help="default: the contract's name")
    _add_jobs(parser)
    parser.set_defaults(act=_export_lerobot)


def _export_lerobot(args: argparse.Namespace) -> int:
    shard = _shard(args)
    wanted = ExportOptions(
        fps=args.fps,
        actions=args.actions,
        holes=args.holes,
        unmarked=args.unmarked,
        pictures=args.pictures,
        codec=args.codec,
        quality=args.quality,
        depth_most_m=args.depth_most,
        robot_type=args.robot_type,
        jobs=args.jobs,
    )
    report = export_lerobot(
        entries_of(args.episodes, args.root),
        args.out,
        wanted,
        contract=options.given_contract(args),
        append=args.append,
        shard=shard,
        progress=_steps,
    )
    return _said([*report.lines(), *_after_shard(shard, *_parts(args.out, shard))])


def _add_robomimic_export(formats: Any, common: argparse.ArgumentParser) -> None:
    parser = formats.add_parser(
        "robomimic",
        parents=[common],
        help="robomimic's HDF5",
        description="Write the labelled frames of episodes to one robomimic HDF5 file, with the masks train and valid. "
        "Actions are absolute commands in the contract's units. The file appears when it is complete; an interrupted "
        "export goes on when it is called again.",
    )
    parser.add_argument("episodes", nargs="*", metavar="EPISODE", help="default: all under --root")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FILE", required=True, help="a new file, such as push.hdf5"
    )
    options.add_contract(parser)
    parser.add_argument(
        "--validation", type=float, default=0.1, help="share of the frames in the mask 'valid' (default: 0.1)"
    )
    parser.add_argument("--poor", action="store_true", help="also episodes that the recorder graded poor")
    _add_shard(parser, "into the folder FILE.shard-I-of-N")
    _add_jobs(parser)
    parser.set_defaults(act=_export_robomimic)


def _export_robomimic(args: argparse.Namespace) -> int:
    require_share(args.validation)
    shard = _shard(args)
    select, chosen = Selection(poor=args.poor), []
    for entry in entries_of(args.episodes, args.root):
        why = select.poorness(entry) if entry.usable else entry.reason
        if why:
            say(f"left out {entry.name}: {why}")
        else:
            chosen.append(entry)
    if not chosen:
        raise ExchangeError(f"{args.root}: no episode to export")
    own = contract_for(chosen[0], args.contract)
    done = export_robomimic(
        chosen,
        own,
        args.out,
        validation=args.validation,
        shard=shard,
        jobs=args.jobs,
        progress=_steps,
    )
    return _said([*done.lines(), *_after_shard(shard, *_parts(args.out, shard))])


def _add_lerobot_import(formats: Any, common: argparse.ArgumentParser) -> None:
    parser = formats.add_parser(
        "lerobot",
        parents=[common],
        help="LeRobotDataset v3.0",
        description="Read a LeRobotDataset v3.0 as episodes under --root. Their contract is that of --contract, "
        "the one that an export of this package has with it, or one drafted from the features. An interrupted "
        "import goes on when it is called again.",
    )
    options.add_lerobot_data(parser)
    options.add_contract(parser)
    parser.add_argument(
        "--feature",
        action="append",
        default=[],
        metavar="KEY=FEATURE",
        help="the feature of one of the contract's keys, where names do not say it; may be repeated",
    )
    parser.add_argument("--episodes", metavar="NUMBERS", help="such as 0,3,10-19 (default: all)")
    parser.add_argument(
        "--demonstrations",
        action="store_true",
        help="all commands are labels, whatever the feature 'intervention' says",
    )
    parser.add_argument(
        "--lossless",
        action="store_true",
        help="keep the frames of videos to the last bit; by default they become jpegs, a fraction of the size",
    )
    _add_shard(parser, "into a new folder --root")
    _add_jobs(parser)
    parser.set_defaults(act=_import_lerobot)


def _import_lerobot(args: argparse.Namespace) -> int:
    shard = _shard(args)
    atomic.require_folder(args.root)
    report = import_lerobot(
        args.path,
        args.root,
        contract=options.given_contract(args),
        features=dict(_pair("feature", word) for word in args.feature),
        episodes=None if args.episodes is None else _numbers(args.episodes),
        demonstrations=args.demonstrations,
        lossless=args.lossless,
        shard=shard,
        jobs=args.jobs,
        progress=_importing,
    )
    return _imported(report, args.root, shard)


def _add_robomimic_import(formats: Any, common: argparse.ArgumentParser) -> None:
    parser = formats.add_parser(
        "robomimic",
        parents=[common],
        help="robomimic's HDF5",
        description="Read a robomimic HDF5 file as episodes under --root. Their contract is that of --contract, the "
        "one that an export of this package has with it, or one drafted from the shapes. An interrupted import goes "
        "on when it is called again.",
    )
    options.add_robomimic_data(parser)
    options.add_contract(parser)
    parser.add_argument(
        "--observation",
        action="append",
        default=[],
        metavar="KEY=OBS",
        help="the file's observation of one of the contract's keys, where they differ; may be repeated",
    )
    parser.add_argument("--mask", default="", metavar="NAME", help="only the demonstrations of this mask")
    _add_shard(parser, "into a new folder --root")
    parser.set_defaults(act=_import_robomimic)


def _import_robomimic(args: argparse.Namespace) -> int:
    shard = _shard(args)
    atomic.require_folder(args.root)
    report = import_robomimic(
        args.path,
        args.root,
        contract=options.given_contract(args),
        observations=dict(_pair("observation", word) for word in args.observation),
        mask=args.mask,
        rate_hz=args.rate,
        shard=shard,
        progress=_importing,
    )
    return _imported(report, args.root, shard)


def _imported(report: ImportReport, root: Path, shard: Shard | None) -> int:
    after = _after_shard(shard, "EPISODES", root, "...")
    if not after and report.labelled:
        after = [_after_import(root)]
    return _said([*report.lines(), *after])


def _after_import(root: Path) -> str:
    return f"next: {next_steps.after_recording(root)}"


def _steps(step: str, items: Sequence[object]) -> Iterable[object]:
    return with_progress(items, step, "episode")


def _importing(rows: Sequence[Item]) -> Iterable[Item]:
    return with_progress(rows, "importing", "episode")


def _pair(option: str, word: str) -> tuple[str, str]:
    key, found, other = word.partition("=")
    if not (key and found and other):
        raise ExchangeError(
            f"--{option} {word}: must be KEY=NAME, a key of the contract and a name in the data"
        )
    return key, other


def _numbers(text: str) -> list[int]:
    numbers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
        first, last = (0, -1) if found is None else (int(found[1]), int(found[2] or found[1]))
        if not 0 <= last - first < 1_000_000:
            raise ExchangeError(f"--episodes {text}: must be numbers and spans of them, such as 0,3,10-19")
        numbers += range(first, last + 1)
    return numbers
