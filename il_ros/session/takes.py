"""Takes of a demonstration: a countdown before each, and a phase to reset the scene after it.

Pure: the steady clock is an argument. The session's node passes the operator's commands and the time, and runs
the command that `step` returns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum, auto

from il_ros.session import keys


class TakePhase(Enum):
    """What happens between and before the takes."""

    IDLE = auto()
    COUNTDOWN = auto()
    RECORDING = auto()
    RESET = auto()


@dataclass(frozen=True)
class TakeOptions:
    """Times in s, a number of takes, and whether the terminal's bell rings.

    `countdown_s`: before a take; 0: none. `reset_s`: after a take, then the next countdown begins by itself; 0: the
    operator begins it. `takes`: the session ends after so many; 0: never by itself.
    Raises ValueError on a negative number.
    """

    countdown_s: float = 0.0
    reset_s: float = 0.0
    takes: int = 0
    beeps: bool = True

    def __post_init__(self) -> None:
        for name in ("countdown_s", "reset_s", "takes"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")


@dataclass(frozen=True)
class Takes:
    """`until_s`: the end of the phase, inf without one. `done`: takes that were kept; `kept`: the last one's name."""

    phase: TakePhase = TakePhase.IDLE
    until_s: float = math.inf
    counted: int = 0
    done: int = 0
    kept: str = ""


@dataclass(frozen=True)
class TakeStep:
    """`takes` afterwards, lines to show, how often the bell rings, and the user command to run ("": none)."""

    takes: Takes
    lines: tuple[str, ...] = ()
    bells: int = 0
    command: str = ""


def on_command(takes: Takes, command: str, options: TakeOptions, now_s: float) -> TakeStep | None:
    """Return what an operator's command means for the takes; None: it has its usual effect at once.

    `next` begins the countdown, again: the take at once. In a countdown, discard, stop or a verdict cancels it.
    """
    if command == keys.NEXT and options.countdown_s > 0 and takes.phase in (TakePhase.IDLE, TakePhase.RESET):
        return TakeStep(
            replace(takes, phase=TakePhase.COUNTDOWN, until_s=now_s + options.countdown_s, counted=0)
        )
    if takes.phase is not TakePhase.COUNTDOWN:
        return None
    if command == keys.NEXT:
        return TakeStep(replace(takes, until_s=now_s))
    cancels = (keys.UNDO, keys.RECORD, keys.SUCCESS, keys.FAILURE, keys.STOP, keys.END)
    if command not in cancels:
        return None
    cancelled = replace(takes, phase=TakePhase.IDLE, until_s=math.inf)
    passes = command if command in (keys.STOP, keys.END) else ""
    return TakeStep(cancelled, ("the countdown is cancelled",), command=passes)


def step(
    takes: Takes, recording: str, last: str, discarded: str, options: TakeOptions, now_s: float
) -> TakeStep:
    """Return the takes at the time `now_s` of the steady clock.

    Names of episodes, "" for none: `recording`, `last` (ended), and the last `discarded` one, which does not count.
    """
    if takes.kept and takes.kept == discarded:
        takes = replace(takes, done=takes.done - 1, kept="")
    if takes.phase is TakePhase.COUNTDOWN and not recording:
        return _counted(takes, options, now_s)
    if recording and takes.phase is not TakePhase.RECORDING:
        bells = 2 if options.beeps and options.countdown_s > 0 else 0
        return TakeStep(replace(takes, phase=TakePhase.RECORDING, until_s=math.inf), bells=bells)
    if takes.phase is TakePhase.RECORDING and not recording:
        return _ended(takes, "" if last == discarded else last, options, now_s)
    if takes.phase is TakePhase.RESET and now_s >= takes.until_s:
        return TakeStep(
            replace(
                takes, phase=TakePhase.COUNTDOWN, until_s=now_s + max(options.countdown_s, 0.01), counted=0
            )
        )
    return TakeStep(takes)


def words(takes: Takes, options: TakeOptions, now_s: float) -> str:
    """Return the phase for the status line, "" if there is nothing to say."""
    left_s = max(0, math.ceil(takes.until_s - now_s)) if math.isfinite(takes.until_s) else 0
    if takes.phase is TakePhase.COUNTDOWN:
        return f"recording starts in {left_s} s (u cancels)"
    if takes.phase is TakePhase.RESET:
        count = f"{takes.done} of {options.takes} takes" if options.takes else f"take {takes.done}"
        when = f"next in {left_s} s (n: now)" if left_s else "n starts the next"
        return f"{count}; reset the scene: {when}"
    return ""


def _counted(takes: Takes, options: TakeOptions, now_s: float) -> TakeStep:
    """Return the countdown at a time: one bell for each second that begins, at the end the command to record."""
    if now_s >= takes.until_s:
        return TakeStep(replace(takes, phase=TakePhase.IDLE, until_s=math.inf), command=keys.NEXT)
    begun = math.floor(options.countdown_s - (takes.until_s - now_s)) + 1
    bells = 1 if options.beeps and begun > takes.counted else 0
    return TakeStep(replace(takes, counted=max(begun, takes.counted)), bells=bells)


def _ended(takes: Takes, kept: str, options: TakeOptions, now_s: float) -> TakeStep:
    takes = replace(takes, done=takes.done + bool(kept), kept=kept)
    done = takes.done
    bells = 1 if options.beeps and options.countdown_s > 0 else 0
    if options.takes and done >= options.takes:
        over = replace(takes, phase=TakePhase.IDLE, until_s=math.inf)
        return TakeStep(over, (f"all {options.takes} takes are recorded",), bells, keys.END)
    until_s = now_s + options.reset_s if options.reset_s > 0 else math.inf
    return TakeStep(replace(takes, phase=TakePhase.RESET, until_s=until_s), bells=bells)
