"""`il-ros run`: the nodes of a scenario as plain processes, where `ros2 launch` is not available."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from il_ros.core import processes
from il_ros.core.executables import SLOW_STOP_S, SLOW_TO_STOP
from il_ros.core.tables import say
from il_ros.scenarios import SCENARIOS
from il_ros.scenarios.graph import Argument, NodeSpec, Scenario, Spec, as_flags, command, terminal_of


class Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Prints each argument's default, if there is one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default == "" else super()._get_help_string(action)


def add_parser(subparsers: Any) -> None:
    """Add one subcommand for each scenario, with the scenario's own arguments."""
    parser = subparsers.add_parser("run", help="run the nodes of a scenario: " + ", ".join(SCENARIOS))
    scenarios = parser.add_subparsers(dest="scenario", required=True, metavar="scenario")
    for scenario in SCENARIOS.values():
        _add_scenario(scenarios, scenario)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the scenario until its first node ends or Ctrl-C; return 0 when it ended normally."""
    scenario = SCENARIOS[args.scenario]
    given = {argument.name: getattr(args, argument.name) for argument in scenario.arguments}
    try:
        specs = scenario.nodes(given)
    except ValueError as error:
        told = as_flags(str(error), scenario.arguments)
        say(f"il-ros run {scenario.name}: {told}", file=sys.stderr)
        return 2
    return run_nodes(specs, args.logs)


def run_nodes(specs: Sequence[Spec], logs: Path) -> int:
    """Run nodes until one ends or Ctrl-C; return 0, or 1 after a failure with the reason on stderr.

    A node that uses the terminal handles Ctrl-C itself, and the other nodes print to their logs only.
    """
    terminal = terminal_of(specs) if sys.stdin.isatty() else ""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    if terminal:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    show = _log_only if terminal else _show
    commands = {spec.name: command(spec) for spec in specs}
    slow = [spec.name for spec in specs if isinstance(spec, NodeSpec) and spec.executable in SLOW_TO_STOP]
    patience = dict.fromkeys(slow, float(SLOW_STOP_S))
    try:
        group = processes.ProcessGroup(commands, logs, show, terminal, patience)
    except OSError as error:  # a read-only folder, a command that is not installed
        hint = "" if error.filename is None or str(logs) not in str(error.filename) else ", or choose --logs"
        say(f"il-ros: the nodes were not started: {error}{hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    try:
        with group:
            ending = group.wait()
            if ending.status != 0:
                say(group.failure(ending), file=sys.stderr)
                return 1
    except KeyboardInterrupt:
        pass
    return 0


def _add_scenario(subparsers: Any, scenario: Scenario) -> None:
    parser = subparsers.add_parser(
        scenario.name,
        help=scenario.description,
        description=scenario.description,
        formatter_class=Defaults,
    )
    add_arguments(parser, scenario)


def add_arguments(parser: argparse.ArgumentParser, scenario: Scenario) -> None:
    """Add the scenario's arguments and the folder of the logs."""
    for argument in scenario.arguments:
        switch: dict[str, Any] = {"nargs": "?", "const": "true"} if argument.is_switch else {}
        parser.add_argument(
            argument.flag,
            **switch,
            default=argument.default,
            choices=argument.choices or None,
            help=_help(argument, scenario),
        )
        if argument.is_switch:
            without = f"--no-{argument.flag.removeprefix('--')}"
            parser.add_argument(
                without, dest=argument.name, action="store_const", const="false",
                default=argparse.SUPPRESS, help=argparse.SUPPRESS,
            )  # fmt: skip
        if argument.formerly:
            parser.add_argument(
                "--" + argument.formerly.replace("_", "-"),
                type=renamed(argument.flag),
                default=argparse.SUPPRESS,
                help=argparse.SUPPRESS,
            )
    parser.add_argument("--logs", type=Path, default=Path("log"), help="folder for each node's output")


def _help(argument: Argument, scenario: Scenario) -> str:
    text = as_flags(argument.description, scenario.arguments).replace("%", "%%")
    return (
        f"{text}; --no-{argument.flag.removeprefix('--')} is short for false" if argument.is_switch else text
    )


def renamed(now: str) -> Callable[[str], NoReturn]:
    """Return an argument type that refuses an option's earlier name and says its name `now`."""

    def refuse(_text: str) -> NoReturn:
        raise argparse.ArgumentTypeError(f"this option is called {now} now")

    return refuse


def _show(name: str, line: str) -> None:
    say(f"[{name}] {line}", flush=True)


def _log_only(name: str, line: str) -> None:
    """Print nothing: the line is in the node's log."""


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
