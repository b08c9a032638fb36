"""Scripted experts of simulated tasks: memoryless, smooth, and suitable as demonstrators."""

from __future__ import annotations

from typing import Any

from il_ros.core import plugins
from il_ros.sim.tasks.task import TaskExpert


def make_expert(task_name: str) -> TaskExpert:
    """Return the expert that is registered under a task's name.

    Raises PluginError if there is none or it cannot be used.
    """
    kind = expert_class(task_name)
    try:
        return kind()
    except TypeError as error:
        plugin = plugins.registered(plugins.EXPERTS)[task_name][0]
        raise plugins.PluginError(
            f"expert '{task_name}' of {plugin} is made without arguments: {error}"
        ) from error


def expert_class(task_name: str) -> type[TaskExpert]:
    """Return the class that is registered under a task's name; raises PluginError as `make_expert`."""
    found: type[TaskExpert] = plugins.load(plugins.EXPERTS, task_name, _fault)
    return found


def _fault(loaded: Any) -> str:
    if not isinstance(loaded, type):
        return f"it is {loaded!r}"
    return plugins.attributes_missing(loaded, ("act",))
