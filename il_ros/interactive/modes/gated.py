"""Robot-gated control: the policy drives until its uncertainty exceeds a threshold, then the expert is requested."""

from __future__ import annotations

from typing import Any

from il_ros.control.supervisor.arbitration import Arbitration, ArbitrationInput, Request
from il_ros.core.specs import WHOLE
from il_ros.interactive.modes.authority import InteractiveMode
from il_ros.interactive.modes.gate import SOURCES, STATES, Gate, GatedOptions, Requests
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.thresholds import S
from il_ros.records.labelling import POLICY
from il_ros.records.proposal import Proposal

FRESH_S = 1.0
"""How long a rating of the progress counts: a judge that falls silent neither requests nor holds the robot."""


class Gated(InteractiveMode):
    """Robot-gated control, of the whole robot by one `Gate`, or of each action group by its own.

    The groups have gates of their own while the policy gives an uncertainty for each: the expert is requested for the
    group that needs help, and the policy drives the others meanwhile. The budget of requests is the person's, so it is
    shared.
    """

    name = "gated"

    def __init__(self, memory: ModeMemory, options: GatedOptions, rate_hz: float) -> None:
        super().__init__(memory)
        self._options, self._rate_hz, self._requests = options, rate_hz, Requests()
        self._robot = Gate(
            options, options.budget(rate_hz, memory.attention), memory.threshold, self._requests
        )
        self._by_group: dict[str, Gate] = {}
        """The gates of the groups, while the policy gives an uncertainty for each."""
        self._version = ""
        self._expected_ns: int | None = None
        """The tick of the newest rating of the progress."""

    @property
    def request(self) -> Request | None:
        """The open request, of all groups together."""
        found = {group: gate.request for group, gate in self._by_group.items() if gate.request is not None}
        if not found:
            return self._robot.request
        return Request(
            max(request.number for request in found.values()),
            min(request.since_ns for request in found.values()),
            "; ".join(f"{group}: {request.why}" for group, request in found.items()),
            tuple(found),
        )

    @property
    def threshold(self) -> float | None:
        """The uncertainty above which the expert is requested for the whole robot; None until it is known.

        Groups have thresholds of their own, so it is None for them unless it is set.
        """
        return (self._options.ask or None) if self._by_group else self._robot.threshold

    def observe(self, name: str, proposal: Proposal) -> None:
        """Process an accepted proposal: compare the policy's uncertainty with the threshold."""
        super().observe(name, proposal)
        if name != POLICY:
            return
        known = self.memory.uncertainties
        if known and not self._by_group:
            self._by_group = {group: self._gate(group) for group in self.memory.attentions}
            self._robot.restart()
        elif (
            not known and proposal.version != self._version
        ):  # of one version, a tick may be without: a first chunk
            self._by_group = {}
        self._version = proposal.version
        for group, gate in self._by_group.items():
            gate.observe(known.get(group, proposal.uncertainty))
        if not self._by_group:
            self._robot.observe(proposal.uncertainty)

    def expect(self, stalled: float | None, why: str, stamp_ns: int) -> None:
        """Process a rating of the progress at a tick, if that is among the sources; see `Gate.expect`.

        It is of the whole robot: with gates of the groups, each of them asks. A rating counts for FRESH_S.
        """
        if SOURCES[1] in self._options.sources.split():
            self._expected_ns = stamp_ns if stalled is not None else None
            for gate in (self._robot, *self._by_group.values()):
                gate.expect(stalled, why)

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Make the due state transitions, and return the source that gets authority over the group."""
        if self._expected_ns is not None and inputs.stamp_ns - self._expected_ns > FRESH_S * S:
            self.expect(None, "", inputs.stamp_ns)
        gate = self._by_group.get(inputs.group)
        if gate is None:
            return self._robot.choose(inputs)
        own = ArbitrationInput(inputs.stamp_ns, inputs.authority, inputs.absences, inputs.group)
        return gate.choose(own)

    def restart(self) -> None:
        """Start a new episode: the policy drives and an open request is dropped."""
        for gate in (self._robot, *self._by_group.values()):
            gate.restart()

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return the status with the state, the request, the threshold and the budget; `gates`: of each group."""
        gates = self._by_group or {WHOLE: self._robot}
        found = super().state(now_ns) | {
            "state": max((gate.state for gate in gates.values()), key=STATES.index),
            "budget_left": self._robot.left(now_ns),
            "request": None if self.request is None else vars(self.request),
        }
        if self._by_group:
            found["gates"] = {
                group: {"state": gate.state, "uncertainty": gate.uncertainty, "threshold": gate.threshold}
                for group, gate in gates.items()
            }
        return found

    def _gate(self, group: str) -> Gate:
        memory, options = self.memory, self._options
        budget = options.budget(self._rate_hz, memory.attentions[group])
        return Gate(options, budget, memory.thresholds[group], self._requests, (group,))
