"""The clock of a recording's log times: ROS time that does not step while an episode is recorded."""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], int]
"""Returns a time in nanoseconds."""

TOLERANCE_NS = 20_000_000
"""A smaller step is not noticed: two clocks are not read at the same moment, nor /clock in the order of its times."""
_APART_NS, _READINGS = TOLERANCE_NS // 2, 20
"""The clocks are read together within this time, in one of so many attempts: a busy computer pauses a process."""


class RecordingClock:
    """ROS time, tied to a steady clock once and advanced by that; and the steps of ROS time meanwhile.

    A system clock that is set (NTP, GPS, a person) steps; the steady clock does not, and both have the same rate.
    Without `steady_ns`, for simulated time, it is ROS time itself; only a step back is noticed.
    """

    def __init__(self, ros_ns: Clock, steady_ns: Clock | None = None):
        self._ros_ns, self._steady_ns = ros_ns, steady_ns
        self.kind = "node" if steady_ns is None else "steady"
        """The name of the clock in an episode's description."""
        self.tie()

    def tie(self) -> None:
        """Tie it to ROS time anew; call only between episodes."""
        self._offset_ns = 0 if self._steady_ns is None else self._apart_ns()[0]
        self._newest_ns: int | None = None

    def now_ns(self) -> int:
        """Return the time. Without a steady clock, it stays at the last one after a step back."""
        if self._steady_ns is not None:
            return self._offset_ns + self._steady_ns()
        now_ns = self._ros_ns()
        if self._newest_ns is None or now_ns > self._newest_ns:
            self._newest_ns = now_ns
        return self._newest_ns

    def step_ns(self) -> int:
        """Return how far ROS time has been set since the tie, below zero if back; 0 if it has not."""
        if self._steady_ns is None:
            newest_ns = self.now_ns()  # first: the clock goes on between the two readings
            back_ns = self._ros_ns() - newest_ns
            return back_ns if back_ns < -TOLERANCE_NS else 0
        apart_ns, together = self._apart_ns()
        step_ns = apart_ns - self._offset_ns
        return step_ns if together and abs(step_ns) > TOLERANCE_NS else 0

    def _apart_ns(self) -> tuple[int, bool]:
        """Return ROS time minus the steady clock, and whether both were read together.

        If not, this process was paused between the readings, and the difference is not to be trusted.
        """
        assert self._steady_ns is not None
        best_ns, within_ns = 0, -1
        for _ in range(_READINGS):
            before_ns, ros_ns, after_ns = self._steady_ns(), self._ros_ns(), self._steady_ns()
            if within_ns < 0 or after_ns - before_ns < within_ns:
                best_ns, within_ns = ros_ns - (before_ns + after_ns) // 2, after_ns - before_ns
            if within_ns <= _APART_NS:
                return best_ns, True
        return best_ns, False


def said(step_ns: int) -> str:
    """Return a sentence about a step of the clock."""
    way = "back" if step_ns < 0 else "forward"
    return f"the recorder's clock was set {way} by {abs(step_ns) / 1e9:.3f} s"
