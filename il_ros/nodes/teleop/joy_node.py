"""Executable `teleop_joy`, node `expert`: a gamepad (sensor_msgs/Joy) proposes while the deadman is held.

One button is the emergency stop, another one releases it; both work without the deadman.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from sensor_msgs.msg import Joy

from il_ros.core.specs import Vector
from il_ros.nodes.runtime.parameters import ParameterError, declare
from il_ros.nodes.teleop.consoles import ConsoleLink
from il_ros.nodes.teleop.targets import Teleop
from il_ros.teleop.jog import Jog
from il_ros.teleop.joy import JoyMap, StopButtons, parse_controls, parse_deadmen


class TeleopJoy(Teleop):
    """Releases authority when the deadman is released or `joy` falls silent (gamepad out of range)."""

    def set_up(self) -> None:
        """Read the map of axes and buttons; subscribe to `joy`."""
        names = self.contract.action_names
        line = 'lines "ACTION INDEX RATE": action, axis or button index, units per second at full deflection'
        axes = declare(self, "axes", [], f"axes, {line}", read_only=True)
        buttons = declare(self, "buttons", [], f"buttons, {line}", read_only=True)
        deadman = declare(
            self, "deadman_button", 4, "button to hold while driving", minimum=0, maximum=64, read_only=True
        )
        deadmen = declare(
            self, "deadmen", [], 'lines "GROUP BUTTON": buttons to hold while driving one action group of the '
            "contract; deadman_button drives all", read_only=True,
        )  # fmt: skip
        deadzone = declare(
            self, "deadzone", 0.05, "deflection that counts as none", minimum=0.0, maximum=0.9, read_only=True
        )
        self._timeout_s = declare(
            self,
            "timeout",
            0.5,
            "silence of the gamepad after which it counts as released",
            unit="s",
            minimum=0.01,
            read_only=True,
        )
        stop = declare(
            self,
            "stop_button",
            8,
            "button of the emergency stop; -1: none",
            minimum=-1,
            maximum=64,
            read_only=True,
        )
        clear = declare(
            self, "clear_button", 10, "button that releases the emergency stop; -1: none", minimum=-1, maximum=64,
            read_only=True,
        )  # fmt: skip
        try:
            self._stops = StopButtons(stop, clear)
            self._map = JoyMap(
                names,
                deadman,
                parse_controls(axes, names, "axes"),
                parse_controls(buttons, names, "buttons"),
                deadzone,
                parse_deadmen(deadmen, [group.name for group in self.contract.groups]),
            )
            self._stops.require_free(self._map)
            self._jog = Jog(self.contract)
        except ValueError as error:
            raise ParameterError(str(error)) from error
        self._link = ConsoleLink(self, watched=False)
        self._rates: Vector | None = None
        self._groups: tuple[str, ...] = ()
        self._received_s = -self._timeout_s
        self.create_subscription(Joy, "joy", self._on_joy, 10)

    def target(self, measured: Vector, tick_ns: int) -> Vector | None:
        """Return the jogged target while the deadman button is held."""
        if self._rates is None or time.monotonic() - self._received_s > self._timeout_s:
            self._jog.release()
            return None
        return self._jog.step(self._rates, measured, tick_ns, self._groups)

    def groups(self) -> tuple[str, ...]:
        """Return the groups whose deadman button is held; empty: that of all."""
        return self._groups

    def _on_joy(self, message: Joy) -> None:
        stop, clear = self._stops.pressed(message.buttons)
        if stop:
            self._link.stop()
        elif clear:
            self._link.release()
        held, self._rates = self._groups if self._rates is not None else None, None  # released if this raises
        self._rates = self._map.rates(message.axes, message.buttons)
        groups = self._map.held(message.buttons)
        self._received_s = time.monotonic()
        if groups is None:
            self.release()
        elif groups != held:
            self._groups = groups
            self.take_over()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return TeleopJoy.main(args)


if __name__ == "__main__":
    sys.exit(main())
