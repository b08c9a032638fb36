"""Plug-ins: families, rewards, codecs, tasks, experts and devices that packages register by entry points.

A package registers them in its setup.py, as il_ros does (`shipped.py`):

    entry_points={"il_ros.families": ["linear = my_robot.linear:FAMILY"]}

The names of a group are read from the metadata of the installed packages, once and when they are first asked for,
without importing anything. `load` imports one plug-in. One that is broken is an error for those who use it only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from il_ros.core.plugins.shipped import ENTRY_POINTS
from il_ros.core.settings import guess

OWN = "il_ros"
_SOURCE = Path(__file__).resolve().parents[3]
"""The folder that holds the package il_ros: a checkout, or site-packages."""
_FULL_NAME = re.compile(r"\w+(\.\w+)*:\w+(\.\w+)*", re.ASCII)


class PluginError(ValueError):
    """A plug-in cannot be used; the message names package and entry point, and says what would be right."""


class UnknownPluginError(PluginError):
    """No installed package registers this name; the message lists the names that there are."""


@dataclass(frozen=True)
class Group:
    """A group of entry points: its name, what each registers, and what the object must be, in words."""

    name: str
    noun: str
    right: str


FAMILIES = Group(
    "il_ros.families",
    "policy family",
    "a Family (il_ros.policies.families.registry): settings derived from PolicySettings, and their network",
)
REWARDS = Group(
    "il_ros.rewards",
    "reward model",
    "a RewardFamily (il_ros.rewards.registry): settings derived from RewardSettings, and their network",
)
CODECS = Group("il_ros.codecs", "codec", "a Codec (il_ros.core.codecs.base) or a class of codecs")
TASKS = Group("il_ros.tasks", "task", "a class of tasks (il_ros.sim.tasks.task, TaskClass)")
EXPERTS = Group("il_ros.experts", "expert", "a class with a method act (il_ros.sim.tasks.task, TaskExpert)")
DEVICES = Group("il_ros.devices", "device", "a subclass of il_ros.nodes.teleop.targets.Teleop")
GROUPS = (FAMILIES, REWARDS, CODECS, TASKS, EXPERTS, DEVICES)


OTHERS_CODE = (Exception, SystemExit)
"""Whatever code of others may raise; `sys.exit` in it must not end our command without a word."""


def cause_of(error: BaseException) -> str:
    """Return an error of others' code in one phrase: its type, and its text if it has one."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@dataclass(frozen=True)
class Plugin:
    """One entry point: its group, its name, the object's full name ("module:object"), and the package."""

    group: str
    name: str
    target: str
    package: str
    version: str

    def __str__(self) -> str:
        entry = f"{self.name} = {self.target}" if self.target else self.name
        return f"package {self.package} {self.version} (entry point '{entry}' in {self.group})"


def names(group: Group) -> tuple[str, ...]:
    """Return the registered names of a group: those of il_ros first, then the others by name. Imports nothing."""
    return tuple(_registered()[group.name])


def registered(group: Group) -> Mapping[str, tuple[Plugin, ...]]:
    """Return who registers each name of a group; more than one package is an error for the name's users."""
    return _registered()[group.name]


def load(group: Group, name: str, fault: Callable[[Any], str]) -> Any:
    """Return the object registered as `name`, imported now.

    `fault(object)` returns what is wrong with it, "" if it fits the group.
    Raises UnknownPluginError if no package registers the name. Raises PluginError if two do, if the import fails, or
    if the object does not fit.
    """
    found = registered(group).get(name, ())
    if not found:
        raise UnknownPluginError(f"{group.noun} '{name}' is not known; {_hint(group, name)}")
    if len(found) > 1:
        packages = " and ".join(map(str, found))
        raise PluginError(
            f"{group.noun} '{name}' is registered by {packages}; rename it in one of them, or uninstall one"
        )
    plugin = found[0]
    loaded = _imported(plugin, group)
    if wrong := fault(loaded):
        raise PluginError(f"{group.noun} '{name}' of {plugin}: {wrong}; it must be {group.right}")
    return loaded


def attributes_missing(loaded: Any, needed: tuple[str, ...]) -> str:
    """Return the fault of an object that lacks one of the `needed` attributes, "" if it has all."""
    missing = [name for name in needed if not hasattr(loaded, name)]
    return f"{loaded!r} has no {' and no '.join(missing)}" if missing else ""


def _imported(plugin: Plugin, group: Group) -> Any:
    if not _FULL_NAME.fullmatch(plugin.target):
        raise PluginError(f"{group.noun} of {plugin}: an entry point is written 'name = module:object'")
    module_name, _, path = plugin.target.partition(":")
    try:
        found: Any = import_module(module_name)
    except OTHERS_CODE as error:
        raise PluginError(
            f"{group.noun} '{plugin.name}' of {plugin}: importing {module_name} fails: {cause_of(error)}; "
            f"correct or uninstall {plugin.package}"
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            has = [name for name in vars(found) if not name.startswith("_")]
            raise PluginError(
                f"{group.noun} '{plugin.name}' of {plugin}: {found.__name__} has no '{part}'; {guess(part, has)}"
            )
        found = getattr(found, part)
    return found


def _hint(group: Group, name: str) -> str:
    known = names(group)
    if OWN not in {each.package for plugins in registered(FAMILIES).values() for each in plugins}:
        return f"il_ros's own entry points are missing from its installation: install {OWN} again"
    if not known:
        return f"no installed package registers one (entry points in {group.name})"
    return f"{guess(name, known)} (`il-ros plugins` lists who registers what)"


@cache
def _registered() -> Mapping[str, Mapping[str, tuple[Plugin, ...]]]:
    """Return the plug-ins of each group by name, read once per process."""
    found: dict[str, dict[str, tuple[Plugin, ...]]] = {group.name: {} for group in GROUPS}
    for plugin in sorted(_all(), key=lambda each: "" if each.package == OWN else each.name):
        if plugin.group in found:
            there = found[plugin.group]
            there[plugin.name] = (*there.get(plugin.name, ()), plugin)
    return found


def _all() -> Iterator[Plugin]:
    """Yield the plug-ins of all installed packages; of two copies of a package the first on the path counts."""
    from importlib import metadata  # 20 ms

    packages: set[str] = set()
    if (_SOURCE / "setup.py").is_file():  # a checkout is newer than the metadata of its editable installation
        packages.add(OWN)
        for group, targets in ENTRY_POINTS.items():
            yield from (Plugin(group, name, target, OWN, "(checkout)") for name, target in targets.items())
    for distribution in metadata.distributions():
        text = distribution.read_text("entry_points.txt") or ""
        if f"[{OWN}." not in text:
            continue
        package = re.sub(r"[-_.]+", "_", distribution.name).lower()
        if package not in packages:
            packages.add(package)
            yield from _parsed(text, package, distribution.version)


def _parsed(text: str, package: str, version: str) -> Iterator[Plugin]:
    """Yield the plug-ins in the text of an entry_points.txt."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[]").strip()
        elif line and line[0] not in "#;" and group.startswith(f"{OWN}."):
            name, _, target = line.partition("=")
            yield Plugin(group, name.strip(), target.partition("[")[0].strip(), package, version)
