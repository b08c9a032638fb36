"""The `il-ros` command. Each subcommand is a file of this folder, imported when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "episodes": ("il_ros.cli.episodes.command", "look at, check, repair and show recorded episodes"),
    "train": ("il_ros.cli.train", "train a policy from episodes"),
    "policy": ("il_ros.cli.policy", "look at trained versions: lineage, state, how they fared"),
    "evaluate": ("il_ros.cli.evaluate", "measure a policy's success in simulation"),
    "demo": ("il_ros.cli.demo", "show, record, train and run one task in simulation"),
    "session": ("il_ros.cli.session", "correct a policy while it runs"),
    "run": ("il_ros.cli.run", "start the nodes of a scenario without ros2 launch"),
}

_EXAMPLES = """\
examples:
  il-ros demo                       the whole loop in simulation
  il-ros episodes list episodes/    what was recorded
  il-ros <command> --help           what a command can do
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand (`argv`: its words, default those typed) and return the exit status.

    0: done. 1: it couldn't be done, and why is on stderr. 2: the words can't be understood. 130: Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parser(words[0] if words else "").parse_args(words)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `il-ros episodes list | head`
        sys.stderr.close()
        return 0


def _parser(chosen: str) -> argparse.ArgumentParser:
    """Return the parser; of the subcommands only `chosen` is imported, so that help comes at once."""
    parser = argparse.ArgumentParser(
        prog="il-ros",
        description="On-robot imitation learning for ROS 2: show, record, train, run, correct.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (module, text) in COMMANDS.items():
        if name == chosen:
            importlib.import_module(module).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=text)
    return parser


if __name__ == "__main__":
    sys.exit(main())
