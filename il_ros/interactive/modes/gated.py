"""Robot-gated control: the policy drives until it doubts, then the robot waits for the expert it asked for.

Hysteresis as in LazyDAgger, a threshold that keeps to a budget of attention as in ThriftyDAgger; see `gates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from il_ros.control.supervisor.arbitration import NOT_YET, RELEASED, Arbitration, ArbitrationInput, Request
from il_ros.interactive.modes.authority import InteractiveMode
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.thresholds import Attention, AttentionBudget, S, UncertaintyTrigger
from il_ros.records.decision import NOBODY
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.records.proposal import Proposal

TIMED_OUT = ("hold", "resume", "stop")
TAKEOVERS = ("anytime", "asked")


@dataclass(frozen=True)
class GatedOptions:
    """When to ask, and what becomes of a request.

    `ask`: doubt above which the expert is asked; 0: learnt alone, from people's interventions and from the
    budget. The budget's own threshold, once known, can only raise it. `release`: the share of that threshold
    below which the doubt is over. `timeout_s`, `timed_out`: after so long unanswered the robot goes on to
    'hold', the policy may 'resume', or all must 'stop' until a restart. `takeover`: a person may take over
    'anytime' by proposing; an expert that always proposes drives only when 'asked', until the doubt is over.
    `least_s`: so long each drives at least: the policy after a hand-back, before it asks again, and an expert
    that was asked, before it is sent away. `per_hour`, `at_once`, `warm_up_s`: see `gates.AttentionBudget`.
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
                raise ValueError(f"{name} is one of {', '.join(allowed)}, not '{getattr(self, name)}'")
        if not (self.ask >= 0 and 0 <= self.release <= 1 and self.timeout_s > 0 and self.least_s >= 0):
            raise ValueError(
                "ask >= 0, 0 <= release <= 1, timeout_s > 0 and least_s >= 0 are needed, not "
                f"ask {self.ask}, release {self.release}, timeout_s {self.timeout_s}, least_s {self.least_s}"
            )
        self.budget(rate_hz=1.0)

    def budget(self, rate_hz: float, attention: Attention | None = None) -> AttentionBudget:
        """Return the budget; raises ValueError when there can't be such a one."""
        return AttentionBudget(self.per_hour, rate_hz, self.at_once, self.warm_up_s, attention)


class Gated(InteractiveMode):
    """Driving, waiting for the expert, being helped, or stopped. Times are the ticks' stamps."""

    name = "gated"

    def __init__(self, memory: ModeMemory, options: GatedOptions, rate_hz: float) -> None:
        super().__init__(memory)
        self._options = options
        self._budget = options.budget(rate_hz, memory.attention)
        self._least_ns = int(options.least_s * S)
        self._asked = 0
        self._state = "driving"
        self._free_ns = -1
        """From this stamp on the driver may change again."""
        self._uncertain = False
        self._armed = True
        """False after an answer: it is not asked again before the doubt was over once."""
        self._broken_off = False
        """The expert ceased without letting go: not the doubt, but its let-go hands back, also a late one."""

    @property
    def threshold(self) -> float | None:
        """The doubt above which the expert is asked; None while nothing says what it should be."""
        floor = self._options.ask or self.memory.threshold.value
        learnt = self._budget.threshold() if self._budget.ready else None
        return max((value for value in (floor, learnt) if value is not None), default=None)

    def observe(self, name: str, proposal: Proposal) -> None:
        """Judge the policy's doubt."""
        super().observe(name, proposal)
        if name != POLICY:
            return
        if self._state == "driving" and proposal.uncertainty is not None:
            self._budget.saw(proposal.uncertainty)
        ask = self.threshold
        if ask is not None:
            limiter = UncertaintyTrigger(ask, self._options.release * ask)
            self._uncertain = limiter.uncertain(proposal.uncertainty, self._uncertain)
            self._armed = self._armed or not self._uncertain

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Go on from one state to the next as far as the situation says, and return who drives there."""
        if self._state == "driving":
            self._maybe_ask(inputs)
        if self._state == "waiting":
            self._wait(inputs)
        if self._state == "helped":
            self._be_helped(inputs)
        return self._arbitrate(inputs)

    def restart(self) -> None:
        """Drive again; an open request lapses."""
        self._drive(armed=True, free_ns=-1)
        self._uncertain = False

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return the request, the threshold and the budget besides."""
        return super().state(now_ns) | {
            "state": self._state,
            "threshold": self.threshold,
            "budget_left": self._budget.left(now_ns),
            "request": None if self.request is None else vars(self.request),
        }

    def _maybe_ask(self, inputs: ArbitrationInput) -> None:
        if self._options.takeover == "anytime" and not inputs.absences[EXPERT]:
            if inputs.authority == POLICY and self.uncertainty is not None:
                self.memory.threshold.intervened(self.uncertainty)
            self._be_helped_from(inputs.stamp_ns)
        elif self._may_ask(inputs.stamp_ns):
            self._budget.spend(inputs.stamp_ns)
            self._asked += 1
            why = f"doubt {self.uncertainty:.3g} above {self.threshold:.3g}"
            self.request = Request(self._asked, inputs.stamp_ns, why)
            self._state = "waiting"

    def _may_ask(self, stamp_ns: int) -> bool:
        rested = stamp_ns >= self._free_ns
        return self._uncertain and self._armed and rested and self._budget.left(stamp_ns) > 0

    def _wait(self, inputs: ArbitrationInput) -> None:
        assert self.request is not None
        waited_s = (inputs.stamp_ns - self.request.since_ns) / 1e9
        absent, free_ns = inputs.absences[EXPERT], inputs.stamp_ns + self._least_ns
        over = absent == RELEASED if self._broken_off else not self._uncertain
        if not absent:
            self._be_helped_from(inputs.stamp_ns)
        elif over:
            self._drive(armed=not self._uncertain, free_ns=free_ns)
        elif waited_s > self._options.timeout_s and self._options.timed_out == "resume":
            self._drive(armed=False, free_ns=free_ns)
        elif waited_s > self._options.timeout_s and self._options.timed_out == "stop":
            self._state, self.request = "stopped", None

    def _be_helped(self, inputs: ArbitrationInput) -> None:
        absent, stamp_ns = inputs.absences[EXPERT], inputs.stamp_ns
        sent_away = self._options.takeover == "asked" and not self._uncertain and stamp_ns >= self._free_ns
        if absent == RELEASED or sent_away:
            self._drive(armed=not self._uncertain, free_ns=stamp_ns + self._least_ns)
        elif absent:
            self.request = Request(self._asked, stamp_ns, f"the expert broke off: {absent}")
            self._state, self._broken_off = "waiting", True
        else:
            self.request, self._broken_off = None, False

    def _be_helped_from(self, stamp_ns: int) -> None:
        self._state, self._free_ns = "helped", stamp_ns + self._least_ns

    def _drive(self, *, armed: bool, free_ns: int) -> None:
        self._state, self.request, self._armed, self._broken_off = "driving", None, armed, False
        self._free_ns = free_ns

    def _arbitrate(self, inputs: ArbitrationInput) -> Arbitration:
        if self._state == "stopped":
            return Arbitration(
                NOBODY, f"nobody answered within {self._options.timeout_s:g} s; ~/restart goes on"
            )
        if self._state == "waiting":
            assert self.request is not None
            always = self._options.takeover == "asked"  # such an expert is about to propose for this tick
            early = always and inputs.absences[EXPERT] == NOT_YET
            return Arbitration(NOBODY, f"waiting for the expert: {self.request.why}", early=early)
        source = EXPERT if self._state == "helped" else POLICY
        absent = inputs.absences[source]
        return (
            Arbitration(NOBODY, f"{source} {absent}", early=absent == NOT_YET)
            if absent
            else Arbitration(source)
        )
