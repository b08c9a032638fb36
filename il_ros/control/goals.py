"""From a stream of commands to goals of an action server, such as a gripper's.

An action server takes goals, not a stream: a goal is sent when the command has changed enough, and not too often. When
the robot stops, so does the goal. Times are of a steady clock, in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from il_ros.core.specs import Vector

NOT_YET = "no decision of the supervisor was received yet"


class GoalStream:
    """Decides which goal to send next, and when there may be none.

    `least_change`: a command that differs by no more from the last goal, in each number, is no new goal.
    `least_s`: time between goals. `timeout_s`: silence of the supervisor after which the robot stops.
    """

    def __init__(self, least_change: float, least_s: float, timeout_s: float) -> None:
        self._least_change, self._least_s, self._timeout_s = least_change, least_s, timeout_s
        self.stopped = NOT_YET
        """Why there may be no goal, "" while there may."""
        self._wanted: Vector | None = None
        self._sent: Vector | None = None
        self._sent_s = self._heard_s = -math.inf

    def command(self, values: Sequence[float], now_s: float) -> None:
        """Take a command (A_k,) that a source in authority gave."""
        self._heard_s, self.stopped = now_s, ""
        self._wanted = np.array(values, dtype=np.float64)

    def stop(self, why: str, now_s: float) -> None:
        """Let no goal be sent until the next command, which then is one even if it equals the last goal."""
        self._heard_s, self.stopped = now_s, why
        self._wanted = self._sent = None

    def look(self, now_s: float) -> None:
        """Stop when the supervisor is silent."""
        silent_s = now_s - self._heard_s
        if not self.stopped and silent_s > self._timeout_s:
            self.stop(f"no decision of the supervisor for {silent_s:.2f} s", self._heard_s)

    def due(self, now_s: float) -> Vector | None:
        """Return the goal (A_k,) to send now, None when there is none."""
        if self._wanted is None or now_s - self._sent_s < self._least_s:
            return None
        if self._sent is not None and np.abs(self._wanted - self._sent).max() <= self._least_change:
            return None
        return self._wanted

    def sent(self, goal: Vector, now_s: float) -> None:
        """Take note of a goal that was sent."""
        self._sent, self._sent_s = goal, now_s

    def refused(self) -> None:
        """Take note that the last goal was not accepted: it is sent again, after `least_s` at the earliest."""
        self._sent = None
