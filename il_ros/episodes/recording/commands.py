"""Count how many of an episode's commands the safety limiter changed, and for how long none moved."""

from __future__ import annotations

from typing import Any

import numpy as np

from il_ros.core import codecs, messages
from il_ros.core.contract import Contract
from il_ros.core.tables import counted
from il_ros.records import decision as decisions

Vector = np.ndarray[Any, Any]

STILL = 1e-4
"""A command is idle when no position differs from the last by more than this, and no velocity exceeds it."""


class CommandCounts:
    """Statistics of recorded decisions, or of commands where there are no decisions.

    A message that can't be decoded is counted in `unreadable`; recording continues. `first_error` says why
    the first one could not be.
    """

    def __init__(self, contract: Contract):
        self._actions = {spec.topic: spec for spec in contract.actions}
        self._velocity = np.array([spec.is_velocity for spec in contract.actions for _ in range(spec.size)])
        self._last: dict[str, tuple[int, Vector]] = {}
        self._span_ns: dict[str, int] = {}
        self._idle_ns: dict[str, int] = {}
        self.total = self.decisions = self.clipped = self.unreadable = 0
        self.first_error = ""

    def decision(self, log_ns: int, raw: bytes) -> None:
        """Count a supervisor's decision (std_msgs/String)."""
        self.total += 1
        try:
            made = decisions.decode(raw)
        except decisions.DecisionError as error:
            self._refuse(str(error))
            return
        if made.sent is not None and len(made.sent) != len(self._velocity):
            actions = counted(len(self._velocity), "action")
            self._refuse(f"sent has {counted(len(made.sent), 'number')}; the contract has {actions}")
            return
        self.decisions += 1
        self.clipped += bool(made.limited)
        if made.sent is not None:
            self._move("decision", log_ns, np.array(made.sent, dtype=np.float64), self._velocity)

    def command(self, topic: str, log_ns: int, raw: bytes) -> None:
        """Count a message on the contract's command `topic`."""
        self.total += 1
        spec = self._actions[topic]
        try:
            values = codecs.decode(spec, messages.decode(spec.type, raw))
        except ValueError as error:
            self._refuse(f"{topic}: {error}")
            return
        self._move(topic, log_ns, values, np.full(spec.size, spec.is_velocity))

    @property
    def fault(self) -> str:
        """A sentence about the unreadable messages, "" without any."""
        if not self.unreadable:
            return ""
        counted = f"{self.unreadable} of {self.total} decisions and commands could not be read"
        return f"{counted}; the first: {self.first_error}"

    @property
    def unreadable_share(self) -> float | None:
        """Share of the messages that could not be read; None without messages."""
        return self.unreadable / self.total if self.total else None

    @property
    def clipped_share(self) -> float | None:
        """Share of decisions that the safety limiter changed; None without decisions."""
        return self.clipped / self.decisions if self.decisions else None

    @property
    def idle_share(self) -> float | None:
        """Share of the time without commanded motion; None without commands."""
        spans = {key: span for key, span in self._span_ns.items() if span > 0}
        if "decision" in spans:
            return self._idle_ns["decision"] / spans["decision"]
        if not spans:
            return None
        return min(self._idle_ns[key] / span for key, span in spans.items())  # the least idle topic

    def _refuse(self, reason: str) -> None:
        self.unreadable += 1
        self.first_error = self.first_error or reason

    def _move(self, key: str, log_ns: int, values: Vector, velocity: Vector) -> None:
        before = self._last.get(key)
        self._last[key] = (log_ns, values)
        if before is None:
            return
        span_ns = max(0, log_ns - before[0])
        motion = np.where(velocity, values, values - before[1])
        self._span_ns[key] = self._span_ns.get(key, 0) + span_ns
        idle_ns = span_ns if np.abs(motion).max(initial=0.0) <= STILL else 0
        self._idle_ns[key] = self._idle_ns.get(key, 0) + idle_ns
