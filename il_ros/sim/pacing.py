"""When the simulator takes its next step: by the wall clock, by its readers' answers, or at once.

No clock and no waiting in here: `wait_s(now_s)` says how long to wait, and whoever runs the events does it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How the simulator is paced.

    `period_s` of one step, in simulated time. `speed`: simulated seconds per second, 0: at once.
    `lockstep`: each frame is answered by a decision before the next step, for at most `timeout_s` of wall
    time. With a speed as well, a step waits for both. `answers`: topics that must have answered the frame
    too, so that nobody falls behind while another one decides.
    """

    period_s: float
    speed: float = 1.0
    lockstep: bool = False
    timeout_s: float = 1.0
    answers: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.period_s) and self.period_s > 0.0):
            raise ValueError(f"period_s is {self.period_s}; a step takes a positive time")
        if not (math.isfinite(self.speed) and self.speed >= 0.0):
            raise ValueError(f"speed is {self.speed}; 1 is real time, 0 as fast as possible")
        if not (math.isfinite(self.timeout_s) and self.timeout_s > 0.0):
            raise ValueError(f"timeout_s is {self.timeout_s}; an answer is waited for a positive time")

    @property
    def interval_s(self) -> float:
        """Wall time between steps."""
        return self.period_s / self.speed if self.speed else 0.0


class Pacing:
    """The schedule of steps. Times `now_s` are of a steady wall clock.

    A frame goes out (`frame`), answers come in (`command`, `decision`), `wait_s` tells when to step, and
    `step` that it is done now.
    """

    def __init__(self, pace: Pace, now_s: float):
        self.pace = pace
        self.late_steps = 0
        """Steps begun after the next one was due: the machine, or the task, is too slow for the speed."""
        self.timeouts = 0
        """Frames of lockstep that nobody answered in time."""
        self._due_s = now_s
        self._commanded: set[str] = set()
        self._answers: set[str] = set()
        self._usual: frozenset[str] = frozenset()
        self._frame(0, now_s)

    def change(self, pace: Pace, now_s: float) -> None:
        """Go on at another pace; the next step is due one interval from now."""
        self.pace = pace
        self._due_s = now_s + pace.interval_s

    def restart(self, stamp_ns: int, now_s: float) -> None:
        """Begin anew at a frame, as after a reset; the time that took is no lateness."""
        self._frame(stamp_ns, now_s)
        self.resume(now_s)

    def resume(self, now_s: float) -> None:
        """Go on after a pause, which is no lateness either; an answer that came meanwhile counts."""
        self._frame_s = now_s
        self._due_s = now_s + self.pace.interval_s

    def frame(self, stamp_ns: int, now_s: float) -> None:
        """Note that the sensors of `stamp_ns` went out now; what came before is no answer to them."""
        self._frame(stamp_ns, now_s)

    def command(self, topic: str) -> None:
        """Note a command."""
        self._commanded.add(topic)

    def decision(self, stamp_ns: int, sent: bool) -> None:
        """Note a decision for the tick `stamp_ns`; `sent`: a command went out with it.

        Topics may overtake one another: where a command was sent, the step waits for one, and for all topics
        that were commanded in the frame before.
        """
        if stamp_ns >= self._stamp_ns:
            self._decided = True
            self._awaits_command = sent

    def answer(self, topic: str, stamp_ns: int) -> None:
        """Note what one of the pace's `answers` says about the tick `stamp_ns`."""
        if stamp_ns >= self._stamp_ns:
            self._answers.add(topic)

    @property
    def answered(self) -> bool:
        """True when the present frame has got all that lockstep waits for."""
        arrived = bool(self._commanded) and self._usual <= self._commanded
        heard = self.pace.answers <= self._answers
        return heard and self._decided and (arrived or not self._awaits_command)

    @property
    def unanswered(self) -> str:
        """What lockstep is waiting for, in words."""
        silent = sorted(self.pace.answers - self._answers)
        if silent:
            return f"an answer on {', '.join(silent)}"
        return "the command that the decision tells of" if self._decided else "a decision"

    def wait_s(self, now_s: float) -> float:
        """Return how long to wait before the next step, seconds of wall time; 0 is 'step now'."""
        until_due = max(0.0, self._due_s - now_s) if self.pace.speed else 0.0
        if not self.pace.lockstep or self.answered:
            return until_due
        return max(until_due, self._frame_s + self.pace.timeout_s - now_s, 0.0)

    def step(self, now_s: float) -> bool:
        """Note that a step is taken now; return False when it had to go unanswered."""
        in_time = not self.pace.lockstep or self.answered
        self.timeouts += not in_time
        interval = self.pace.interval_s
        behind = now_s - self._due_s > interval
        self.late_steps += behind and self.pace.speed > 0.0 and not self.pace.lockstep
        # what was missed isn't caught up with: a robot doesn't hurry either
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
