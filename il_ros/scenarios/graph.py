"""Node specifications, and scenarios that build them from arguments.

A scenario converts its arguments (strings) to node specifications and starts nothing:
`il_ros.core.processes.group` runs the specifications as plain processes, `il_ros.nodes.runtime.launching` converts
them for ROS 2's launch. The scenarios are in `il_ros.scenarios`.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from il_ros.core import plugins
from il_ros.core.plugins import Group

Value: TypeAlias = bool | int | float | str | list[bool] | list[int] | list[float] | list[str]


SWITCH = ("true", "false")


@dataclass(frozen=True)
class Argument:
    """One argument of a scenario, printed by `--show-args` and `--help`.

    Texts spell arguments as launch does (`sim:=false`); `as_flags` respells them for the command line.
    `formerly`: its earlier name, which is refused. `group`: its registered names are further choices, but for `unfit`;
    they are read when they are needed.
    """

    name: str
    description: str
    default: str
    choices: tuple[str, ...] = ()
    formerly: str = ""
    group: Group | None = None
    unfit: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.choices and self.group is None and self.default not in self.choices:
            raise ValueError(f"argument {self.name}: default {self.default!r} is not one of {self.choices}")

    @property
    def allowed(self) -> tuple[str, ...]:
        """The values that it may have; () if any."""
        if self.group is None:
            return self.choices
        found = [name for name in plugins.names(self.group) if name not in self.unfit]
        return tuple(dict.fromkeys((*found, *self.choices)))

    @property
    def is_switch(self) -> bool:
        """Whether the values are true and false."""
        return self.choices == SWITCH

    @property
    def flag(self) -> str:
        """Its spelling on the command line."""
        return f"--{self.name.replace('_', '-')}"

    def check(self, value: str) -> str:
        """Return `value`; raises ValueError when it is not one of the choices."""
        if self.allowed and value not in self.allowed:
            raise ValueError(f"{self.name}:={value} is unknown; one of: {', '.join(self.allowed)}")
        return value


@dataclass(frozen=True)
class NodeSpec:
    """One process with one node of this package, or of the installed package `package`.

    `files`: parameter files for all nodes (`/**`), overridden by `parameters`. `warnings`: about the user's
    parameter file. `log_level`: of ROS 2's logging, "": its default. The scenario ends when an `essential` node ends.
    `terminal`: the node has exclusive use of the terminal. `respawn`: the node is started again after a failure.
    """

    executable: str
    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    remappings: tuple[tuple[str, str], ...] = ()
    namespace: str = ""
    essential: bool = True
    package: str = "il_ros"
    terminal: bool = False
    respawn: bool = False
    log_level: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what, value in (("executable", self.executable), ("name", self.name)):
            if not value.isidentifier():
                raise ValueError(
                    f"a node's {what} must consist of letters, digits and underscores, not {value!r}"
                )
        if self.namespace.endswith("/") and self.namespace != "/":
            raise ValueError(f"node {self.name}: namespace {self.namespace!r} must not end in '/'")


@dataclass(frozen=True)
class Program:
    """One process that is not a ROS node: name and command line. The scenario ends when it ends."""

    name: str
    words: tuple[str, ...]


Spec: TypeAlias = NodeSpec | Program


def terminal_of(specs: Sequence[Spec]) -> str:
    """Return the name of the node that uses the terminal, "" when there is none."""
    return next((spec.name for spec in specs if isinstance(spec, NodeSpec) and spec.terminal), "")


@dataclass(frozen=True)
class Scenario:
    """A set of nodes for one purpose, built from arguments."""

    name: str
    description: str
    arguments: tuple[Argument, ...]
    build: Callable[[Mapping[str, str]], tuple[Spec, ...]]

    def nodes(self, given: Mapping[str, str], pushed: str = "") -> tuple[Spec, ...]:
        """Return the nodes and programs for the `given` arguments; the others have their defaults.

        `pushed`: the namespace that a surrounding launch file gives. Raises ValueError for an unknown or former
        argument or an invalid value, naming the valid ones.
        """
        known = {argument.name: argument for argument in self.arguments}
        for name in given:
            self.refuse_former(name)
            if name not in known:
                raise ValueError(f"{self.name} has no argument {name!r}; it has: {', '.join(known)}")
        values = {name: known[name].check(given.get(name, known[name].default)) for name in known}
        return self.build(Arguments(values, frozenset(given), pushed))

    def refuse_former(self, name: str) -> None:
        """Raise ValueError with the new name if `name` is the earlier name of an argument."""
        for argument in self.arguments:
            if name and name == argument.formerly and name not in {each.name for each in self.arguments}:
                raise ValueError(f"{name}:= is called {argument.name}:= now")


class Arguments(dict[str, str]):
    """All arguments of a scenario; `explicit`: those that were given, which override a parameter file.

    `pushed`: the namespace that a surrounding launch file gives.
    """

    def __init__(self, values: Mapping[str, str], explicit: frozenset[str], pushed: str = "") -> None:
        super().__init__(values)
        self.explicit, self.pushed = explicit, pushed


def warnings_of(specs: Sequence[Spec]) -> tuple[str, ...]:
    """Return the warnings about the parameter file, each once."""
    return tuple(
        dict.fromkeys(each for spec in specs if isinstance(spec, NodeSpec) for each in spec.warnings)
    )


def secured() -> bool:
    """Return whether SROS2 is switched on."""
    return os.environ.get("ROS_SECURITY_ENABLE", "").lower() == "true"  # as rcl reads it


def ros_arguments(spec: NodeSpec, pushed: str = "") -> list[str]:
    """Return a node's log level and, with SROS2 switched on, its enclave: its name with its namespace."""
    words = ["--log-level", spec.log_level] if spec.log_level else []
    if secured():
        words += ["--enclave", full_name(spec.name, spec.namespace, pushed)]
    return words


def full_name(name: str, namespace: str, pushed: str = "") -> str:
    """Return a name in a node's namespace, which `pushed` contains unless it is absolute: /left/recorder."""
    outer = "" if namespace.startswith("/") else pushed
    return "/" + "/".join(part.strip("/") for part in (outer, namespace, name) if part.strip("/"))


def as_flags(text: str, arguments: Sequence[Argument]) -> str:
    """Return a text about `arguments`, spelt as launch does, as the command line spells them."""
    named = {argument.name: argument for argument in arguments}

    def flag(found: re.Match[str]) -> str:
        argument, value = named[found["name"]], found["value"]
        if argument.is_switch and value in SWITCH:
            return argument.flag if value == "true" else f"--no-{argument.flag.removeprefix('--')}"
        return f"{argument.flag} {value}" if value else argument.flag

    names = "|".join(sorted(named, key=len, reverse=True))
    return re.sub(rf"\b(?P<name>{names}):=(?P<value>[^\s,;:()]*)", flag, text)


def command(spec: Spec) -> list[str]:
    """Return the command line of a program or a node; nodes of this package run in this interpreter."""
    if isinstance(spec, Program):
        return list(spec.words)
    if spec.package == "il_ros":
        words = [sys.executable, "-m", "il_ros.nodes.start", spec.executable]
    else:
        words = ["ros2", "run", spec.package, spec.executable]
    words += ["--ros-args", "-r", f"__node:={spec.name}"]
    if spec.namespace:
        words += ["-r", f"__ns:=/{spec.namespace.lstrip('/')}"]
    for old, new in spec.remappings:
        words += ["-r", f"{old}:={new}"]
    for file in spec.files:
        words += ["--params-file", file]
    words += ros_arguments(spec)
    for name, value in spec.parameters.items():
        text = json.dumps(value)  # a subset of YAML without ambiguous scalars, but for infinity
        words += ["-p", f"{name}:={text.replace('Infinity', '.inf')}"]
    return words
