"""`il-ros contract`: make contracts."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from il_ros.core.tables import say

_EXAMPLES = """\
examples:
  il-ros contract from-env Pendulum-v1                    print it
  il-ros contract from-env LunarLander-v3 -o lander.yaml  write it, to be edited
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand and its own subcommands."""
    parser = subparsers.add_parser("contract", help="make a contract, such as of a Gymnasium environment")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    made = verbs.add_parser(
        "from-env",
        help="make the contract of a Gymnasium environment from its spaces",
        description="Make the contract of a Gymnasium environment from its observation and action space. Without it, "
        "the other commands make the same one; a file can be edited (keys, names, units, limits).",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("environment", metavar="ID", help="its name, such as Pendulum-v1 or package:Name-v0")
    made.add_argument("-o", "--out", type=Path, metavar="FILE", help="write to FILE (default: print)")
    made.add_argument(
        "--rate",
        type=float,
        metavar="HZ",
        help="steps per second (default: its time step, or its pictures' rate)",
    )
    made.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the contract; return 0, or 2 with the reason on stderr."""
    from il_ros.core import atomic
    from il_ros.envs.tasks import make_environment

    try:
        if args.out is not None and args.out.exists():
            raise ValueError(f"{args.out} exists; choose another file with --out")
        with closing(make_environment(args.environment)) as env:
            from il_ros.envs.from_env import contract_of

            text = contract_of(env, rate_hz=args.rate).text
        if args.out is None:
            say(text.rstrip("\n"))
        else:
            atomic.write_text(args.out, text)
    except (ValueError, OSError) as error:
        say(f"il-ros contract from-env: {error}", file=sys.stderr)
        return 2
    return 0
