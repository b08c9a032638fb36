"""Scenarios as launch descriptions: translates `il_ros.scenarios.graph` for ROS 2's launch."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, List  # noqa: UP035 - launch accepts only these

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, LogInfo, OpaqueFunction
from launch.events import Shutdown as ShutdownEvent
from launch.events.process import ProcessExited
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from il_ros.core.processes.executables import SLOW_STOP_S, SLOW_TO_STOP
from il_ros.core.processes.group import INTERRUPTED, MOST_RESPAWNS, RESPAWN_S
from il_ros.core.processes.stopping import LAUNCHER_VARIABLE
from il_ros.core.tables import say
from il_ros.nodes.runtime import preflight, process
from il_ros.scenarios import domain
from il_ros.scenarios.graph import Argument, Program, Scenario, Spec, ros_arguments, terminal_of, warnings_of

_LISTS: dict[type, Any] = {bool: List[bool], int: List[int], float: List[float], str: List[str]}  # noqa: UP006


def describe(scenario: Scenario) -> LaunchDescription:
    """Return the launch description with the scenario's arguments and nodes."""
    process.set_dds_profile()  # every node inherits it
    given: dict[str, str] = {}

    def remember(context: LaunchContext) -> None:
        """Keep what was given: afterwards each argument has a value, its default if need be."""
        given.clear()
        for argument in scenario.arguments:
            if argument.formerly in context.launch_configurations:
                scenario.refuse_former(argument.formerly)
            if argument.name in context.launch_configurations:
                given[argument.name] = context.launch_configurations[argument.name]

    def start(context: LaunchContext) -> list[Action]:
        pushed = context.launch_configurations.get("ros_namespace", "")
        specs = scenario.nodes(given, pushed)
        told = [domain.ONLY_HERE] if domain.keep_local() else []
        preflight.check(specs, pushed, tell=lambda line: say(line, file=sys.stderr, flush=True))
        taken = terminal_of(specs)
        # launch's "log" still shows standard error, which would corrupt the console
        others = {"both": "log"} if sys.stdin.isatty() else "log"
        said = [*told, *(f"warning: {each}" for each in warnings_of(specs))]
        outputs = ["screen" if taken in ("", spec.name) else others for spec in specs]
        nodes = [_node(spec, output, pushed) for spec, output in zip(specs, outputs, strict=True)]
        return [*(LogInfo(msg=each) for each in said), *nodes]

    return LaunchDescription(
        [
            OpaqueFunction(function=remember),
            *map(_argument, scenario.arguments),
            OpaqueFunction(function=start),
        ]
    )


def _argument(argument: Argument) -> DeclareLaunchArgument:
    # launch expects None, not an empty list, for "any value"
    choices = list(argument.allowed) or None
    return DeclareLaunchArgument(
        argument.name, default_value=argument.default, description=argument.description, choices=choices
    )


def _node(spec: Spec, output: str | dict[str, str], pushed: str) -> Node | ExecuteProcess:
    environment = {LAUNCHER_VARIABLE: str(os.getpid())}
    if isinstance(spec, Program):
        return ExecuteProcess(
            cmd=list(spec.words), name=spec.name, output=output, on_exit=_ends_all(spec.name)
        )
    # explicit types: without them launch reads the string "12" as a number
    parameters = {
        name: ParameterValue(
            value, value_type=_LISTS[type(value[0])] if isinstance(value, list) else type(value)
        )
        for name, value in spec.parameters.items()
        if value != []
    }
    options: dict[str, Any] = {}
    if spec.respawn:
        options |= {"respawn": True, "respawn_delay": RESPAWN_S, "respawn_max_retries": MOST_RESPAWNS}
    elif spec.essential:
        options["on_exit"] = _ends_all(spec.name)
    if spec.terminal or spec.executable in SLOW_TO_STOP:
        options["sigterm_timeout"] = str(SLOW_STOP_S)  # launch's default is 5 s
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        namespace=spec.namespace,
        parameters=[*spec.files, parameters],
        remappings=list(spec.remappings),
        output=output,
        additional_env=environment,
        ros_arguments=ros_arguments(spec, pushed) or None,
        **options,
    )


def _ends_all(name: str) -> Callable[[ProcessExited, LaunchContext], Action | None]:
    """Return launch's handler of a process's end: it ends the launch, with exit code 1 after a failure."""

    def ended(event: ProcessExited, context: LaunchContext) -> Action | None:
        if event.returncode not in INTERRUPTED:
            # an exception is launch's only way to an exit code other than 0
            raise RuntimeError(f"{name} ended with exit code {event.returncode}; its output is above")
        if context.is_shutdown:  # a normal Ctrl-C
            return None
        return EmitEvent(event=ShutdownEvent(reason=f"{name} ended"))

    return ended
