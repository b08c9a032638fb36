"""The emergency stop: latches on any input, and lets go only by a deliberate reset."""

from __future__ import annotations


class EmergencyStop:
    """Inputs by name, each pressed or not, and the latch.

    `timeout_s` > 0 makes the first input named `beat` a heartbeat: silent for longer, from the start too,
    counts as pressed. Times are steady nanoseconds.
    """

    def __init__(self, timeout_s: float = 0.0, beat: str = "topic"):
        self._timeout_ns, self._beat = int(timeout_s * 1e9), beat
        self._pressed: dict[str, bool] = {}
        self._heard_ns: int | None = None
        self.latched = ""
        """Why the robot is stopped, "" when it isn't."""

    def hear(self, name: str, pressed: bool, steady_ns: int) -> bool:
        """Take an input's state in; return True when this made the latch fall."""
        self._pressed[name] = pressed
        if name == self._beat:
            self._heard_ns = steady_ns
        return self._latch(f"pressed ({name})") if pressed else False

    def check(self, steady_ns: int) -> bool:
        """Look after the heartbeat; return True when its silence made the latch fall."""
        silent = self._silent(steady_ns)
        return self._latch(silent) if silent else False

    def reset(self, steady_ns: int) -> str:
        """Open the latch; return why not, "" when it is open."""
        held = [name for name, pressed in self._pressed.items() if pressed]
        if held:
            return f"still pressed: {', '.join(held)}"
        silent = self._silent(steady_ns)
        if silent:
            return silent
        self.latched = ""
        return ""

    def _latch(self, why: str) -> bool:
        if self.latched:
            return False
        self.latched = f"emergency stop {why}"
        return True

    def _silent(self, steady_ns: int) -> str:
        if not self._timeout_ns:
            return ""
        if self._heard_ns is None:
            return f"its {self._beat} has never been heard"
        silent_ns = steady_ns - self._heard_ns
        return (
            f"its {self._beat} is silent for {silent_ns / 1e9:.2f} s" if silent_ns > self._timeout_ns else ""
        )
