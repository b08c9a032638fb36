"""`il-ros plugins`: what installed packages register for il_ros, and what is broken."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from il_ros.core import plugins
from il_ros.core.plugins import Group, PluginError
from il_ros.core.tables import counted, say, table

LOADERS = {
    plugins.FAMILIES: "il_ros.policies.families.registry:family",
    plugins.REWARDS: "il_ros.rewards.registry:reward_family",
    plugins.CODECS: "il_ros.core.codecs:codec_of",
    plugins.TASKS: "il_ros.sim.tasks.task:task_class",
    plugins.EXPERTS: "il_ros.sim.experts:expert_class",
    plugins.DEVICES: "il_ros.nodes.teleop.device_node:device_class",
}
"""The function with which each group's plug-ins are loaded and judged where they are used."""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "plugins",
        help="list families, codecs, tasks, experts and devices, by package",
        description="List what installed packages register for il_ros. Each plug-in is imported and checked, unless "
        "--names is given; the exit status is 1 if one is broken.",
    )
    parser.add_argument("--names", action="store_true", help="import nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per plug-in, then what is wrong with the broken ones; return 1 if there are any."""
    rows, faults = [], []
    for group in plugins.GROUPS:
        for name, found in plugins.registered(group).items():
            fault = "" if args.names else fault_of(group, name)
            faults += [fault] if fault else []
            rows += [
                (group.noun, name, f"{each.package} {each.version}", each.target, "BROKEN" if fault else "")
                for each in found
            ]
    say(table(("kind", "name", "package", "object", ""), rows))
    if faults:
        say("\n" + "\n".join(["broken (nothing else is affected):", *faults]))
    elif not args.names:
        say(f"\n{counted(len(rows), 'plug-in')}, none broken")
    return 1 if faults else 0


def fault_of(group: Group, name: str) -> str:
    """Return what is wrong with a plug-in, "" if it can be used."""
    module, _, function = LOADERS[group].partition(":")
    try:
        getattr(importlib.import_module(module), function)(name)
    except PluginError as error:
        return str(error)
    return ""
