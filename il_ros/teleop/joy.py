"""Gamepad: converts axes and buttons to rates, only while the deadman button is held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from il_ros.core.specs import Vector


@dataclass(frozen=True)
class Control:
    """An axis (value -1..1) or a button (0 or 1) that moves an action at `rate` units per second.

    For a velocity action `rate` is the velocity at full deflection.
    """

    action: str
    index: int
    rate: float

    def __post_init__(self) -> None:
        if self.index < 0:
            raise ValueError(f"{self.action}: the index of an axis or button is 0 or more, not {self.index}")
        if not np.isfinite(self.rate):
            raise ValueError(f"{self.action}: rate {self.rate} is not a finite number")


def parse_controls(lines: Sequence[str], actions: Sequence[str], what: str) -> tuple[Control, ...]:
    """Parse controls from lines "ACTION INDEX RATE" such as "base/linear.x 1 0.5"; `what` names the list.

    Raises ValueError naming the line and the expected form.
    """
    controls = []
    for line in lines:
        words = line.split()
        if len(words) != 3:
            raise ValueError(f"{what}: '{line}' must be 'ACTION INDEX RATE', such as '{actions[0]} 1 0.5'")
        action, index, rate = words
        if action not in actions:
            raise ValueError(
                f"{what}: '{action}' is not an action of the contract; it has: {', '.join(actions)}"
            )
        try:
            controls.append(Control(action, int(index), float(rate)))
        except ValueError as error:
            raise ValueError(f"{what}: '{line}': {error}") from error
    return tuple(controls)


def parse_deadmen(lines: Sequence[str], groups: Sequence[str]) -> dict[int, str]:
    """Parse lines "GROUP BUTTON" such as "left 6"; return the group of each button.

    Raises ValueError naming the line and the expected form.
    """
    found: dict[int, str] = {}
    for line in lines:
        group, _, button = line.partition(" ")
        if group not in groups:
            raise ValueError(
                f"deadmen: '{group}' is not a group of the contract; it has: {', '.join(groups)}"
            )
        if not button.strip().isdecimal():
            raise ValueError(f"deadmen: '{line}' must be 'GROUP BUTTON', such as '{groups[0]} 6'")
        if found.setdefault(int(button), group) != group:
            raise ValueError(f"deadmen: button {int(button)} is of group '{found[int(button)]}' already")
    return found


@dataclass(frozen=True)
class JoyMap:
    """Assigns axes and buttons to actions. `actions` (A): the contract's names, in order.

    Deflections below `deadzone` (0..1) count as zero; above it the value rises from zero.
    `deadmen`: the group of a further deadman button, which drives the actions of this group only.
    """

    actions: tuple[str, ...]
    deadman_button: int
    axes: tuple[Control, ...] = ()
    buttons: tuple[Control, ...] = ()
    deadzone: float = 0.05
    deadmen: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.deadman_button in self.deadmen:
            raise ValueError(
                f"deadmen: button {self.deadman_button} is deadman_button, which drives all groups"
            )
        if self.deadman_button < 0:
            raise ValueError(f"deadman_button must be a button's index, 0 or more, not {self.deadman_button}")
        if not 0 <= self.deadzone < 1:
            raise ValueError(f"deadzone must be in 0..1, not {self.deadzone}")
        if not self.axes and not self.buttons:
            raise ValueError("no axis or button is assigned to an action")

    def held(self, buttons: Sequence[int]) -> tuple[str, ...] | None:
        """Return the groups whose deadman button is held; empty: that of all, None: none.

        Raises ValueError when the gamepad has fewer buttons than the map names.
        """
        if _at(buttons, self.deadman_button, "button"):
            return ()
        groups = {group: None for button, group in self.deadmen.items() if _at(buttons, button, "button")}
        return tuple(groups) or None

    def rates(self, axes: Sequence[float], buttons: Sequence[int]) -> Vector | None:
        """Return the rate of each action (A,), or None while no deadman button is held.

        An axis beyond -1..1 counts as 1 or -1, and a button as pressed whatever its number is.
        Raises ValueError when the gamepad has fewer axes or buttons than the map names, or an axis is no number.
        """
        if self.held(buttons) is None:
            return None
        rates = np.zeros(len(self.actions))
        for control in self.axes:
            value = min(1.0, max(-1.0, _finite(_at(axes, control.index, "axis"), control.index)))
            beyond = max(0.0, abs(value) - self.deadzone) / (1.0 - self.deadzone)
            rates[self.actions.index(control.action)] += np.copysign(beyond, value) * control.rate
        for control in self.buttons:
            pressed = bool(_at(buttons, control.index, "button"))
            rates[self.actions.index(control.action)] += pressed * control.rate
        return rates


class StopButtons:
    """The buttons that stop the robot and release the stop, by index; -1: none. Each press counts once.

    Raises ValueError when both are the same button.
    """

    def __init__(self, stop: int, clear: int) -> None:
        if stop == clear >= 0:
            raise ValueError(f"stop_button and clear_button are both button {stop}")
        self._buttons = (stop, clear)
        self._before = (False, False)

    def require_free(self, drive: JoyMap) -> None:
        """Raise ValueError when a button also drives the robot."""
        taken = {control.index: control.action for control in drive.buttons} | {
            drive.deadman_button: "the deadman",
            **{button: f"the deadman of '{group}'" for button, group in drive.deadmen.items()},
        }
        for name, button in zip(("stop_button", "clear_button"), self._buttons, strict=True):
            if button in taken:
                raise ValueError(f"{name}: button {button} is {taken[button]} already; choose another, or -1")

    def pressed(self, buttons: Sequence[int]) -> tuple[bool, bool]:
        """Return whether stop and clear were pressed since the last call; missing buttons count as released."""
        now = tuple(0 <= index < len(buttons) and bool(buttons[index]) for index in self._buttons)
        stop, clear = (after and not before for after, before in zip(now, self._before, strict=True))
        self._before = (now[0], now[1])
        return stop, clear


def _at(values: Sequence[float], index: int, what: str) -> float:
    if index >= len(values):
        raise ValueError(f"the map uses {what} {index}, but this gamepad has {len(values)} (counted from 0)")
    return values[index]


def _finite(value: float, index: int) -> float:
    if not np.isfinite(value):
        raise ValueError(f"axis {index} is {value}; it must be a number from -1 to 1")
    return float(value)
