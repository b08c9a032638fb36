"""Scenarios as launch descriptions: translates `il_ros.scenarios.graph` for ROS 2's launch."""

from __future__ import annotations

import sys

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from il_ros.core.executables import SLOW_STOP_S, SLOW_TO_STOP
from il_ros.nodes.runtime import process
from il_ros.scenarios.graph import Argument, Program, Scenario, Spec, terminal_of


def describe(scenario: Scenario) -> LaunchDescription:
    """Return the launch description with the scenario's arguments and nodes."""
    process.set_dds_profile()  # every node inherits it

    def start(context: LaunchContext) -> list[Node | ExecuteProcess]:
        names = [argument.name for argument in scenario.arguments]
        names += [
            each.formerly for each in scenario.arguments if each.formerly in context.launch_configurations
        ]
        specs = scenario.nodes({n: LaunchConfiguration(n).perform(context) for n in names})
        taken = terminal_of(specs)
        # launch's "log" still shows standard error, which would corrupt the console
        others = {"both": "log"} if sys.stdin.isatty() else "log"
        return [_node(spec, "screen" if taken in ("", spec.name) else others) for spec in specs]

    return LaunchDescription([*map(_argument, scenario.arguments), OpaqueFunction(function=start)])


def _argument(argument: Argument) -> DeclareLaunchArgument:
    # launch expects None, not an empty list, for "any value"
    choices = list(argument.choices) or None
    return DeclareLaunchArgument(
        argument.name, default_value=argument.default, description=argument.description, choices=choices
    )


def _node(spec: Spec, output: str | dict[str, str]) -> Node | ExecuteProcess:
    if isinstance(spec, Program):
        end = Shutdown(reason=f"{spec.name} ended")
        return ExecuteProcess(cmd=list(spec.words), name=spec.name, output=output, on_exit=end)
    # explicit types: without them launch reads the string "12" as a number
    parameters = {
        name: ParameterValue(value, value_type=type(value)) for name, value in spec.parameters.items()
    }
    end = {"on_exit": Shutdown(reason=f"{spec.name} ended")} if spec.essential else {}
    if spec.terminal or spec.executable in SLOW_TO_STOP:
        end["sigterm_timeout"] = str(SLOW_STOP_S)  # launch's default is 5 s
    return Node(
        package=spec.package,
        executable=spec.executable,
        name=spec.name,
        namespace=spec.namespace,
        parameters=[*spec.files, parameters],
        remappings=list(spec.remappings),
        output=output,
        **end,
    )
