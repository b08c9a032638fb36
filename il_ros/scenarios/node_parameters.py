"""The parameters of each executable, with their types, as `config/nodes` lists them.

`test/nodes/runtime/test_shipped_parameters.py` compares those files with what the nodes declare.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from il_ros.core import share, strict_yaml
from il_ros.core.processes.executables import NODES

EVERYWHERE = {"use_sim_time": bool, "start_type_description_service": bool, "realtime_priority": int}
"""Parameters of every node."""
PER_SOURCE = {
    "topic": str,
    "priority": int,
    "timeout_s": float,
    "max_age_s": float,
    "max_observation_age_s": float,
}
"""Parameters of the supervisor for each name in its parameter `sources`, as SOURCE.topic."""
FORMER = {
    "dagger_supervisor": {"dagger.asked": "dagger.queried"},
    "policy_server": {
        f"gate.{name}": f"promotion.{name}"
        for name in ("root", "tolerance", "slack", "latency", "disagreement", "shadow_ticks", "shadow_s")
    },
}
"""Parameters that have another name now, by executable: earlier name -> name. The earlier one is refused."""
DEVICE_NODE = "teleop"
"""Executable for the devices of other packages: it has the device's parameters beside its own."""
FIXED_PREFIXES = ("qos_overrides.",)
"""Beginnings of parameters that rclpy declares."""
_COMMENTED = re.compile(r"^    # (\w+):(.*)$", re.MULTILINE)  # an example: ROS cannot write an empty list

Kind = Any
"""bool, int, float, str, or a list with one of these types."""


@functools.cache
def known(executable: str) -> Mapping[str, Kind]:
    """Return the type of each parameter of `executable` by its dotted name; {} for an unknown executable."""
    if executable not in NODES:
        return {}
    text = share.path("config", "nodes", f"{executable}.yaml").read_text(encoding="utf-8")
    written = flat(strict_yaml.load(text, executable)["/**"]["ros__parameters"])
    found = {name: kind_of(value) for name, value in written.items()}
    for name, example in _COMMENTED.findall(text):
        value = strict_yaml.load(example, executable)
        found.setdefault(name, [str] if value is None else kind_of(value))
    return {**EVERYWHERE, **found}


@functools.cache
def all_names() -> frozenset[str]:
    """Return the names of the parameters of all nodes."""
    return frozenset(name for executable in NODES for name in known(executable))


def former_name(name: str) -> str:
    """Return the earlier name of a parameter, "" if it never had another one."""
    return next((old for names in FORMER.values() for old, now in names.items() if now == name), "")


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested parameters by dotted name."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return found


def kind_of(value: Any) -> Kind:
    """Return the type of a parameter's value; for a list, a list with the type of its first element."""
    if isinstance(value, list):
        return [type(value[0]) if value else str]
    return type(value)


def expected(kind: Kind) -> str:
    """Return the words for a type."""
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return f"a list, of which each is {words[kind[0]]}" if isinstance(kind, list) else words[kind]


def fits(value: Any, kind: Kind) -> bool:
    """Return whether ROS takes `value` for a parameter of this type; a whole number is a number, too."""
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(each, kind[0]) for each in value)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is kind
