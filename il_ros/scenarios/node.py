"""Builds one node of a scenario, with its parameters and parameter files. See `il_ros.scenarios`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from il_ros.core import share
from il_ros.scenarios import parameter_file
from il_ros.scenarios.given import Given
from il_ros.scenarios.graph import Arguments, NodeSpec, Value, full_name
from il_ros.scenarios.node_parameters import DEVICE_NODE, known
from il_ros.scenarios.parameter_file import Started

OWN_CLOCK = (("/clock", "clock"),)
"""Remapping of a node beside one of our simulators: its time is that of its namespace, not of another robot."""
MAY_COME_BACK = (
    *("policy_server", "recorder", "trainer"),
    *("scripted_expert", DEVICE_NODE, "teleop_joy", "teleop_leader"),
)
"""Executables that `use_respawn` starts again after a failure. The supervisor never comes back by itself: a
person looks at the robot first. A simulator, a conductor or a console is the run itself."""


def node(
    given: Given,
    executable: str,
    name: str,
    parameters: Mapping[str, Value],
    sim_time: bool | None = None,
    required: Collection[str] = (),
    source: Mapping[str, str] | None = None,
) -> NodeSpec:
    """Return a node with its packaged parameter file, if any, and its values from the user's file.

    `parameters` follow from the scenario's arguments: each from the argument with its name (of `dagger.beta`:
    `beta`), or with the name in `source`. The user's file overrides those whose argument was not given. It does
    not override the `required` ones, without which the scenario does not work.
    Raises ParameterFileError (a ValueError) when the file is wrong.
    """
    shipped = share.path("config") / "nodes" / f"{executable}.yaml"
    values = dict(parameters)
    simulated = "true" in (given.get("sim"), given.get("use_sim_time"))
    values["use_sim_time"] = simulated if sim_time is None else sim_time
    if given.get("autostart") and "autostart" in known(executable):
        values["autostart"] = given["autostart"] == "true"
    if sim_time is not None or given.get("sim") == "true":
        required = {*required, "use_sim_time"}
    if given["namespace"] and not _NAMESPACE.fullmatch(given["namespace"]):
        raise ValueError(
            f"namespace:={given['namespace']} must be names of letters, digits and underscores with / between them, "
            "such as left or fleet/left"
        )
    whole = full_name(name, given["namespace"], _pushed(given))
    kept: dict[str, Value] = {}
    warnings: list[str] = []
    if given.get("params_file"):
        entries = parameter_file.read(given["params_file"])
        warnings += parameter_file.check(entries, [Started(executable, whole)])
        for key, entry in parameter_file.values_for(entries, whole).items():
            if key in required and entry.value != values.get(key, entry.value) and key != "use_sim_time":
                warnings.append(
                    f"{entry.where}: node {whole}: {key} stays {values[key]!r}, as the scenario needs"
                )
            elif key not in values or not (key in required or _was_given(given, key, source or {})):
                kept[key] = entry.value
    return NodeSpec(
        executable,
        name,
        {**values, **kept},
        (str(shipped),) if shipped.is_file() else (),
        OWN_CLOCK if given.get("sim") == "true" and whole != f"/{name}" else (),
        namespace=given["namespace"],
        respawn=given.get("use_respawn") == "true" and executable in MAY_COME_BACK,
        log_level=given.get("log_level", ""),
        warnings=tuple(warnings),
    )


_NAMESPACE = re.compile(r"/|/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")


def _was_given(given: Given, parameter: str, source: Mapping[str, str]) -> bool:
    """Return whether the argument from which `parameter` follows was given."""
    argument = source.get(parameter, parameter.rsplit(".", 1)[-1])
    return not isinstance(given, Arguments) or argument in given.explicit


def _pushed(given: Given) -> str:
    return given.pushed if isinstance(given, Arguments) else ""
