"""Robot-gated control: the policy drives until its uncertainty exceeds a threshold, then the expert is requested.

Hysteresis follows LazyDAgger; the budget of requests follows ThriftyDAgger. See `thresholds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from il_ros.control.supervisor.arbitration import (
    NOT_YET,
    RELEASED,
    Absence,
    AbsenceKind,
    Arbitration,
    ArbitrationInput,
    Request,
)
from il_ros.interactive.modes.authority import InteractiveMode
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.thresholds import AttentionBudget, AttentionHistory, S, UncertaintyTrigger
from il_ros.records.decision import NOBODY
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.records.proposal import Proposal

TIMED_OUT = ("hold", "resume", "stop")
TAKEOVERS = ("anytime", "asked")


@dataclass(frozen=True)
class GatedOptions:
    """The conditions of a request, and its outcome without an answer.

    `ask`: uncertainty above which the expert is requested; 0: learnt from interventions and the budget. The
    budget's own threshold can only raise it. `release`: the share of that threshold below which the request is
    withdrawn. `timeout_s`: time after which an unanswered request times out; `timed_out`: then the robot keeps
    holding ('hold'), the policy drives again ('resume'), or no source drives until a restart ('stop').
    `takeover`: a human may take over at 'anytime' by proposing; an expert that always proposes drives only
    when 'asked', until the uncertainty is low again. `least_s`: shortest time of policy control between a
    hand-back and the next request, and shortest time of control of a requested expert. `per_hour`, `at_once`,
    `warm_up_s`: see `thresholds.AttentionBudget`.
    Raises ValueError on an invalid option.
    """

    ask: float = 0.0
    release: float = 0.5
    timeout_s: float = 30.0
    timed_out: str = "hold"
    takeover: str = "anytime"
    per_hour: int = 60
    at_once: int = 3
    warm_up_s: float = 10.0
    least_s: float = 0.5

    def __post_init__(self) -> None:
        for name, allowed in (("timed_out", TIMED_OUT), ("takeover", TAKEOVERS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not '{getattr(self, name)}'")
        if not (self.ask >= 0 and 0 <= self.release <= 1 and self.timeout_s > 0 and self.least_s >= 0):
            raise ValueError(
                "ask >= 0, 0 <= release <= 1, timeout_s > 0 and least_s >= 0 are needed, not "
                f"ask {self.ask}, release {self.release}, timeout_s {self.timeout_s}, least_s {self.least_s}"
            )
        self.budget(rate_hz=1.0)

    def budget(self, rate_hz: float, attention: AttentionHistory | None = None) -> AttentionBudget:
        """Return the budget; raises ValueError when its options are invalid."""
        return AttentionBudget(self.per_hour, rate_hz, self.at_once, self.warm_up_s, attention)


class Gated(InteractiveMode):
    """A state machine: driving, waiting for the expert, helped by the expert, stopped. Times are tick stamps.

    It is the whole robot's. While the expert helps, it drives the action groups that it proposes for and the policy the
    others; a group that the expert has driven and in which it falls silent waits.
    """

    name = "gated"

    def __init__(self, memory: ModeMemory, options: GatedOptions, rate_hz: float) -> None:
        super().__init__(memory)
        self._options = options
        self._budget = options.budget(rate_hz, memory.attention)
        self._least_ns = int(options.least_s * S)
        self._requests = 0
        self._state = "driving"
        self._free_ns = -1
        """The stamp from which the driver may change again."""
        self._uncertain = False
        self._armed = True
        """False after an answered request, until the uncertainty has been low once: no new request before."""
        self._broken_off = False
        """The expert became absent without a release: only its release hands back, not a low uncertainty."""

    @property
    def threshold(self) -> float | None:
        """The uncertainty above which the expert is requested; None until it is known."""
        floor = self._options.ask or self.memory.threshold.value
        learnt = self._budget.threshold() if self._budget.ready else None
        return max((value for value in (floor, learnt) if value is not None), default=None)

    def observe(self, name: str, proposal: Proposal) -> None:
        """Process an accepted proposal: compare the policy's uncertainty with the threshold."""
        super().observe(name, proposal)
        if name != POLICY:
            return
        if self._state == "driving" and proposal.uncertainty is not None:
            self._budget.observe(proposal.uncertainty)
        ask = self.threshold
        if ask is not None:
            trigger = UncertaintyTrigger(ask, self._options.release * ask)
            self._uncertain = trigger.fires(proposal.uncertainty, self._uncertain)
            self._armed = self._armed or not self._uncertain

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Make the due state transitions, and return the source that gets authority in the new state."""
        if self._state == "driving":
            self._request_or_yield(inputs)
        if self._state == "waiting":
            self._wait(inputs)
        if self._state == "helped":
            self._help(inputs)
        return self._arbitrate(inputs)

    def restart(self) -> None:
        """Start a new episode: the policy drives and an open request is dropped."""
        self._drive(armed=True, free_ns=-1)
        self._uncertain = False

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return the status with the state, the request, the threshold and the budget."""
        return super().state(now_ns) | {
            "state": self._state,
            "threshold": self.threshold,
            "budget_left": self._budget.left(now_ns),
            "request": None if self.request is None else vars(self.request),
        }

    def _request_or_yield(self, inputs: ArbitrationInput) -> None:
        if self._options.takeover == "anytime" and not _expert(inputs):
            if inputs.authority == POLICY and self.uncertainty is not None:
                self.memory.threshold.intervened(self.uncertainty)
            self._start_help(inputs.stamp_ns)
        elif self._may_request(inputs.stamp_ns):
            self._budget.spend(inputs.stamp_ns)
            self._requests += 1
            why = f"uncertainty {self.uncertainty:.3g} above {self.threshold:.3g}"
            self.request = Request(self._requests, inputs.stamp_ns, why)
            self._state = "waiting"

    def _may_request(self, stamp_ns: int) -> bool:
        rested = stamp_ns >= self._free_ns
        return self._uncertain and self._armed and rested and self._budget.left(stamp_ns) > 0

    def _wait(self, inputs: ArbitrationInput) -> None:
        assert self.request is not None
        waited_s = (inputs.stamp_ns - self.request.since_ns) / 1e9
        absent, free_ns = _expert(inputs), inputs.stamp_ns + self._least_ns
        over = absent == RELEASED if self._broken_off else not self._uncertain
        if not absent:
            self._start_help(inputs.stamp_ns)
        elif over:
            self._drive(armed=not self._uncertain, free_ns=free_ns)
        elif waited_s > self._options.timeout_s and self._options.timed_out == "resume":
            self._drive(armed=False, free_ns=free_ns)
        elif waited_s > self._options.timeout_s and self._options.timed_out == "stop":
            self._state, self.request = "stopped", None

    def _help(self, inputs: ArbitrationInput) -> None:
        absent, stamp_ns = _expert(inputs), inputs.stamp_ns
        dismissed = self._options.takeover == "asked" and not self._uncertain and stamp_ns >= self._free_ns
        if absent == RELEASED or dismissed:
            self._drive(armed=not self._uncertain, free_ns=stamp_ns + self._least_ns)
        elif absent:
            self.request = Request(self._requests, stamp_ns, f"the expert stopped proposing: {absent}")
            self._state, self._broken_off = "waiting", True
        else:
            self.request, self._broken_off = None, False

    def _start_help(self, stamp_ns: int) -> None:
        self._state, self._free_ns = "helped", stamp_ns + self._least_ns

    def _drive(self, *, armed: bool, free_ns: int) -> None:
        self._state, self.request, self._armed, self._broken_off = "driving", None, armed, False
        self._free_ns = free_ns

    def _arbitrate(self, inputs: ArbitrationInput) -> Arbitration:
        if self._state == "stopped":
            return Arbitration(
                NOBODY, f"no expert answered within {self._options.timeout_s:g} s; call ~/restart to continue"
            )
        if self._state == "waiting":
            assert self.request is not None
            always_proposes = self._options.takeover == "asked"  # its proposal for this tick is due
            early = always_proposes and _expert(inputs) == NOT_YET
            return Arbitration(NOBODY, f"waiting for the expert: {self.request.why}", early=early)
        helps = self._state == "helped" and not _left_to_policy(inputs)
        source = EXPERT if helps else POLICY
        absent = inputs.absences[source]
        return (
            Arbitration(NOBODY, f"{source} {absent}", early=absent == NOT_YET)
            if absent
            else Arbitration(source)
        )


def _expert(inputs: ArbitrationInput) -> Absence:
    """Return the expert's absence from the whole robot."""
    return (inputs.absences if inputs.anywhere is None else inputs.anywhere)[EXPERT]


def _left_to_policy(inputs: ArbitrationInput) -> bool:
    """Return whether the expert, who helps in another group, leaves this group to the policy."""
    kinds = (AbsenceKind.NOT_YET, AbsenceKind.RELEASED)
    return inputs.anywhere is not None and inputs.absences[EXPERT].kind in kinds
