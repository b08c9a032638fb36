"""The user commands of keys and gamepad buttons, distinct from the keys that drive (`teleop.keyboard`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NEXT, RECORD, RUN, TAKE = "next", "record", "run", "take"
SUCCESS, FAILURE, UNDO, LATER = "success", "failure", "undo", "later"
STOP, CLEAR, TRAIN, HELP, END = "stop", "clear", "train", "help", "end"
VIEW, WAIT, TELL = "view", "wait", "tell"

KEYS = {
    "n": (NEXT, "next start: record a new episode, the policy drives"),
    "r": (RECORD, "record, or stop recording"),
    "p": (RUN, "let the policy drive, or rest"),
    "t": (TAKE, "take over, or hand back"),
    "g": (SUCCESS, "success: mark and end the episode"),
    "f": (FAILURE, "failure: mark and end the episode"),
    "u": (UNDO, "discard this episode, or the last one"),
    "l": (LATER, "mark this moment to label it later, in the simulator"),
    "i": (TELL, "the next instruction: what to do, in words"),
    "b": (TRAIN, "start a training now"),
    "v": (VIEW, "camera image on or off"),
    " ": (STOP, "EMERGENCY STOP"),
    "c": (CLEAR, "clear the emergency stop"),
    "?": (HELP, "this help"),
    "y": (WAIT, "end the session when the running training is done"),
    "\x04": (END, "end the session"),
}
"""The user command of each key, and its description."""

_AT_MOMENTS = {
    NEXT: "next moment: time is paused there until you drive",
    RUN: "pause, or resume",
    SUCCESS: "success: mark and end the episode",
    FAILURE: "failure: mark and end the episode",
    UNDO: "discard it; n returns to the same moment",
}
_RECORDING = {
    NEXT: "next take: countdown, then recording; during a countdown: at once",
    RECORD: "record at once, or stop recording without a verdict",
    UNDO: "discard this take, or the last one; cancel a countdown",
}
WITH_POLICY = (RUN, TRAIN, WAIT)
"""User commands that need a policy or a trainer."""
NOT_AT_MOMENTS = (RECORD, TAKE, LATER, TRAIN, WAIT)
"""User commands that are not available while recorded moments are labelled."""

_OF_RECORDER = (NEXT, RECORD, SUCCESS, FAILURE, UNDO, LATER)
_OF_TRAINER = (TRAIN, WAIT)

COMMANDS = tuple(command for command, _ in KEYS.values())
_NAMES = {" ": "space", "\x04": "ctrl-D"}


def command_of(key: str) -> str:
    """Return the user command of a key, "" for other keys, which may drive the robot."""
    return KEYS.get(key.lower() if len(key) == 1 else key, ("", ""))[0]


def no_function(key: str) -> str:
    """Return what to tell a person who pressed a key that neither commands nor drives; arrows are escape sequences."""
    return f"key {_NAMES.get(key, key) if key.isprintable() else repr(key)} has no function: ? lists the keys"


def absent(*, trainer: bool, recorder: bool) -> tuple[str, ...]:
    """Return the user commands whose node does not run."""
    return (*(() if recorder else _OF_RECORDER), *(() if trainer else _OF_TRAINER))


def key_help(
    *,
    at_moments: bool = False,
    by_key: bool = True,
    simulator: bool = True,
    camera: bool = True,
    learns: bool = True,
    trainer: bool = True,
    recorder: bool = True,
    instructions: bool = False,
) -> tuple[str, ...]:
    """Return one help line per key that has an effect.

    `at_moments`: recorded moments are labelled. `by_key`: takeovers are made by key, not by a device.
    `simulator`: moments can be restored later. `camera`: there is an image to show. `learns`: policy and trainer
    run beside; otherwise the session only records. `trainer`, `recorder`: whether there is one. `instructions`: there
    are some to choose from.
    """
    unused = (*(NOT_AT_MOMENTS if at_moments else ()), *(() if by_key else (TAKE,)))
    unused += (*(() if simulator else (LATER,)), *(() if camera else (VIEW,)))
    unused += () if instructions else (TELL,)
    unused += (*(() if learns else WITH_POLICY), *absent(trainer=trainer, recorder=recorder))
    other = _AT_MOMENTS if at_moments else {} if learns else _RECORDING
    return tuple(
        f"{_NAMES.get(key, key):>6}  {other.get(command, text)}"
        for key, (command, text) in KEYS.items()
        if command not in unused
    )


@dataclass(frozen=True)
class Buttons:
    """The user commands of a gamepad's buttons, by index; each press counts once."""

    commands: dict[int, str]

    @classmethod
    def parse(cls, lines: Sequence[str]) -> Buttons:
        """Return the buttons from lines "COMMAND BUTTON" such as "next 0".

        Raises ValueError with the invalid line and the valid form.
        """
        commands: dict[int, str] = {}
        for line in lines:
            words = line.split()
            if len(words) != 2 or words[0] not in COMMANDS or not words[1].isdigit():
                raise ValueError(
                    f"joy_buttons: '{line}' must be 'COMMAND BUTTON', such as 'next 0'; commands: "
                    f"{', '.join(COMMANDS)}"
                )
            if int(words[1]) in commands:
                raise ValueError(f"joy_buttons: '{line}': button {words[1]} is '{commands[int(words[1])]}'")
            commands[int(words[1])] = words[0]
        return cls(commands)

    def help(self) -> str:
        """Return one help line with all buttons, in order."""
        return "gamepad buttons: " + ", ".join(
            f"{at} {command}" for at, command in sorted(self.commands.items())
        )

    def pressed(self, before: Sequence[int], now: Sequence[int]) -> list[str]:
        """Return the commands of the buttons pressed between two states; missing buttons count as released."""

        def down(states: Sequence[int], index: int) -> bool:
            return index < len(states) and bool(states[index])

        return [
            command
            for index, command in self.commands.items()
            if down(now, index) and not down(before, index)
        ]
