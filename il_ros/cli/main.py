"""The `il-ros` command. Each subcommand is a module of this folder, imported when it is used."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import re
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from il_ros.core.tables import ReaderGoneError, say, shown, worded

COMMANDS = {
    "episodes": ("il_ros.cli.episodes.command", "inspect, check, repair and plot recorded episodes"),
    "contract": ("il_ros.cli.contract.command", "draft a contract, or check one against the running robot"),
    "train": ("il_ros.cli.train.command", "train a policy from episodes"),
    "reward": ("il_ros.cli.reward.command", "train reward models, and rate episodes with them"),
    "policy": ("il_ros.cli.policy.command", "trained versions: list, roll back, pardon, export"),
    "evaluate": ("il_ros.cli.evaluation.command", "measure policies' success in simulation"),
    "compare": (
        "il_ros.cli.evaluation.compare",
        "say which of several policies is better, from paired trials",
    ),
    "suggest": ("il_ros.cli.suggest", "say which starts, moments and episodes to show next"),
    "serve": ("il_ros.cli.serve", "offer a policy to other processes and machines"),
    "demo": ("il_ros.cli.demo", "demonstrate, record, train and run one task in simulation"),
    "record": ("il_ros.cli.record", "record demonstrations by keys, in simulation or on a robot"),
    "home": ("il_ros.cli.on_robot:add_home", "lead the robot to its home position, through the limiter"),
    "replay": ("il_ros.cli.on_robot:add_replay", "play an episode's commands again on the robot"),
    "session": ("il_ros.cli.session", "correct a policy while it runs"),
    "run": ("il_ros.cli.run", "start the nodes of a scenario without ros2 launch"),
    "env": ("il_ros.cli.environment.command", "record and correct in one process, Gymnasium too"),
    "migrate": (
        "il_ros.cli.migrate.command",
        "bring settings files of earlier versions up to date",
    ),
    "plugins": ("il_ros.cli.plugins", "list families, codecs, tasks, experts and devices, by package"),
    "completion": ("il_ros.cli.completion", "print the script for tab completion in your shell"),
}

COMPLETING = "_ARGCOMPLETE"
"""Set by the shell while it completes words (`il-ros completion`)."""

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NAMES: dict[type[Warning], str] = {UserWarning: "warning", RuntimeWarning: "warning"}
_EXAMPLES = """\
examples:
  il-ros demo                       the whole loop in simulation
  il-ros episodes list episodes/    the recorded episodes
  il-ros <command> --help           options of a command
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand (`argv`; default: the command line) and return the exit status.

    0: success. 1: failure, with the reason on stderr. 2: invalid arguments. 130: Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # also into a pipe or a log, where it shows the progress
    warnings.formatwarning = _warning
    try:
        if COMPLETING in os.environ:
            return _complete()
        parser = _parser(words[0] if words else "")
        if not words:
            parser.print_help()
            return 0
        args = parser.parse_args(words)
        return int(args.run(args))
    except KeyboardInterrupt:
        say("interrupted", file=sys.stderr)
        return 130
    except (ReaderGoneError, BrokenPipeError):  # `il-ros episodes list | head`
        sys.stderr.close()
        return 0
    except OSError as error:  # such as a full disk behind the standard output
        say(f"il-ros: {worded(error)}", file=sys.stderr)
        return 1


def _complete() -> int:
    """Answer the shell's request for the possible next words; argcomplete ends the process."""
    import argcomplete

    typed = os.environ.get("COMP_LINE", "").split()
    argcomplete.autocomplete(_parser(typed[1] if len(typed) > 1 else ""))
    return 0


def _warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> str:
    """Return a warning as a sentence for a person, without the place in the code and without colours."""
    return f"{_NAMES.get(category, category.__name__)}: {shown(_COLOURS.sub('', str(message)))}\n"


class _Parser(argparse.ArgumentParser):
    """Reports unknown words itself, with its own usage; argparse leaves them to the outermost parser.

    An empty file name, such as that of an unset variable of the shell, is refused: to Python it is this folder.
    """

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        if action.type is Path and not arg_string:
            raise argparse.ArgumentError(action, "the name of a file or folder is empty")
        return super()._get_value(action, arg_string)  # type: ignore[misc]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Return the namespace and no unknown words; exit with status 2 if there are any."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def _parser(chosen: str) -> argparse.ArgumentParser:
    """Return the parser; it imports only the subcommand `chosen`, so that help is fast."""
    parser = _Parser(
        prog="il-ros",
        description="On-robot imitation learning for ROS 2: demonstrate, record, train, run, correct.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"il_ros {version('il_ros')}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (module, text) in COMMANDS.items():
        if name == chosen:
            place, _, function = module.partition(":")
            getattr(importlib.import_module(place), function or "add_parser")(subparsers)
        else:
            subparsers.add_parser(name, help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
