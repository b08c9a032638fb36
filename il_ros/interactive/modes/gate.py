"""When the expert is requested, of the whole robot or of one action group: options, budget and state machine.

Hysteresis follows LazyDAgger; the budget of requests follows ThriftyDAgger. See `thresholds`.
"""

from __future__ import annotations

from dataclasses import dataclass

from il_ros.control.supervisor.arbitration import (
    RELEASED,
    Absence,
    AbsenceKind,
    Arbitration,
    ArbitrationInput,
    Request,
)
from il_ros.interactive.modes.thresholds import (
    AttentionBudget,
    AttentionHistory,
    InterventionThreshold,
    S,
    UncertaintyTrigger,
)
from il_ros.records.decision import NOBODY
from il_ros.records.labelling import EXPERT, POLICY

TIMED_OUT = ("hold", "resume", "stop")
TAKEOVERS = ("anytime", "asked")
SOURCES = ("policy", "progress")
"""What may request the expert: the policy's uncertainty, and a model that sees no progress (node `judge`)."""
STATES = ("driving", "helped", "waiting", "stopped")
"""Of a gate; of several groups, the status says the last of theirs."""


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
    `warm_up_s`: see `thresholds.AttentionBudget`. `sources`: which of SOURCES request, with spaces between.
    `stalled`: time without progress, in units of the longest in a success, above which `progress` does.
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
    sources: str = SOURCES[0]
    stalled: float = 1.5

    def __post_init__(self) -> None:
        for name, allowed in (("timed_out", TIMED_OUT), ("takeover", TAKEOVERS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, not '{getattr(self, name)}'")
        if not (self.ask >= 0 and 0 <= self.release <= 1 and self.timeout_s > 0 and self.least_s >= 0):
            raise ValueError(
                "ask >= 0, 0 <= release <= 1, timeout_s > 0 and least_s >= 0 are needed, not "
                f"ask {self.ask}, release {self.release}, timeout_s {self.timeout_s}, least_s {self.least_s}"
            )
        unknown = [name for name in self.sources.split() if name not in SOURCES]
        if unknown or not self.sources.split():
            raise ValueError(
                f"sources is '{self.sources}'; it must be one or more of {', '.join(SOURCES)}, with spaces between"
            )
        if not self.stalled > 0:
            raise ValueError(f"stalled is {self.stalled}; it must be above 0")
        self.budget(rate_hz=1.0)

    def budget(self, rate_hz: float, attention: AttentionHistory | None = None) -> AttentionBudget:
        """Return the budget; raises ValueError when its options are invalid."""
        return AttentionBudget(self.per_hour, rate_hz, self.at_once, self.warm_up_s, attention)


class Requests:
    """Counts the requests of one mode; what several groups request at one tick is one request, and paid for once."""

    def __init__(self) -> None:
        self.number = 0
        self._made_ns = -1

    def allowed(self, stamp_ns: int, budget: AttentionBudget) -> bool:
        """Return whether a request may be made at a tick."""
        return stamp_ns == self._made_ns or budget.left(stamp_ns) > 0

    def make(self, stamp_ns: int, budget: AttentionBudget) -> None:
        """Count a request at a tick, and pay for it."""
        if stamp_ns != self._made_ns:
            budget.spend(stamp_ns)
            self.number += 1
            self._made_ns = stamp_ns


class Gate:
    """A state machine: driving, waiting for the expert, helped by the expert, stopped. Times are tick stamps.

    It is the whole robot's or that of one action group. That of the robot: while the expert helps, it drives the action
    groups that it proposes for and the policy the others; a group that the expert has driven and in which it falls
    silent waits.
    """

    def __init__(
        self,
        options: GatedOptions,
        budget: AttentionBudget,
        threshold: InterventionThreshold,
        requests: Requests,
        groups: tuple[str, ...] = (),
    ) -> None:
        self._options, self._budget, self._learnt, self._requests = options, budget, threshold, requests
        self._groups, self._least_ns = groups, int(options.least_s * S)
        self.state = "driving"
        self.request: Request | None = None
        self.uncertainty: float | None = None
        self._free_ns = -1
        """The stamp from which the driver may change again."""
        self._doubted = self._failing = False
        """Whether the policy's uncertainty is high, and whether there is no progress."""
        self._why = ""
        self._armed = True
        """False after an answered request, until the uncertainty has been low once: no new request before."""
        self._broken_off = False
        """The expert became absent without a release: only its release hands back, not a low uncertainty."""

    @property
    def threshold(self) -> float | None:
        """The uncertainty above which the expert is requested; None until it is known."""
        floor = self._options.ask or self._learnt.value
        learnt = self._budget.threshold() if self._budget.ready else None
        return max((value for value in (floor, learnt) if value is not None), default=None)

    def left(self, now_ns: int) -> int:
        """Return the number of requests that the budget allows now."""
        return self._budget.left(now_ns)

    @property
    def _uncertain(self) -> bool:
        return self._doubted or self._failing

    def expect(self, stalled: float | None, why: str) -> None:
        """Compare the time without progress with `GatedOptions.stalled`; None: unknown. `why`: that time in words."""
        most = self._options.stalled
        trigger = UncertaintyTrigger(most, self._options.release * most)
        self._failing, self._why = trigger.fires(stalled, self._failing), why
        self._armed = self._armed or not self._uncertain

    def observe(self, uncertainty: float | None) -> None:
        """Compare the policy's newest uncertainty with the threshold."""
        self.uncertainty = uncertainty
        if self.state == "driving" and uncertainty is not None:
            self._budget.observe(uncertainty)
        ask = self.threshold
        if ask is not None:
            trigger = UncertaintyTrigger(ask, self._options.release * ask)
            wanted = SOURCES[0] in self._options.sources.split()
            self._doubted = wanted and trigger.fires(uncertainty, self._doubted)
            self._armed = self._armed or not self._uncertain

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Make the due state transitions, and return the source that gets authority in the new state."""
        if self.state == "driving":
            self._request_or_yield(inputs)
        if self.state == "waiting":
            self._wait(inputs)
        if self.state == "helped":
            self._help(inputs)
        return self._arbitrate(inputs)

    def restart(self) -> None:
        """Start a new episode: the policy drives and an open request is dropped."""
        self._drive(armed=True, free_ns=-1)
        self._doubted = self._failing = False

    def _request_or_yield(self, inputs: ArbitrationInput) -> None:
        if self._options.takeover == "anytime" and not _expert(inputs):
            if inputs.authority == POLICY and self.uncertainty is not None:
                self._learnt.intervened(self.uncertainty)
            self._start_help(inputs.stamp_ns)
        elif self._may_request(inputs.stamp_ns):
            self._requests.make(inputs.stamp_ns, self._budget)
            doubt = f"uncertainty {self.uncertainty:.3g} above {self.threshold:.3g}" if self._doubted else ""
            self._ask(inputs.stamp_ns, doubt or self._why)
            self.state = "waiting"

    def _may_request(self, stamp_ns: int) -> bool:
        rested = stamp_ns >= self._free_ns
        return self._uncertain and self._armed and rested and self._requests.allowed(stamp_ns, self._budget)

    def _ask(self, stamp_ns: int, why: str) -> None:
        self.request = Request(self._requests.number, stamp_ns, why, self._groups)

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
            self.state, self.request = "stopped", None

    def _help(self, inputs: ArbitrationInput) -> None:
        absent, stamp_ns = _expert(inputs), inputs.stamp_ns
        dismissed = self._options.takeover == "asked" and not self._uncertain and stamp_ns >= self._free_ns
        if absent == RELEASED or dismissed:
            self._drive(armed=not self._uncertain, free_ns=stamp_ns + self._least_ns)
        elif absent:
            self._ask(stamp_ns, f"the expert stopped proposing: {absent}")
            self.state, self._broken_off = "waiting", True
        else:
            self.request, self._broken_off = None, False

    def _start_help(self, stamp_ns: int) -> None:
        self.state, self._free_ns = "helped", stamp_ns + self._least_ns

    def _drive(self, *, armed: bool, free_ns: int) -> None:
        self.state, self.request, self._armed, self._broken_off = "driving", None, armed, False
        self._free_ns = free_ns

    def _arbitrate(self, inputs: ArbitrationInput) -> Arbitration:
        if self.state == "stopped":
            return Arbitration(
                NOBODY, f"no expert answered within {self._options.timeout_s:g} s; call ~/restart to continue"
            )
        if self.state == "waiting":
            assert self.request is not None
            always_proposes = self._options.takeover == "asked"  # its proposal for this tick is due
            early = always_proposes and _expert(inputs).kind is AbsenceKind.NOT_YET
            return Arbitration(NOBODY, f"waiting for the expert: {self.request.why}", early=early)
        helps = self.state == "helped" and not _left_to_policy(inputs)
        source = EXPERT if helps else POLICY
        absent = inputs.absences[source]
        return (
            Arbitration(NOBODY, f"{source} {absent}", early=absent.kind is AbsenceKind.NOT_YET)
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
