"""Options of `il-ros env`."""

from __future__ import annotations

import argparse
from pathlib import Path

from il_ros.cli import options


def add_world(parser: argparse.ArgumentParser, seed: int) -> None:
    """Add the task, its expert, and where the episodes go; `seed`: the default of the first one."""
    parser.add_argument(
        "task", metavar="TASK", help="a simulated task, or a Gymnasium environment such as Pendulum-v1"
    )
    parser.add_argument(
        "--expert",
        default="scripted",
        metavar="WORD",
        help="FILE.py:FUNCTION or module:FUNCTION (observation in, action out, None: gives up), the folder of a "
        "policy, or scripted (default): the simulated task's own",
    )
    options.add_contract(parser, default="the task's")
    options.add_root(parser)
    parser.add_argument("--seed", type=int, default=seed, help=f"first seed (default: {seed})")
    parser.add_argument(
        "--hold",
        type=float,
        default=0.0,
        metavar="S",
        help="seconds for which success must hold before the episode ends (default: 0); with 0.5 a success model "
        "(`il-ros reward train`) sees what success looks like",
    )
    parser.add_argument("--operator", default="", help="name of the demonstrator; recorded in every episode")
    options.add_success_return(parser)


def add_rounds(parser: argparse.ArgumentParser) -> None:
    """Add the mode, the rounds, and how their policies are trained."""
    from il_ros.records.labelling import MODES

    parser.add_argument(
        "--mode",
        default="dagger",
        choices=[mode for mode in MODES if mode != "priority"],
        help="how authority passes between expert and policy (default: dagger); in hg_dagger a simulated person "
        "takes over",
    )
    parser.add_argument("--rounds", type=int, default=10, metavar="N", help="(default: 10)")
    parser.add_argument(
        "--per-round", type=int, default=1, metavar="N", help="episodes of a round (default: 1)"
    )
    parser.add_argument(
        "--beta",
        default="exponential:0.85",
        help="mode dagger: the expert's share by round (default: exponential:0.85)",
    )
    parser.add_argument(
        "--queried", type=float, default=1.0, help="mode dagger: share of ticks with a label (default: 1)"
    )
    parser.add_argument(
        "--per-hour",
        type=int,
        default=360,
        help="mode gated: requests per hour of the task's time (default: 360)",
    )
    parser.add_argument(
        "--recipe", default="", help="file, or name in config/training (default: as il-ros train)"
    )
    options.add_changes(parser)
    parser.add_argument(
        "--steps", type=int, default=2000, metavar="N", help="gradient steps of a round (default: 2000)"
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=Path,
        metavar="CHECKPOINT",
        help="the policy to begin with (default: the newest good version in --out)",
    )
    parser.add_argument(
        "--tests",
        type=int,
        default=0,
        metavar="N",
        help="held-out episodes with which each round's policy is measured (default: 0)",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("checkpoint"),
        help="folder of the versions (default: checkpoint)",
    )
