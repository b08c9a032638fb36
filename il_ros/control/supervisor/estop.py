"""The emergency stop: it latches on any input and is cleared only by an explicit reset."""

from __future__ import annotations


class EmergencyStop:
    """Named inputs, each pressed or not, and the latch.

    `timeout_s` > 0 makes the input named `heartbeat` a heartbeat: a silence of more than `timeout_s`, or no
    message since the start, counts as pressed. Times are steady nanoseconds.
    """

    def __init__(self, timeout_s: float = 0.0, heartbeat: str = "topic"):
        self._timeout_ns, self._heartbeat = int(timeout_s * 1e9), heartbeat
        self._pressed: dict[str, bool] = {}
        self._heartbeat_ns: int | None = None
        self.latched = ""
        """The reason of the stop, "" when the latch is open."""

    def update(self, name: str, pressed: bool, steady_ns: int) -> bool:
        """Set the state of an input; return True when this closed the latch."""
        self._pressed[name] = pressed
        if name == self._heartbeat:
            self._heartbeat_ns = steady_ns
        return self._latch(f"emergency stop pressed ({name})") if pressed else False

    def check(self, steady_ns: int) -> bool:
        """Check the heartbeat; return True when its silence closed the latch."""
        silent = self._silent(steady_ns)
        return self._latch(f"emergency stop: {silent}") if silent else False

    def reset(self, steady_ns: int) -> str:
        """Open the latch; return the reason of a refusal, "" on success."""
        held = [name for name, pressed in self._pressed.items() if pressed]
        if held:
            return f"still pressed: {', '.join(held)}"
        silent = self._silent(steady_ns)
        if silent:
            return silent
        self.latched = ""
        return ""

    def _latch(self, reason: str) -> bool:
        if self.latched:
            return False
        self.latched = reason
        return True

    def _silent(self, steady_ns: int) -> str:
        if not self._timeout_ns:
            return ""
        if self._heartbeat_ns is None:
            return f"heartbeat ({self._heartbeat}) never received"
        silent_ns = steady_ns - self._heartbeat_ns
        if silent_ns <= self._timeout_ns:
            return ""
        return f"heartbeat ({self._heartbeat}) silent for {silent_ns / 1e9:.2f} s"
