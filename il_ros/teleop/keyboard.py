"""Converts a terminal's key presses to rates. A terminal reports no key releases, so a press times out."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.tables import percent

UP, DOWN = "\x1b[A", "\x1b[B"
DRIVE_KEYS = {"w": ("linear.x", 1), "s": ("linear.x", -1), "a": ("angular.z", 1), "d": ("angular.z", -1),
              "q": ("linear.y", 1), "e": ("linear.y", -1)}  # fmt: skip
SELECT_KEYS = "1234567890"
FASTEST = 1.0


@dataclass(frozen=True)
class KeyTimes:
    """Time-outs of a key press, in seconds.

    `move_s`: duration of the motion after a press; must exceed the keyboard's delay before it repeats.
    `silent_s`: time after the last key at which the keyboard stops proposing and releases authority.
    """

    move_s: float = 0.4
    silent_s: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.move_s <= self.silent_s:
            raise ValueError(f"0 < move_s <= silent_s is needed, not {self.move_s} and {self.silent_s}")


class Keyboard:
    """Stores the pressed keys; `rates` returns the current motion.

    W/S/A/D/Q/E command a base's twist, several axes at once; digits select a joint and up/down (or K/J) move
    it; space stops, X releases control at once, +/- change the fraction of the top speed, which is the
    contract's limit of each action.
    Under a contract with several action groups, the keyboard drives the groups of the joints and axes whose keys were
    pressed, each until its own time-out; M takes all groups.
    """

    def __init__(self, contract: Contract, times: KeyTimes) -> None:
        self._times = times
        self._names = contract.action_names
        speed = np.concatenate([spec.limits.arrays()[2] for spec in contract.actions])
        upper = np.concatenate([spec.limits.arrays()[1] for spec in contract.actions])
        velocity = np.concatenate([np.full(spec.size, not spec.is_position) for spec in contract.actions])
        self._top = np.where(velocity, np.minimum(speed, upper), speed)
        axes = {name.split("/", 1)[1]: place for place, name in enumerate(self._names) if velocity[place]}
        self._drive = {key: (axes[axis], sign) for key, (axis, sign) in DRIVE_KEYS.items() if axis in axes}
        self._joints = [place for place in range(len(self._names)) if not velocity[place]][: len(SELECT_KEYS)]
        self._selected = 0
        self.share = 0.25
        self._until_s = np.full(len(self._names), -math.inf)
        self._direction = np.zeros(len(self._names))
        self._groups = contract.groups
        self._last_key_s = {group.name: -math.inf for group in contract.groups}
        self._keys = frozenset(
            (
                *self._drive,
                *((UP, DOWN, "k", "j") if self._joints else ()),
                *SELECT_KEYS[: len(self._joints)],
                *("m" if len(self._groups) > 1 else ""),
                *"+-=_ x",
            )
        )

    def has_function(self, key: str) -> bool:
        """Return whether a key (one letter, or an arrow's escape sequence) does something under this contract."""
        return _lower(key) in self._keys

    def press(self, key: str, now_s: float) -> bool:
        """Process a key (one letter, or an arrow's escape sequence); return False when it has no function."""
        if not self.has_function(key):
            return False
        key = _lower(key)
        if key in self._drive:
            self._move(*self._drive[key], now_s)
        elif key in (UP, DOWN, "k", "j"):
            self._move(self._joints[self._selected], 1 if key in (UP, "k") else -1, now_s)
        elif key in SELECT_KEYS:
            self._selected = SELECT_KEYS.index(key)
            self._drives(self._joints[self._selected], now_s)
        elif key == "m":
            self._last_key_s = dict.fromkeys(self._last_key_s, now_s)
        elif key in "+-=_":
            factor = 1.25 if key in "+=" else 0.8
            self.share = min(FASTEST, max(0.01, self.share * factor))
            self._stay(now_s)
        elif key == " ":
            self._until_s[:] = -math.inf
            self._stay(now_s)
        else:  # x
            self._until_s[:] = -math.inf
            self._last_key_s = dict.fromkeys(self._last_key_s, -math.inf)
        return True

    def groups(self, now_s: float) -> tuple[str, ...]:
        """Return the action groups that the keyboard drives."""
        silent_s = self._times.silent_s
        return tuple(name for name, key_s in self._last_key_s.items() if now_s - key_s <= silent_s)

    def rates(self, now_s: float) -> Vector | None:
        """Return the rate of each action (A,) per second; None when the keyboard has released control."""
        if not self.groups(now_s):
            return None
        return np.where(now_s < self._until_s, self._direction * self._top * self.share, 0.0)

    def help(self, *, alone: bool = True) -> str:
        """Return the keys that have a function under this contract, one line per group.

        `alone`: the node has its own terminal; otherwise the session uses some of the keys.
        """
        lines = []
        if self._drive:
            lines.append(
                "  W/S forward, back   A/D turn left, right"
                + ("   Q/E left, right" if "q" in self._drive else "")
            )
        if self._joints:
            chosen = "  ".join(
                f"{SELECT_KEYS[n]} {self._names[place]}" for n, place in enumerate(self._joints)
            )
            lines += textwrap.wrap(
                f"select: {chosen}", 79, initial_indent="  ", subsequent_indent="          "
            )
            lines.append("  up/down (or K/J): move it")
        if len(self._groups) > 1:
            names = ", ".join(group.name for group in self._groups)
            lines += textwrap.wrap(f"M: drive all groups: {names}", 79, initial_indent="  ")
        rest = "X release   space EMERGENCY STOP   C clear it   Ctrl-C quit" if alone else "X release"
        return "\n".join([*lines, f"  + - faster, slower   {rest}"])

    def line(self, now_s: float) -> str:
        """Return a status line of at most 79 characters: motion, selected joint, speed."""
        rates = self.rates(now_s)
        chosen = f"  [{self._names[self._joints[self._selected]]}]" if self._joints else ""
        if rates is None:
            state = "silent: press a key to take over"
        else:
            moving = "  ".join(
                f"{name} {rate:+.2f}/s" for name, rate in zip(self._names, rates, strict=True) if rate
            )
            state = moving or "holding"
            driven = self.groups(now_s)
            if len(driven) < len(self._groups):
                state = f"{'+'.join(driven)}: {state}"
        return f"{state}{chosen}  speed {percent(self.share)}"[:79]

    def _move(self, place: int, direction: int, now_s: float) -> None:
        self._direction[place] = direction
        self._until_s[place] = now_s + self._times.move_s
        self._drives(place, now_s)

    def _drives(self, place: int, now_s: float) -> None:
        """Drive the group of an action from now on."""
        for group in self._groups:
            if place in group.columns:
                self._last_key_s[group.name] = now_s

    def _stay(self, now_s: float) -> None:
        """Stay in the groups that are driven; in all, if there is none."""
        for name in self.groups(now_s) or self._last_key_s:
            self._last_key_s[name] = now_s


def _lower(key: str) -> str:
    return key.lower() if len(key) == 1 else key
