"""`il-ros contract`: draft a contract from something that exists, or check one against the running robot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from il_ros.cli import options
from il_ros.cli.contract import live
from il_ros.control.limiter.urdf import DescriptionError
from il_ros.core import atomic
from il_ros.core import contract as contracts
from il_ros.core.contract import ContractError
from il_ros.core.tables import counted, say, worded
from il_ros.envs.tasks import SpaceError, TaskError
from il_ros.episodes.exchange.errors import ExchangeError

_EXAMPLES = """\
examples:
  il-ros contract from-lerobot ~/data/pusht -o pusht.yaml
  il-ros contract from-robomimic lift.hdf5 -o lift.yaml
  il-ros contract from-env Pendulum-v1 -o pendulum.yaml
  il-ros contract from-graph -o my_robot.yaml       the running robot's topics
  il-ros contract check my_robot.yaml               what is wrong before a recording
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand; each source of a contract is a subcommand of it."""
    parser = subparsers.add_parser(
        "contract",
        help="draft a contract, or check one against the running robot",
        description="Draft a contract, with comments, from something that exists, or check one against the running "
        "robot. Read a draft before a robot uses it.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sources = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for add in _SOURCES:
        add(sources)
    live.add_from_graph(sources, add_out)
    live.add_check(sources)
    parser.set_defaults(run=run, act=_draft)


def run(args: argparse.Namespace) -> int:
    """Draft or check a contract; return 1 on failure, with the reason on stderr."""
    try:
        return int(args.act(args))
    except (
        ContractError,
        DescriptionError,
        ExchangeError,
        SpaceError,
        TaskError,
        OSError,
        RuntimeError,
    ) as error:
        say(f"il-ros contract {args.verb}: {worded(error)}", file=sys.stderr)
        return 1


def _draft(args: argparse.Namespace) -> int:
    if args.out is not None and args.out.exists():
        raise ContractError(f"{args.out}: exists already; choose another file with --out")
    if args.out is not None and not args.out.parent.is_dir():
        raise ContractError(f"{args.out}: there is no folder {args.out.parent}")
    text = args.draft(args)
    if args.out is None:
        say(text.rstrip("\n"))
        return 0
    atomic.write_text(args.out, text)
    made = contracts.parse(text, str(args.out))
    seen, numbers = (
        counted(len(made.observations), "observation"),
        counted(made.action_size, "commanded number"),
    )
    say(f"{args.out}: contract '{made.name}', {made.rate_hz:g} Hz, {seen}, {numbers}")
    return 0


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add the option of where the contract goes."""
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write to FILE (default: print)")


def _add_from_lerobot(sources: Any) -> None:
    parser = sources.add_parser(
        "from-lerobot",
        help="from the features of a LeRobot data set",
        description="Draft a contract from the features of a LeRobotDataset v3.0. Limits are what its actions reach: "
        "enter your robot's own.",
    )
    options.add_lerobot_data(parser)
    add_out(parser)
    parser.set_defaults(draft=_from_lerobot)


def _from_lerobot(args: argparse.Namespace) -> str:
    from il_ros.episodes.exchange.lerobot.draft import draft_contract

    return draft_contract(args.path)


def _add_from_robomimic(sources: Any) -> None:
    parser = sources.add_parser(
        "from-robomimic",
        help="from the shapes in a robomimic file",
        description="Draft a contract from the shapes in a robomimic HDF5 file. Limits are what its actions reach: "
        "enter your robot's own.",
    )
    options.add_robomimic_data(parser)
    add_out(parser)
    parser.set_defaults(draft=_from_robomimic)


def _from_robomimic(args: argparse.Namespace) -> str:
    from il_ros.episodes.exchange.hdf5.draft import draft_contract

    return draft_contract(args.path, args.rate)


def _add_from_env(sources: Any) -> None:
    parser = sources.add_parser(
        "from-env",
        help="from the spaces of a Gymnasium environment",
        description="Make the contract of a Gymnasium environment from its observation and action space. Without it, "
        "the other commands make the same one; a file can be edited (keys, names, units, limits).",
    )
    parser.add_argument("environment", metavar="ID", help="its name, such as Pendulum-v1 or package:Name-v0")
    parser.add_argument(
        "--rate",
        type=float,
        metavar="HZ",
        help="steps per second (default: its time step, or its pictures' rate)",
    )
    add_out(parser)
    parser.set_defaults(draft=_from_env)


def _from_env(args: argparse.Namespace) -> str:
    from il_ros.envs.tasks import make_environment

    with closing(make_environment(args.environment)) as env:
        from il_ros.envs.from_env import contract_of

        return contract_of(env, rate_hz=args.rate).text


_SOURCES: tuple[Callable[[Any], None], ...] = (_add_from_lerobot, _add_from_robomimic, _add_from_env)
