"""Schedule of simulator steps: real time, lockstep with the nodes' answers, or as fast as possible.

The module reads no clock and never waits: `wait_s(now_s)` returns the waiting time, and the event loop waits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How the simulator is paced.

    `period_s`: simulated time of one step. `speed`: simulated seconds per wall-clock second; 0: as fast as
    possible. `lockstep`: wait up to `timeout_s` of wall time for the decision on each frame before the next
    step. With lockstep and a speed, a step waits for both. `answers`: topics that must also answer each
    frame, so that no node falls behind while another one has authority.
    """

    period_s: float
    speed: float = 1.0
    lockstep: bool = False
    timeout_s: float = 1.0
    answers: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.period_s) and self.period_s > 0.0):
            raise ValueError(f"period_s is {self.period_s}; it must be positive and finite")
        if not (math.isfinite(self.speed) and self.speed >= 0.0):
            raise ValueError(f"speed is {self.speed}; 1 is real time, 0 as fast as possible")
        if not (math.isfinite(self.timeout_s) and self.timeout_s > 0.0):
            raise ValueError(f"timeout_s is {self.timeout_s}; it must be positive and finite")

    @property
    def interval_s(self) -> float:
        """Wall time between steps."""
        return self.period_s / self.speed if self.speed else 0.0


class Pacing:
    """Schedules the steps. `now_s` is a steady wall-clock time.

    Report each published frame (`frame`) and each received answer (`command`, `decision`, `answer`). Wait for
    `wait_s`, then call `step` and advance the simulator.
    """

    def __init__(self, pace: Pace, now_s: float):
        self.pace = pace
        self.late_steps = 0
        """Number of steps that began after the next one was due: the computer is too slow for the speed."""
        self.timeouts = 0
        """Number of lockstep frames without an answer within the time-out."""
        self._due_s = now_s
        self._commanded: set[str] = set()
        self._answers: set[str] = set()
        self._usual: frozenset[str] = frozenset()
        self._frame(0, now_s)

    def change(self, pace: Pace, now_s: float) -> None:
        """Change the pace; the next step is due one interval from now."""
        self.pace = pace
        self._due_s = now_s + pace.interval_s

    def restart(self, stamp_ns: int, now_s: float) -> None:
        """Restart at a frame, as after a reset; the time the reset took does not count as lateness."""
        self._frame(stamp_ns, now_s)
        self.resume(now_s)

    def resume(self, now_s: float) -> None:
        """Continue after a pause, which does not count as lateness; answers received meanwhile count."""
        self._frame_s = now_s
        self._due_s = now_s + self.pace.interval_s

    def frame(self, stamp_ns: int, now_s: float) -> None:
        """Record that the readings of `stamp_ns` were published; earlier answers do not count for them."""
        self._frame(stamp_ns, now_s)

    def command(self, topic: str) -> None:
        """Record a command on `topic`."""
        self._commanded.add(topic)

    def decision(self, stamp_ns: int, sent: bool) -> None:
        """Record a decision for the tick `stamp_ns`; `sent`: a command was published with it.

        Messages of different topics may arrive in any order: when `sent`, the step also waits for a command,
        and for every topic that was commanded in the previous frame.
        """
        if stamp_ns >= self._stamp_ns:
            self._decided = True
            self._awaits_command = sent

    def answer(self, topic: str, stamp_ns: int) -> None:
        """Record a message on one of the pace's `answers` topics for the tick `stamp_ns`."""
        if stamp_ns >= self._stamp_ns:
            self._answers.add(topic)

    @property
    def answered(self) -> bool:
        """True when the current frame has all answers that lockstep waits for."""
        arrived = bool(self._commanded) and self._usual <= self._commanded
        complete = self.pace.answers <= self._answers
        return complete and self._decided and (arrived or not self._awaits_command)

    @property
    def unanswered(self) -> str:
        """Description of what lockstep is waiting for."""
        silent = sorted(self.pace.answers - self._answers)
        if silent:
            return f"an answer on {', '.join(silent)}"
        return "the command that belongs to the decision" if self._decided else "a decision"

    def wait_s(self, now_s: float) -> float:
        """Return the wall time in seconds to wait before the next step; 0: step now."""
        until_due = max(0.0, self._due_s - now_s) if self.pace.speed else 0.0
        if not self.pace.lockstep or self.answered:
            return until_due
        return max(until_due, self._frame_s + self.pace.timeout_s - now_s, 0.0)

    def step(self, now_s: float) -> bool:
        """Record a step; return False when its frame was not answered in time."""
        in_time = not self.pace.lockstep or self.answered
        self.timeouts += not in_time
        interval = self.pace.interval_s
        behind = now_s - self._due_s > interval
        self.late_steps += behind and self.pace.speed > 0.0 and not self.pace.lockstep
        # missed steps are not made up for: a real robot can't catch up either
        self._due_s = (now_s if behind else self._due_s) + interval
        return in_time

    def _frame(self, stamp_ns: int, now_s: float) -> None:
        self._stamp_ns = stamp_ns
        self._frame_s = now_s
        self._decided = self._awaits_command = False
        if self._commanded:
            self._usual = frozenset(self._commanded)
        self._commanded.clear()
        self._answers.clear()
