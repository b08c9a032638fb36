"""The emergency stop: it latches on any input and is cleared only by an explicit reset."""

from __future__ import annotations

import threading
from enum import Enum

from il_ros.core.messages import MessageError

MOST_CONSOLES = 16
LONGEST_NAME = 64


class ConsoleState(Enum):
    """What a console says: it runs, a person stops the robot, it is suspended or closed, or a person left it."""

    HERE = "here"
    STOP = "stop"
    SUSPENDED = "suspended"
    CLOSED = "closed"
    LEFT = "left"


def console_text(name: str, state: ConsoleState) -> str:
    """Return the message of a console on the supervisor's `~/console`."""
    return f"{name} {state.value}"


def read_console(text: str) -> tuple[str, ConsoleState]:
    """Return the name and the state in a console's message; raises MessageError on any other text."""
    name, _, word = text.rpartition(" ")
    try:
        state = ConsoleState(word)
    except ValueError:
        states = ", ".join(each.value for each in ConsoleState)
        raise MessageError(
            f"not a console's message, 'NAME STATE' with one of {states}: {text[:80]!r}"
        ) from None
    if not 0 < len(name) <= LONGEST_NAME:
        raise MessageError(f"a console's name has 1 to {LONGEST_NAME} characters, not {len(name)}")
    return name, state


class EmergencyStop:
    """Named inputs, each pressed or not, consoles, and the latch.

    `timeout_s` > 0 makes the input named `heartbeat` a heartbeat: a silence of more than `timeout_s`, or no
    message since the start, counts as pressed. `console_timeout_s` > 0: a console that was here and is silent
    for longer is lost. A console that is suspended, closed or lost closes the latch; one that was left does not.
    Times are steady nanoseconds. Inputs may come from another thread.
    """

    def __init__(self, timeout_s: float = 0.0, heartbeat: str = "topic", console_timeout_s: float = 0.0):
        self._timeout_ns, self._heartbeat = int(timeout_s * 1e9), heartbeat
        self._console_timeout_ns = int(console_timeout_s * 1e9)
        self._pressed: dict[str, bool] = {}
        self._heartbeat_ns: int | None = None
        self._consoles: dict[str, int] = {}
        self._lock = threading.Lock()
        self.latched = ""
        """The reason of the stop, "" when the latch is open."""
        self.gentle = False
        """Whether the actions' own safe behaviour is applied, not that of an emergency stop."""
        self.last = (0, "")
        """How often the latch has closed, and the reason of the last time, which a reset does not change."""

    def update(self, name: str, pressed: bool, steady_ns: int) -> bool:
        """Set the state of an input; return True when this closed the latch."""
        with self._lock:
            self._pressed[name] = pressed
            if name == self._heartbeat:
                self._heartbeat_ns = steady_ns
            return self._latch(f"emergency stop pressed ({name})") if pressed else False

    def console(self, name: str, state: ConsoleState, steady_ns: int) -> bool:
        """Process the state of a console; return True when this closed the latch.

        Raises MessageError when there are MOST_CONSOLES others, so that this one cannot be watched.
        """
        with self._lock:
            if state is ConsoleState.HERE:
                if name not in self._consoles and len(self._consoles) >= MOST_CONSOLES:
                    raise MessageError(f"there are {MOST_CONSOLES} consoles already; '{name}' is not watched")
                self._consoles[name] = steady_ns
                return False
            if state is ConsoleState.STOP:
                return self._latch(f"emergency stop pressed ({name})")
            self._consoles.pop(name, None)
            return state is not ConsoleState.LEFT and self._latch(
                f"emergency stop: console {name} {state.value}"
            )

    def trip(self, reason: str, *, gently: bool = False) -> bool:
        """Latch for a reason found by the supervisor; return True when this closed the latch.

        `gently`: the actions' own safe behaviour is applied, not that of an emergency stop.
        """
        with self._lock:
            return not self.latched and self._close(reason, gently=gently)

    def check(self, steady_ns: int) -> bool:
        """Check the heartbeat and the consoles; return True when a silence closed the latch."""
        with self._lock:
            reasons = [self._silent(steady_ns)]
            lost = [name for name, at_ns in self._consoles.items() if self._is_lost(steady_ns - at_ns)]
            for name in lost:
                silent_s = (steady_ns - self._consoles.pop(name)) / 1e9
                reasons.append(f"console {name} lost, silent for {silent_s:.2f} s")
            reasons = [reason for reason in reasons if reason]
            return self._latch(f"emergency stop: {'; '.join(reasons)}") if reasons else False

    def reset(self, steady_ns: int) -> str:
        """Open the latch; return the reason of a refusal, "" on success."""
        with self._lock:
            held = [name for name, pressed in self._pressed.items() if pressed]
            if held:
                return f"still pressed: {', '.join(held)}"
            silent = self._silent(steady_ns)
            if silent:
                return silent
            self.latched, self.gentle = "", False
            return ""

    def _latch(self, reason: str) -> bool:
        if self.latched and not self.gentle:
            return False
        return self._close(reason, gently=False)

    def _close(self, reason: str, *, gently: bool) -> bool:
        self.latched, self.gentle = reason, gently
        self.last = (self.last[0] + 1, reason)
        return True

    def _is_lost(self, silent_ns: int) -> bool:
        return 0 < self._console_timeout_ns < silent_ns

    def _silent(self, steady_ns: int) -> str:
        if not self._timeout_ns:
            return ""
        if self._heartbeat_ns is None:
            return f"heartbeat ({self._heartbeat}) never received"
        silent_ns = steady_ns - self._heartbeat_ns
        if silent_ns <= self._timeout_ns:
            return ""
        return f"heartbeat ({self._heartbeat}) silent for {silent_ns / 1e9:.2f} s"
