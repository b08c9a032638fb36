"""`il-ros run`: the nodes of a scenario as plain processes, where `ros2 launch` is not available."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from il_ros.cli import next_steps
from il_ros.core.processes.executables import SLOW_STOP_S, SLOW_TO_STOP
from il_ros.core.processes.group import ProcessGroup
from il_ros.core.processes.stopping import STOP_SIGNALS, leave_lost_terminal, stop_signals
from il_ros.core.tables import ReaderGoneError, say, worded
from il_ros.scenarios import SCENARIOS, domain
from il_ros.scenarios.checks import CheckError, check_simulators
from il_ros.scenarios.graph import (
    Argument,
    NodeSpec,
    Scenario,
    Spec,
    as_flags,
    command,
    terminal_of,
    warnings_of,
)


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
    given = given_of(args, scenario)
    try:
        specs = scenario.nodes(given)
    except ValueError as error:
        told = as_flags(str(error), scenario.arguments)
        say(f"il-ros run {scenario.name}: {told}", file=sys.stderr)
        return 2
    defaults = {argument.name: argument.default for argument in scenario.arguments}
    records = any(isinstance(spec, NodeSpec) and spec.executable == "recorder" for spec in specs)
    root = Path(given.get("root") or defaults.get("root", ""))
    before = next_steps.names(root) if records else set()
    trained = next_steps.correcting(given, defaults)
    status = run_nodes(specs, args.logs)
    new = next_steps.recorded_since(root, before) if records else []
    next_steps.tell_recorded(new, root, trained())
    if scenario.name == "deploy" and status == 0 and not any(entry.usable for entry in new):
        next_steps.tell(next_steps.after_driving(given, defaults["checkpoint"]))
    return status


def in_order(specs: Sequence[Spec], finished: Callable[[], bool]) -> bool:
    """Return whether files and graph are in order; otherwise say what is wrong, on stderr.

    The graph is looked at for a second, and longer until `finished()`.
    """
    from il_ros.nodes.runtime import preflight  # imports ROS

    try:
        preflight.check(specs, finished=finished, tell=_tell)
    except CheckError as error:
        say(f"not started: {worded(error)}", file=sys.stderr)
        return False
    return True


def _tell(line: str) -> None:
    say(f"{line} ...", file=sys.stderr, flush=True)


def run_nodes(specs: Sequence[Spec], logs: Path) -> int:
    """Run nodes until one ends or a signal; return 0, or 1 after a failure with the reason on stderr.

    The first SIGINT (Ctrl-C), SIGTERM or SIGHUP stops all nodes; later ones change nothing. Stopping by a signal
    is no failure, unless a node then fails or has to be killed.
    A node that uses the terminal handles Ctrl-C itself, and the other nodes print to their logs only. Ctrl-Z
    suspends this process, and the nodes learn of it: the supervisor stops the robot.
    Files and graph are checked while the processes of the nodes import their modules; if they are wrong, no node
    starts, and the logs stay as they are.
    """
    for warning in warnings_of(specs):
        say(f"warning: {warning}", file=sys.stderr)
    if domain.keep_local():
        say(domain.ONLY_HERE, file=sys.stderr)
    terminal = terminal_of(specs) if sys.stdin.isatty() else ""
    numbers = [number for number in STOP_SIGNALS if not (terminal and number == signal.SIGINT)]
    if terminal:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:  # before a process starts: the server of gz-sim does not wait at the gate
        check_simulators(specs)
    except CheckError as error:
        say(f"not started: {worded(error)}", file=sys.stderr)
        return 1
    commands = {spec.name: command(spec) for spec in specs}
    if absent := sorted({words[0] for words in commands.values() if shutil.which(words[0]) is None}):
        named = ", ".join(name for name, words in commands.items() if words[0] in absent)
        say(
            f"not started: {named} needs the command {', '.join(absent)}, which is not on the PATH",
            file=sys.stderr,
        )
        return 1
    if terminal:  # nothing else is printed until the console appears
        say(f"starting {', '.join(commands)}; their output: {logs}", file=sys.stderr)
    own = [spec for spec in specs if isinstance(spec, NodeSpec)]
    patience = {spec.name: float(SLOW_STOP_S) for spec in own if spec.executable in SLOW_TO_STOP}
    back = [spec.name for spec in own if spec.respawn]
    gated = [spec.name for spec in own if spec.package == "il_ros"]
    woken: list[Callable[[], object]] = []
    with stop_signals(lambda: [wake() for wake in woken], numbers) as stopped:
        screen = None if terminal else _Screen()
        show = _log_only if screen is None else screen.show
        with contextlib.ExitStack() as started:
            try:
                group = ProcessGroup(commands, logs, show, terminal, patience, back, gated)
                started.enter_context(group)
                if not in_order(specs, lambda: stopped() or group.at_gate()):
                    return 1
                if stopped():
                    return 0
                group.open_gate()
            except OSError as error:  # a read-only folder, a command that is not installed
                hint = "" if str(logs) not in str(error.filename) else "; choose another folder with --logs"
                say(f"il-ros: the nodes were not started: {worded(error)}{hint}", file=sys.stderr)
                return 1
            woken.append(group.wake)
            signal.signal(signal.SIGTSTP, group.suspend)  # the nodes have their own sessions
            ending = group.wait_unless(stopped)
            failed = group.stop()
    leave_lost_terminal()
    if ending is not None and ending.status != 0:
        failed = (ending, *failed)
    for each in failed:
        say(group.failure(each, lines=0 if screen is not None and not screen.lost else 20), file=sys.stderr)
    return 1 if failed else 0


class _Screen:
    """Prints the nodes' output. When the terminal is gone, the nodes are stopped, and their logs go on."""

    lost = False

    def show(self, name: str, line: str) -> None:
        if self.lost:
            return
        try:
            say(f"[{name}] {line}", flush=True)
        except (ReaderGoneError, OSError):
            self.lost = True
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.close()  # or Python reports the unwritten rest at exit
            signal.raise_signal(signal.SIGTERM)


def _add_scenario(subparsers: Any, scenario: Scenario) -> None:
    parser = subparsers.add_parser(
        scenario.name,
        help=scenario.description,
        description=scenario.description,
    )
    add_arguments(parser, scenario)


def add_arguments(parser: argparse.ArgumentParser, scenario: Scenario) -> None:
    """Add the scenario's arguments and the folder of the logs. Those not given are None: see `given_of`."""
    for argument in scenario.arguments:
        switch: dict[str, Any] = {"nargs": "?", "const": "true"} if argument.is_switch else {}
        default = f" (default: {argument.default})" if argument.default else ""
        parser.add_argument(
            argument.flag,
            **switch,
            choices=argument.allowed or None,
            help=_help(argument, scenario) + default,
        )
        if argument.is_switch:
            without = f"--no-{argument.flag.removeprefix('--')}"
            parser.add_argument(
                without, dest=argument.name, action="store_const", const="false",
                default=argparse.SUPPRESS, help=argparse.SUPPRESS,
            )  # fmt: skip
        if argument.formerly:
            former = "--" + argument.formerly.replace("_", "-")
            parser.add_argument(former, action=_Renamed, const=argument.flag, help=argparse.SUPPRESS)
    parser.add_argument(
        "--logs", type=Path, default=Path("log"), help="folder for each node's output (default: log)"
    )


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


def given_of(args: argparse.Namespace, scenario: Scenario) -> dict[str, str]:
    """Return the scenario's arguments that were given: only those override a parameter file."""
    found = {argument.name: getattr(args, argument.name) for argument in scenario.arguments}
    return {name: value for name, value in found.items() if value is not None}


class _Renamed(argparse.Action):
    """Refuses a flag's earlier name with its new one."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        parser.error(f"{self.option_strings[0]} is called {self.const} now")


def _log_only(name: str, line: str) -> None:
    """Print nothing: the line is in the node's log."""
