"""`il-ros completion`: tab completion of commands, options and their values, by argcomplete."""

from __future__ import annotations

import argparse
from typing import Any

from il_ros.core.tables import say

SHELLS = ("bash", "zsh", "fish")

_DESCRIPTION = """\
Print the script that completes il-ros with the tab key. To have it in every new terminal:
  bash:  echo 'eval "$(il-ros completion bash)"' >> ~/.bashrc
  zsh:   echo 'autoload -U compinit && compinit && eval "$(il-ros completion zsh)"' >> ~/.zshrc
  fish:  il-ros completion fish > ~/.config/fish/completions/il-ros.fish
"""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "completion",
        help="print the script for tab completion in your shell",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", nargs="?", choices=SHELLS, default="bash", help="your shell (default: bash)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from argcomplete.shell_integration import shellcode

    say(shellcode(["il-ros"], shell=args.shell))
    return 0
