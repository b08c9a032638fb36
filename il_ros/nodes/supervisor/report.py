"""The supervisor's entry in /diagnostics: sources, safety limiter, timing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from il_ros.control.supervisor.latency import Latency
from il_ros.control.supervisor.supervision import Supervision
from il_ros.nodes.runtime.diagnostics import ERROR, OK, WARN, Status
from il_ros.records.decision import NOBODY, Decision


class SupervisorReport:
    """Counts decisions and summarises the core's state."""

    def __init__(self) -> None:
        self._decisions = self._limited = self._unanswered = 0
        self._last_limited = ""
        self._sent_steady_ns: int | None = None
        self._age_s: float | None = None
        self._latency = Latency(("own time",))
        self._seen: dict[str, int] = {}
        self._seen_ns: int | None = None

    def add_decision(self, decision: Decision, steady_ns: int) -> None:
        """Count a published decision."""
        self._decisions += 1
        self._unanswered += decision.authority == NOBODY
        if decision.limited:
            self._limited += 1
            self._last_limited = ", ".join(decision.limited)
        self._age_s = decision.age_s
        if decision.sent is not None:
            self._sent_steady_ns = steady_ns

    def add_latency(self, started_ns: int, ended_ns: int) -> None:
        """Add the time from a proposal's arrival to its published decision."""
        self._latency.add(((ended_ns - started_ns) / 1e9,))

    @staticmethod
    def idle(state: str, other: str) -> tuple[bytes, str]:
        """Return level and message of an unconfigured node."""
        return (ERROR, other) if other else (WARN, f"{state}: nothing is sent")

    def status(
        self,
        supervision: Supervision,
        state: str,
        other: str,
        without_subscriber: Sequence[str],
        now_ns: int,
        steady_ns: int,
    ) -> Status:
        """Return the state of every source, of the safety limiter and of the timing.

        `state`: of the lifecycle. `other`: sentence about another commanding node, else "".
        `without_subscriber`: command topics without a compatible subscriber.
        """
        values: dict[str, Any] = {"authority": supervision.authority, "generation": supervision.generation}
        if len(supervision.authorities) > 1:
            values |= {f"authority {group}": name for group, name in supervision.authorities.items()}
        values |= {"mode": supervision.mode.name, **supervision.mode.state(now_ns)}
        values |= self._sources(supervision, now_ns, steady_ns)
        values |= {
            "decisions": self._decisions,
            "decisions without authority": self._unanswered,
            "decisions limited": self._limited,
            "last limited": self._last_limited,
            "proposals without decision": supervision.skipped,
            "timer latest [ms]": supervision.watchdog.latest_s * 1e3,
        } | self._latency.summary()
        if self._sent_steady_ns is not None:
            values["last command [s ago]"] = (steady_ns - self._sent_steady_ns) / 1e9
        if self._age_s is not None:
            values["observation age [s]"] = self._age_s
        if other:
            return Status(ERROR, other, values)
        if state != "active":
            return Status(WARN, f"{state}: nothing is sent", values)
        if supervision.estop.latched:
            return Status(ERROR, supervision.estop.latched, values)
        if without_subscriber:
            return Status(WARN, f"no subscriber to {', '.join(without_subscriber)}", values)
        if supervision.authority == NOBODY:
            return Status(WARN, f"no source has authority: {supervision.reason}", values)
        return Status(OK, f"{supervision.authority} has authority", values)

    def _sources(self, supervision: Supervision, now_ns: int, steady_ns: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        absences = supervision.proposal_buffer.absent(now_ns, steady_ns)
        passed_s = (steady_ns - self._seen_ns) / 1e9 if self._seen_ns else 0.0
        for name, states in supervision.proposal_buffer.states.items():
            values[name] = absences[name].text or "proposing"
            if states.proposal is not None:
                values[f"{name} age [s]"] = (steady_ns - states.arrival_steady_ns) / 1e9
            if passed_s > 0.5:
                values[f"{name} rate [Hz]"] = (states.accepted - self._seen.get(name, 0)) / passed_s
            values[f"{name} rejected"] = states.rejected
            if states.rejection:
                values[f"{name} last rejection"] = states.rejection
            self._seen[name] = states.accepted
        self._seen_ns = steady_ns
        return values
