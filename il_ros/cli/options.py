"""Arguments that several subcommands have, each with one name, type, default and explanation.

`naming` spells an error about a plan's field as the option that sets it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from il_ros.core.contract import Contract


@contextmanager
def naming(options: Mapping[str, str]) -> Iterator[None]:
    """Within, an error about a field of a plan names the option instead.

    `options`: the option of a field that is called otherwise. Raises ValueError for PlanError.
    """
    from il_ros.training.trainer.plans import PlanError

    try:
        yield
    except PlanError as error:
        if not error.field:
            raise
        option = options.get(error.field, f"--{error.field.replace('_', '-')}")
        raise ValueError(option + str(error).removeprefix(error.field)) from error


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the folder of the episodes, where a command is about all of them."""
    parser.add_argument("data", type=Path, metavar="EPISODES", help="folder of the recorded episodes")


def add_root(parser: argparse.ArgumentParser) -> None:
    """Add the folder of the episodes, where it has a default."""
    parser.add_argument(
        "--root", type=Path, default=Path("episodes"), help="folder of the episodes (default: ./episodes)"
    )


def add_episode(parser: argparse.ArgumentParser) -> None:
    """Add one episode; `folder_of` in `episodes/choice.py` finds it."""
    parser.add_argument("episode", metavar="EPISODE", help="its folder, or its number under --root")


def add_contract(parser: argparse.ArgumentParser, default: str = "the recorded one") -> None:
    """Add the contract; `default`: which one is used without the option."""
    parser.add_argument(
        "--contract",
        default="",
        metavar="FILE",
        help=f"file, or name in config/contracts (default: {default})",
    )


def given_contract(args: argparse.Namespace) -> Contract | None:
    """Return the contract that the option of `add_contract` names, None without it; raises ContractError."""
    from il_ros.core import contract as contracts

    return contracts.find(args.contract) if args.contract else None


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Add changes of the training recipe."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change the training recipe; may be repeated",
    )


def add_success_return(parser: argparse.ArgumentParser) -> None:
    """Add the return from which on an episode of a Gymnasium environment is a success."""
    parser.add_argument(
        "--success-return",
        type=float,
        metavar="R",
        help="an episode of an environment succeeds with this return (default: the environment's own rule)",
    )


def add_running(parser: argparse.ArgumentParser) -> None:
    """Add how a long computation shows its progress, and at which priority it runs."""
    parser.add_argument(
        "--background", action="store_true", help="run at idle priority (nice 19, SCHED_IDLE)"
    )
    parser.add_argument(
        "--progress",
        choices=("bar", "json"),
        default="bar",
        help="a progress bar, or one JSON object per line",
    )


def add_lerobot_data(parser: argparse.ArgumentParser) -> None:
    """Add the folder of a LeRobot data set."""
    parser.add_argument(
        "path", type=Path, metavar="PATH", help="folder of the data set: it holds meta/info.json"
    )


def add_robomimic_data(parser: argparse.ArgumentParser) -> None:
    """Add a robomimic file, and its rate."""
    parser.add_argument("path", type=Path, metavar="FILE", help="the HDF5 file")
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="frames per second (default: control_freq in the file)"
    )
