"""Executable `teleop`, node `expert`: the device of parameter `device`, which a package registers in il_ros.devices.

The devices of il_ros have executables of their own: teleop_joy, teleop_keyboard, teleop_leader.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from il_ros.core import plugins
from il_ros.core.tables import say
from il_ros.nodes.start import given_parameter
from il_ros.nodes.teleop.targets import Teleop


def device_class(name: str) -> type[Teleop]:
    """Return the node class of a device; raises PluginError if it is not registered or cannot be used."""
    found: type[Teleop] = plugins.load(plugins.DEVICES, name, _fault)
    return found


def main(args: Sequence[str] | None = None) -> int:
    """Run the node of the device that the parameter names; the name is needed before the node exists."""
    name = given_parameter("teleop", sys.argv[1:] if args is None else args, "device")
    try:
        kind = device_class(name)
    except plugins.PluginError as error:
        say(f"teleop cannot start: parameter device: {error}", file=sys.stderr)
        return 1
    return kind.main(args)


def _fault(loaded: Any) -> str:
    return "" if isinstance(loaded, type) and issubclass(loaded, Teleop) else f"it is {loaded!r}"


if __name__ == "__main__":
    sys.exit(main())
