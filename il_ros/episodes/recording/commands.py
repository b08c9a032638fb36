"""Count how many of an episode's commands the safety limiter changed, and for how long none moved.

Where a policy drove as well, its commands are no labels, so motion is counted among the labels instead: a policy that
stood still until a person corrected it says nothing about the correction.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from il_ros.core import codecs, messages
from il_ros.core.codecs import trajectory
from il_ros.core.contract import Contract
from il_ros.core.specs import JOINT_TRAJECTORY
from il_ros.core.tables import counted, percent
from il_ros.records import decision as decisions
from il_ros.records.decision import Decision
from il_ros.records.labelling import BY_MODE

Vector = np.ndarray[Any, Any]

STILL = 1e-4
"""A command is idle when no position differs from the last by more than this, and no other number exceeds it."""


@dataclass(frozen=True)
class _Command:
    """A command: its log time and values, and the log times until which it moves the robot and counts.

    `stops`: after that a velocity of 0 counts.
    """

    log_ns: int
    values: Vector
    velocity: Vector
    moves_until_ns: int
    expires_ns: float
    stops: bool


class CommandCounts:
    """Statistics of recorded decisions, or of commands where there are no decisions.

    A message that can't be decoded is counted in `unreadable`; recording continues. `first_error` says why
    the first one could not be.
    """

    def __init__(self, contract: Contract):
        self._contract = contract
        self._actions = {spec.topic: spec for spec in contract.actions}
        self._velocity = np.array(
            [not spec.is_position for spec in contract.actions for _ in range(spec.size)]
        )
        self._last: dict[str, _Command] = {}
        self._span_ns: dict[str, float] = {}
        self._idle_ns: dict[str, float] = {}
        self._expired_ns: dict[str, float] = {}
        self.total = self.decisions = self.clipped = self.unreadable = 0
        self._authority = False
        self._undemonstrated = False
        self._sent: Vector | None = None
        self._labels = self._idle_labels = 0
        self.first_error = ""
        self._limits: Counter[str] = Counter()

    def decision(self, log_ns: int, raw: bytes) -> Decision | None:
        """Count a supervisor's decision (std_msgs/String) and return it; None if it cannot be read."""
        self.total += 1
        try:
            made = decisions.decode(raw)
        except decisions.DecisionError as error:
            self._refuse(str(error))
            return None
        if made.sent is not None and len(made.sent) != len(self._velocity):
            actions = counted(len(self._velocity), "action")
            self._refuse(f"sent has {counted(len(made.sent), 'number')}; the contract has {actions}")
            return None
        self.decisions += 1
        self._authority = self._authority or made.authority != decisions.NOBODY
        self.clipped += bool(made.limited)
        self._limits.update(set(made.limited))
        self._label(made)
        if made.sent is not None:
            self._sent = np.array(made.sent, dtype=np.float64)
            self._move("decision", log_ns, self._sent, self._velocity)
        return made

    def command(self, topic: str, log_ns: int, raw: bytes) -> None:
        """Count a message on the contract's command `topic`."""
        self.total += 1
        spec = self._actions[topic]
        moves_s = 0.0
        try:
            message = messages.decode(spec.type, raw)
            values = codecs.decode(spec, message)
            if spec.type == JOINT_TRAJECTORY:
                plan = trajectory.read(spec, message)
                moves_s = plan.duration_s if plan.moves(STILL) else 0.0
        except ValueError as error:
            self._refuse(f"{topic}: {error}")
            return
        velocity = np.full(spec.size, not spec.is_position)
        expires_s = self._contract.expires_s(spec)
        self._move(topic, log_ns, values, velocity, moves_s, expires_s, spec.expired == "stop")

    def end(self, stopped_ns: int) -> None:
        """Count the last command of each topic, until it expires or the trajectory ends, up to the episode's end."""
        for key, last in self._last.items():
            if last.moves_until_ns > last.log_ns or last.expires_ns < math.inf:
                self._close(key, last, stopped_ns, last.values)

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
    def driven(self) -> bool:
        """Whether a source had authority in any decision; True where there are commands only, or nothing was read."""
        return self._authority or not self.decisions

    @property
    def clipped_share(self) -> float | None:
        """Share of decisions that the safety limiter changed; None without decisions."""
        return self.clipped / self.decisions if self.decisions else None

    @property
    def clipped_most(self) -> str:
        """The joint and limit that acted in most decisions, with their share; "" when none acted."""
        if not self._limits:
            return ""
        (limit, count), *_ = self._limits.most_common(1)
        return f"{limit} ({percent(count / self.decisions)})"

    @property
    def by_labels(self) -> bool:
        """Whether `idle_share` is a share of the labels: some decisions are labels, and a policy drove in others."""
        return self._undemonstrated and self._labels > 0

    @property
    def idle_share(self) -> float | None:
        """Share of the time without commanded motion, while commands are in force; None without commands.

        With `by_labels`, the share of the labels that command no motion from what was sent before.
        """
        if self.by_labels:
            return self._idle_labels / self._labels
        spans = {key: span for key, span in self._span_ns.items() if span > 0}
        if "decision" in spans:
            return self._idle_ns["decision"] / spans["decision"]
        if not spans:
            return None
        return min(self._idle_ns[key] / span for key, span in spans.items())  # the least idle topic

    @property
    def expired_share(self) -> float | None:
        """Share of the time without a label: a command had expired, and no new one had come. None without commands.

        Decisions do not expire: each is the label of its own tick.
        """
        spans = {key: span for key, span in self._span_ns.items() if span > 0}
        if "decision" in spans or not spans:
            return None
        return max(self._expired_ns[key] / span for key, span in spans.items())

    def _label(self, made: Decision) -> None:
        """Count the label of a decision, and whether it moves: from what was sent before, or as a velocity."""
        chosen = BY_MODE.choose(made)
        label = None if chosen is None else np.array(chosen, dtype=np.float64)
        if made.sent is not None and any(each != decisions.NOBODY for each in made.authorities.values()):
            demonstrated = label is not None and np.array_equal(label, made.sent, equal_nan=True)
            self._undemonstrated = self._undemonstrated or not demonstrated
        if label is None or len(label) != len(self._velocity):
            return
        before = label if self._sent is None else self._sent
        self._labels += 1
        # NaN, of a group without a label, or without a command before, is no motion
        self._idle_labels += not (np.abs(np.where(self._velocity, label, label - before)) > STILL).any()

    def _refuse(self, reason: str) -> None:
        self.unreadable += 1
        self.first_error = self.first_error or reason

    def _move(
        self,
        key: str,
        log_ns: int,
        values: Vector,
        velocity: Vector,
        moves_s: float = 0.0,
        expires_s: float = math.inf,
        stops: bool = False,
    ) -> None:
        last = self._last.get(key)
        if last is not None:
            self._close(key, last, log_ns, values)
        moves_until_ns = log_ns + round(1e9 * moves_s)  # whole numbers: a float rounds today's time by 256 ns
        expires_ns = moves_until_ns + round(1e9 * expires_s) if expires_s < math.inf else math.inf
        self._last[key] = _Command(log_ns, values, velocity, moves_until_ns, expires_ns, stops)

    def _close(self, key: str, last: _Command, until_ns: int, values: Vector) -> None:
        """Count the time from a command to the next one, with these values, or to the end."""
        span_ns = max(0, until_ns - last.log_ns)
        expired_ns = min(span_ns, max(0.0, until_ns - last.expires_ns))
        motion = np.where(last.velocity, last.values, values - last.values)
        idle_ns = span_ns - expired_ns
        if last.moves_until_ns > last.log_ns:
            idle_ns -= min(idle_ns, last.moves_until_ns - last.log_ns)
        elif (np.abs(motion) > STILL).any():  # NaN, of a group that was not sent, is no motion
            idle_ns = 0.0
        if last.stops:
            idle_ns, expired_ns = idle_ns + expired_ns, 0.0
        for counts, counted_ns in (
            (self._span_ns, span_ns),
            (self._idle_ns, idle_ns),
            (self._expired_ns, expired_ns),
        ):
            counts[key] = counts.get(key, 0.0) + counted_ns
