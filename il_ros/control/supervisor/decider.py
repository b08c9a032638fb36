"""What the supervisor decides for a tick: the source in authority, its target, and what is sent.

`supervision.py` says when. A decision passes through this file once: `arbitrate`, then `decide`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

from il_ros.control.chunks import step_due
from il_ros.control.limiter.shaper import CommandShaper
from il_ros.control.supervisor.arbitration import Absences, Arbitration, ArbitrationInput, Mode
from il_ros.control.supervisor.estop import EmergencyStop
from il_ros.control.supervisor.generations import Generations
from il_ros.control.supervisor.proposal_buffer import ProposalBuffer
from il_ros.core.contract import Contract
from il_ros.records.decision import NOBODY, Decision, Numbers
from il_ros.records.proposal import Proposal


class TargetOrigin(Enum):
    """How the target of a decision was obtained."""

    NONE = auto()
    PROPOSED = auto()
    CONTINUED = auto()
    REPEATED = auto()


@dataclass(frozen=True)
class Target:
    """The target of a decision: `values` (A,) or None, their origin, and a remark for the decision's reason."""

    values: Numbers | None
    origin: TargetOrigin
    remark: str = ""


class Decider:
    """Assigns authority, and limits the target of the source that has it; keeps the state of both.

    `buffer`: the proposals to choose from. `estop`: while it is latched, no source gets authority.
    `ended`: the reason for which none gets it any more, "" while running.
    """

    def __init__(
        self,
        contract: Contract,
        buffer: ProposalBuffer,
        shaper: CommandShaper,
        estop: EmergencyStop,
        mode: Mode,
    ) -> None:
        self.mode = mode
        self.authority, self.reason = NOBODY, "no source has proposed"
        self.ended = ""
        self.shaper = shaper
        self._period_ns, self._buffer, self._estop = contract.period_ns, buffer, estop
        # without a declaration the source's time-out alone decides
        declared = [action.expires_s for action in contract.actions if action.expires_s is not None]
        self._expires_s = min(declared, default=math.inf)
        self._generations, self._mixed = Generations(), False
        self._handover_unreported = False

    @property
    def generation(self) -> int:
        """Count of handovers, restarts and changes of mode."""
        return self._generations.number

    def switch(self, mode: Mode, now_ns: int) -> None:
        """Change the mode; start a new generation with a ramp from the measured state."""
        self.mode, self._mixed = mode, False
        self._generations.begin(now_ns, self._buffer.states)
        self.shaper.begin()

    def restart(self, now_ns: int, *, placed: bool) -> None:
        """Start a new episode and generation: discard proposals, ramp from the measured state.

        `placed`: a simulator may have placed the robot elsewhere, away from the last command.
        """
        self._generations.begin(now_ns, self._buffer.states)
        self._buffer.forget()
        self.mode.restart()
        self.authority, self.reason, self.ended, self._mixed = NOBODY, "restarted", "", False
        self._handover_unreported = False
        self.shaper.restart(placed=placed)

    def arbitrate(self, stamp_ns: int, time_ns: int, steady_ns: int) -> tuple[Arbitration, Absences]:
        """Return which source gets authority at the tick `stamp_ns`, and which are absent at `time_ns`."""
        absences = self._buffer.absences(time_ns, steady_ns)
        stopped = self._stopped()
        if stopped:
            return Arbitration(NOBODY, stopped), absences
        return self.mode.choose(ArbitrationInput(stamp_ns, self.authority, absences)), absences

    def waits(self, arbitration: Arbitration) -> bool:
        """Return whether a source that has not proposed yet is awaited, so that there is nothing to decide."""
        return arbitration.early and self.authority == NOBODY and not self._handover_unreported

    def decide(
        self,
        arbitration: Arbitration,
        absences: Absences,
        stamp_ns: int,
        time_ns: int,
        clocks_ns: tuple[int, int],
    ) -> Decision:
        """Return the decision for the tick `stamp_ns`, taken at `time_ns`; see `CommandShaper.advance`."""
        winner = arbitration.authority
        if winner != self.authority and not (arbitration.mixed and self._mixed):
            self.hand_over(arbitration, absences, stamp_ns)
        elif not (self._handover_unreported and winner == self.authority):
            self.authority = winner
            self.reason = (
                _no_authority_reason(arbitration, absences)
                if winner == NOBODY
                else arbitration.reason or "proposed"
            )
        self._mixed, self._handover_unreported = arbitration.mixed, False
        proposals = self._buffer.for_tick(stamp_ns)
        proposal = None if winner == NOBODY else self._buffer.states[winner].proposal
        target = self._target(winner, proposal, stamp_ns, time_ns)
        limited = self.shaper.advance(
            target.values, stamp_ns, time_ns, clocks_ns, emergency=bool(self._stopped())
        )
        if target.values is None:
            proposal = None
        else:
            proposals[winner] = None if target.origin is TargetOrigin.REPEATED else target.values
        return Decision(
            stamp_ns=stamp_ns,
            sent_ns=time_ns,
            authority=NOBODY if target.values is None else winner,
            reason=f"{self.reason}; {target.remark}" if target.remark else self.reason,
            proposals=proposals,
            sent=self.shaper.sent,
            limited=limited,
            generation=self.generation,
            version=proposal.version if proposal else "",
            beta=arbitration.beta,
            uncertainty=proposal.uncertainty
            if proposal and proposal.uncertainty is not None
            else self.mode.uncertainty,
            rejected=self._buffer.rejections(),
            mode=self.mode.name,
            disagreement=self.mode.disagreement(stamp_ns),
            queried=arbitration.queried,
        )

    def hand_over(self, arbitration: Arbitration, absences: Absences, from_ns: int) -> None:
        """Start a new generation under the winner of the arbitration, with a new ramp."""
        winner, before = arbitration.authority, self.authority
        self.authority, self._handover_unreported = winner, True
        self._generations.begin(from_ns, self._buffer.proposing_before(from_ns))
        if winner == NOBODY:
            self.reason = _no_authority_reason(arbitration, absences)
            return
        self.shaper.begin()
        if before == NOBODY:
            self.reason = f"{winner} has authority"
        elif absences[before]:
            self.reason = f"{winner} has authority: {before} {absences[before]}"
        else:
            self.reason = f"{winner} takes over from {before}"
        self.reason += f"; {arbitration.reason}" if arbitration.reason else ""

    def _target(self, winner: str, proposal: Proposal | None, stamp_ns: int, time_ns: int) -> Target:
        """Return the target at the tick from the newest proposal of `winner`; no values while it may not move."""
        if proposal is None:
            return Target(None, TargetOrigin.NONE)
        if not self._generations.admits(winner, proposal):
            waiting = f"waiting for its first proposal of generation {self.generation}"
            return Target(None, TargetOrigin.NONE, waiting)
        step = 0 if proposal.stamp_ns == stamp_ns else step_due(proposal.stamp_ns, stamp_ns, self._period_ns)
        last = len(proposal.chunk) - 1
        age_s = (stamp_ns - proposal.stamp_ns - last * self._period_ns) / 1e9
        if age_s > self._expires_s:
            expired = f"its last command has expired, {age_s:.3f} s old; expires_s is {self._expires_s:g}"
            return Target(None, TargetOrigin.NONE, expired)
        values: Numbers = tuple(proposal.chunk[min(step, last)].tolist())
        missing = self.shaper.start(values, time_ns)
        if missing:
            return Target(None, TargetOrigin.NONE, missing)
        if step == 0:
            return Target(values, TargetOrigin.PROPOSED)
        if step > last:
            return Target(values, TargetOrigin.REPEATED, "silent this tick, last target repeated")
        return Target(values, TargetOrigin.CONTINUED, f"step {step} of its last chunk")

    def _stopped(self) -> str:
        return self._estop.latched or self.ended


def _no_authority_reason(arbitration: Arbitration, absences: Absences) -> str:
    return arbitration.reason or "; ".join(f"{name} {why}" for name, why in absences.items() if why)
