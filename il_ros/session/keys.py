"""Keys and buttons to wishes. The letters that drive a robot (`teleop.keyboard`) are left to the driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NEXT, RECORD, RUN, TAKE = "next", "record", "run", "take"
SUCCESS, FAILURE, UNDO, LATER = "success", "failure", "undo", "later"
STOP, CLEAR, TRAIN, HELP, END = "stop", "clear", "train", "help", "end"
VIEW = "view"

KEYS = {
    "n": (NEXT, "next start: a fresh episode, recorded, the policy drives"),
    "r": (RECORD, "record, or stop recording"),
    "p": (RUN, "let the policy drive, or rest"),
    "t": (TAKE, "take over, or hand back"),
    "g": (SUCCESS, "good: a success, which ends the episode"),
    "f": (FAILURE, "a failure, which ends the episode"),
    "u": (UNDO, "undo: discard this episode, or the last one"),
    "l": (LATER, "label this moment later, in the simulator"),
    "b": (TRAIN, "begin a training now"),
    "v": (VIEW, "view: the camera's picture, on and off"),
    " ": (STOP, "EMERGENCY STOP"),
    "c": (CLEAR, "clear the emergency stop"),
    "?": (HELP, "this help"),
    "\x04": (END, "end the session"),
}
"""Key -> its wish, and what that means."""

_AT_MOMENTS = {
    NEXT: "next moment: time stands there until you drive",
    RUN: "pause, or go on",
    SUCCESS: "good: that is what to do there",
    FAILURE: "a failure, which ends the episode",
    UNDO: "undo: discard it, and n returns to the same moment",
}
NOT_AT_MOMENTS = (RECORD, TAKE, LATER, TRAIN)
"""Wishes without meaning while a person labels recorded moments."""

WISHES = tuple(command for command, _ in KEYS.values())
_NAMES = {" ": "space", "\x04": "ctrl-D"}


def command_of(key: str) -> str:
    """Return the wish of a key, "" when it has none: then it is the driver's."""
    return KEYS.get(key.lower() if len(key) == 1 else key, ("", ""))[0]


def key_help(*, at_moments: bool = False, by_key: bool = True) -> tuple[str, ...]:
    """Return a line for each key.

    `at_moments`: as they are while recorded moments are labelled. `by_key`: a key takes over, not a device.
    """
    unused = (*(NOT_AT_MOMENTS if at_moments else ()), *(() if by_key else (TAKE,)))
    return tuple(
        f"{_NAMES.get(key, key):>6}  {_AT_MOMENTS.get(command, text) if at_moments else text}"
        for key, (command, text) in KEYS.items()
        if command not in unused
    )


@dataclass(frozen=True)
class Buttons:
    """Which wish each button of a gamepad has; a press counts once, however long it is held."""

    commands: dict[int, str]

    @classmethod
    def parse(cls, lines: Sequence[str]) -> Buttons:
        """Return the buttons in lines "WISH INDEX" such as "next 0".

        Raises ValueError naming the line and what would be right.
        """
        commands: dict[int, str] = {}
        for line in lines:
            words = line.split()
            if len(words) != 2 or words[0] not in WISHES or not words[1].isdigit():
                raise ValueError(
                    f"joy_buttons: '{line}' must be 'WISH BUTTON', such as 'next 0'; wishes: "
                    f"{', '.join(WISHES)}"
                )
            if int(words[1]) in commands:
                raise ValueError(f"joy_buttons: '{line}': button {words[1]} is '{commands[int(words[1])]}'")
            commands[int(words[1])] = words[0]
        return cls(commands)

    def help(self) -> str:
        """Return the line that lists them, in the order of the buttons."""
        return "gamepad's buttons: " + ", ".join(
            f"{at} {command}" for at, command in sorted(self.commands.items())
        )

    def pressed(self, before: Sequence[int], now: Sequence[int]) -> list[str]:
        """Return the wishes of the buttons that went down between two states; missing ones are up."""

        def down(states: Sequence[int], index: int) -> bool:
            return index < len(states) and bool(states[index])

        return [
            command
            for index, command in self.commands.items()
            if down(now, index) and not down(before, index)
        ]
