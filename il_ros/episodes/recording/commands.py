"""Count how many of an episode's commands the safety limiter changed, and for how long none moved."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from il_ros.core import codecs, messages
from il_ros.core.contract import Contract
from il_ros.core.specs import STRING

Vector = np.ndarray[Any, Any]

STILL = 1e-4
"""A command is idle when no position differs from the last by more than this, and no velocity exceeds it."""


class CommandCounts:
    """Statistics of recorded decisions, or of commands where there are no decisions.

    Messages that can't be decoded are counted in `unreadable`; recording continues.
    """

    def __init__(self, contract: Contract):
        self._actions = {spec.topic: spec for spec in contract.actions}
        self._velocity = np.array([spec.is_velocity for spec in contract.actions for _ in range(spec.size)])
        self._last: dict[str, tuple[int, Vector]] = {}
        self._span_ns: dict[str, int] = {}
        self._idle_ns: dict[str, int] = {}
        self.decisions = self.clipped = self.unreadable = 0

    def decision(self, log_ns: int, raw: bytes) -> None:
        """Count a supervisor's decision (std_msgs/String JSON with `sent` and `limited`)."""
        try:
            record = json.loads(messages.decode(STRING, raw).data)
            sent, limited = record["sent"], record["limited"]
        except (ValueError, KeyError, TypeError):
            self.unreadable += 1
            return
        self.decisions += 1
        self.clipped += bool(limited)
        if sent is not None and len(sent) == len(self._velocity):
            self._move("decision", log_ns, np.array(sent, dtype=np.float64), self._velocity)

    def command(self, topic: str, log_ns: int, raw: bytes) -> None:
        """Count a message on the contract's command `topic`."""
        spec = self._actions[topic]
        try:
            values = codecs.decode(spec, messages.decode(spec.type, raw))
        except ValueError:
            self.unreadable += 1
            return
        self._move(topic, log_ns, values, np.full(spec.size, spec.is_velocity))

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
