"""Executable `teleop_keyboard`, node `expert`: the keys of this terminal propose, also over SSH.

Space is the emergency stop, and suspending, closing or losing the terminal stops the robot, too; `c` releases it.

Two nodes cannot read one terminal: with `keys_topic` the session sends the keys (std_msgs/String).
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Sequence
from typing import Any

from rclpy.clock import Clock, ClockType
from std_msgs.msg import String

from il_ros.core.specs import Vector
from il_ros.nodes.runtime import managed, terminal
from il_ros.nodes.runtime.diagnostics import OK
from il_ros.nodes.runtime.parameters import ParameterError, declare
from il_ros.nodes.teleop.consoles import ConsoleLink
from il_ros.nodes.teleop.targets import Teleop
from il_ros.teleop.jog import Jog
from il_ros.teleop.keyboard import Keyboard, KeyTimes

LOOK_EVERY_S = 0.02
STOP_KEY, CLEAR_KEY = " ", "c"
CLOSED = (
    "the robot is stopped (emergency stop); key c of a console, or "
    "ros2 service call /dagger_supervisor/reset_estop std_srvs/srv/Trigger, releases it"
)


class TeleopKeyboard(Teleop):
    """Proposes from the first key until `silent_after` seconds after the last, then releases authority."""

    def __init__(self, keys: terminal.Terminal | None, **kwargs: Any) -> None:
        self._terminal = keys
        super().__init__(**kwargs)
        topic = declare(
            self, "keys_topic", "", "topic of the keys; empty: read this terminal", read_only=True
        )
        if topic:
            self._terminal = None
            self.create_subscription(String, topic, self._on_key, 10)
        elif keys is None:
            raise ParameterError(f"{terminal.NO_TERMINAL}, or give parameter keys_topic")
        alone = self._terminal is not None
        self._link = ConsoleLink(self, watched=alone, tell=self._say) if alone else None
        self.screen = self._terminal
        if self._terminal is not None and self._link is not None:
            self._terminal.on_suspend = self._link.suspend
        sys.stderr.write(f"{self._keyboard.help(alone=alone)}\n")
        # steady clock: keys arrive in real time, also while /clock is paused
        self.create_timer(LOOK_EVERY_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @classmethod
    def main(cls, args: Sequence[str] | None = None) -> int:
        """Run the node, with the keys of this terminal if there is one; return the exit code."""
        with terminal.keys_or_none() as keys:
            return managed.main(functools.partial(cls, keys), args)

    def set_up(self) -> None:
        """Declare the times; create the keyboard."""
        move_s = declare(
            self,
            "move_for",
            0.4,
            "motion after each key press",
            unit="s",
            minimum=0.05,
            maximum=5.0,
            read_only=True,
        )
        silent_s = declare(
            self, "silent_after", 2.0, "time without a key after which authority is released",
            unit="s", minimum=0.1, read_only=True,
        )  # fmt: skip
        try:
            self._keyboard = Keyboard(self.contract, KeyTimes(move_s, silent_s))
            self._jog = Jog(self.contract)
        except ValueError as error:
            raise ParameterError(str(error)) from error

    def target(self, measured: Vector, tick_ns: int) -> Vector | None:
        """Return the jogged target while keys are pressed."""
        rates = self._keyboard.rates(time.monotonic())
        if rates is None:
            self._jog.release()
            return None
        return self._jog.step(rates, measured, tick_ns, self.groups())

    def groups(self) -> tuple[str, ...]:
        """Return the groups that the keys drive."""
        return self._keyboard.groups(time.monotonic())

    def stop(self) -> None:
        """Stop the robot with the console, and keep the status line on the screen."""
        super().stop()
        if self._link is not None:
            self._link.close(left=False)
            sys.stderr.write(f"\n{CLOSED}\n")

    def _look(self) -> None:
        now_s = time.monotonic()
        silent = self._keyboard.rates(now_s) is None
        for key in self._terminal.pressed() if self._terminal is not None else ():
            self._press(key, now_s)
        self._show(now_s)
        if self._keyboard.rates(now_s) is None:
            self.release()
        elif silent:
            self.take_over()

    def _press(self, key: str, now_s: float) -> None:
        """Process a key of the own terminal; the emergency stop and its release come before driving."""
        assert self._link is not None
        if key == STOP_KEY:
            self._link.stop()
        if key.lower() == CLEAR_KEY:
            self._link.release()
        else:
            self._keyboard.press(key, now_s)

    def _say(self, line: str) -> None:
        if self._terminal is not None:
            self._terminal.say(line)

    def _show(self, now_s: float) -> None:
        if self._terminal is None:
            return
        status = self.status()
        trouble = f"! {status.message}  " if status.level != OK else ""
        self._terminal.show(f"{trouble}{self._keyboard.line(now_s)}"[:79])

    def _on_key(self, message: String) -> None:
        silent = self._keyboard.rates(time.monotonic()) is None
        self._keyboard.press(message.data, time.monotonic())
        if silent and self._keyboard.rates(time.monotonic()) is not None:
            self.take_over()


def main(args: Sequence[str] | None = None) -> int:
    """Run the node in this terminal."""
    return TeleopKeyboard.main(args)


if __name__ == "__main__":
    sys.exit(main())
