"""The supervisor without ROS: proposals, measurements and timer ticks in, with their times; decisions out.

A decision falls the moment the source in authority has proposed for a new tick, and on the timer when that
fails to come: then the source's chunk goes on, else its last wish stays in force, until its time-out hands
authority to the next source or to the declared safe behaviour. There is one decision per tick.

Times: `now_ns` is the node's clock (ROS time, simulated maybe), `steady_ns` never stops or jumps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from il_ros.control.chunks import step_due
from il_ros.control.limiter.shaper import CommandShaper
from il_ros.control.supervisor.arbitration import (
    Absences,
    Arbitration,
    ArbitrationInput,
    Mode,
    Priority,
    Source,
)
from il_ros.control.supervisor.estop import EmergencyStop
from il_ros.control.supervisor.generations import Generations
from il_ros.control.supervisor.proposal_buffer import ProposalBuffer
from il_ros.control.supervisor.watchdog import Watchdog
from il_ros.core.contract import Contract
from il_ros.records.decision import NOBODY, Decision, Numbers
from il_ros.records.proposal import Proposal


@dataclass(frozen=True)
class SupervisorOptions:
    """`silence_s`: without a decision for so long (steady clock), the timer decides.

    `without_measurement`: when a ramp starts and a measurement is missing, 'wait' (safe behaviour meanwhile)
    or start from the last command, at first from the wish itself: 'trust'. `keep_command`: see Actuation.
    `hold_at_start`: hold the measured state before anybody has proposed, instead of sending nothing.
    """

    silence_s: float
    without_measurement: str = "wait"
    keep_command: tuple[str, ...] = ()
    hold_at_start: bool = False

    def __post_init__(self) -> None:
        if self.without_measurement not in ("wait", "trust"):
            raise ValueError(f"without_measurement is 'wait' or 'trust', not '{self.without_measurement}'")


class Supervision:
    """Who has authority and what is sent; holds all that a decision depends on, and no clock."""

    def __init__(
        self,
        contract: Contract,
        sources: Sequence[Source],
        options: SupervisorOptions,
        estop: EmergencyStop | None = None,
        mode: Mode | None = None,
    ):
        self.proposals_in = ProposalBuffer(
            sources, contract.action_names, contract.period_ns, 2 * options.silence_s
        )
        self.estop = estop or EmergencyStop()
        self.watchdog = Watchdog(int(options.silence_s * 1e9), contract.period_ns)
        self.mode: Mode = Priority() if mode is None else mode
        self.authority, self.reason = NOBODY, "nobody has proposed"
        self.skipped = 0
        """Proposals let in that led to no decision: their tick was answered, or the one before just now."""
        self._period_ns = contract.period_ns
        self._shaper = CommandShaper(
            contract,
            without_measurement=options.without_measurement,
            keep_command=options.keep_command,
            hold_at_start=options.hold_at_start,
        )
        self.measured = self._shaper.measured
        self._now_ns = self._stamp_ns = self._decided_ns = 0
        self._generations, self._mixed = Generations(), False
        self._by_timer, self._ended = True, ""
        self._untold = False

    @property
    def generation(self) -> int:
        """Counts handovers, restarts and changes of mode."""
        return self._generations.number

    # ---- what comes in -----------------------------------------------------------------------------------

    def propose(self, name: str, proposal: Proposal, now_ns: int, steady_ns: int) -> Decision | None:
        """Take a proposal in that came on source `name`'s topic; return the decision it led to, if any."""
        self._notice_clock(now_ns)
        if proposal.releases:
            return self._release(name, proposal, now_ns, steady_ns)
        if not self.proposals_in.take(name, proposal, now_ns, steady_ns):
            return None
        if self.proposals_in.states[name].proposal is proposal:
            self.mode.hear(name, proposal)
        stamp_ns = proposal.stamp_ns
        decision = self._answer(name, stamp_ns, max(now_ns, stamp_ns), steady_ns)
        self.skipped += decision is None and name == self.authority
        return decision

    def fault(self, name: str, reason: str) -> None:
        """Note that source `name` sent something unreadable; the timer drops it if nothing better comes."""
        self.proposals_in.reject(name, reason, faulty=True)

    def tick(self, now_ns: int, steady_ns: int) -> Decision | None:
        """Look after silence; return the decision that the timer had to make, if any.

        While the clock stands still a command that changes nothing is not repeated.
        """
        self._notice_clock(now_ns)
        pressed = self.estop.check(steady_ns)
        if not (self.watchdog.overdue(steady_ns) or pressed):
            return None
        before = (self.authority, self._shaper.sent)
        standing = now_ns <= self._decided_ns
        decision = self._unasked(now_ns, steady_ns)
        return None if standing and before == (self.authority, decision.sent) else decision

    def press(self, name: str, pressed: bool, now_ns: int, steady_ns: int) -> Decision | None:
        """Take the state of an emergency stop's input in; return the stopping decision when it latched."""
        self._notice_clock(now_ns)
        return self._unasked(now_ns, steady_ns) if self.estop.hear(name, pressed, steady_ns) else None

    def reset_estop(self, steady_ns: int) -> str:
        """Open the emergency stop's latch; return why not, "" when it is open. Then a fresh epoch begins."""
        refused = self.estop.reset(steady_ns)
        if not refused:
            self.restart()
        return refused

    def switch(self, mode: Mode) -> None:
        """Let another mode choose from now on, in a new epoch with a ramp from the measured state."""
        self.mode, self._mixed = mode, False
        self._generations.begin(self._now_ns, self.proposals_in.states)
        self._shaper.begin()

    def restart(self) -> None:
        """Begin a new episode and epoch: forget proposals, start again from the measured state, at rest."""
        self._generations.begin(self._now_ns, self.proposals_in.states)
        self.proposals_in.forget()
        self.mode.restart()
        self.authority, self.reason, self._ended, self._mixed = NOBODY, "restarted", "", False
        self._untold = False
        self._shaper.restart()

    def finish(self, now_ns: int, steady_ns: int) -> Decision | None:
        """Return the last decision before going silent: stop. None when nothing was ever sent."""
        self._ended = "deactivated"
        decision = self._unasked(now_ns, steady_ns)
        return None if decision.sent is None else decision

    def _release(self, name: str, proposal: Proposal, now_ns: int, steady_ns: int) -> Decision | None:
        """Hand over at once; the command follows with the next one's proposal, or now when there is none."""
        if not self.proposals_in.release(name, proposal, now_ns):
            return None
        absences = self.proposals_in.absences(now_ns, steady_ns)
        arbitration = self._arbitrate(proposal.stamp_ns, absences)
        if self.authority == name != arbitration.authority:
            self._hand_over(arbitration, absences, max(proposal.stamp_ns, self._stamp_ns + 1))
        return self._answer(name, proposal.stamp_ns, max(now_ns, proposal.stamp_ns), steady_ns)

    def _notice_clock(self, now_ns: int) -> None:
        if now_ns < self._now_ns - self._period_ns:
            self.measured.clear()
            self._now_ns = self._stamp_ns = self._decided_ns = 0
            self.restart()
        self._now_ns = now_ns

    # ---- when to decide ----------------------------------------------------------------------------------

    def _answer(self, name: str, stamp_ns: int, time_ns: int, steady_ns: int) -> Decision | None:
        """Decide for the tick `stamp_ns` now, unless that was done, or must wait for who has authority."""
        if stamp_ns <= self._stamp_ns:
            return None
        absences = self.proposals_in.absences(time_ns, steady_ns)
        arbitration = self._arbitrate(stamp_ns, absences)
        winner = arbitration.authority
        if arbitration.early and self.authority == NOBODY and not self._untold:
            return None
        if winner not in (name, NOBODY):
            other = self.proposals_in.states[winner].proposal
            if other is None or other.stamp_ns < stamp_ns:
                return None  # its own proposal for this tick will decide, or the timer
        if (winner == self.authority or arbitration.mixed) and not self._by_timer:
            apart_ns = min(2 * (stamp_ns - self._stamp_ns), 4 * (time_ns - self._decided_ns))
            if apart_ns < self._period_ns:
                return None  # one command per control period, also in a burst
        self._by_timer = False
        self.watchdog.fed(steady_ns)
        return self._decide(arbitration, absences, stamp_ns, time_ns, steady_ns)

    def _unasked(self, now_ns: int, steady_ns: int) -> Decision:
        self._by_timer = True
        absences = self.proposals_in.absences(now_ns, steady_ns)
        # The tick that should have been answered by now, not the present: were that its stamp, the proposals
        # that come next would be for ticks already passed, and the timer would decide for ever.
        due_ns = now_ns - self.proposals_in.lag_ns(self.authority)
        stamp_ns = max(due_ns, self._stamp_ns + 1)  # stamps ascend, even when the clock stands still
        return self._decide(self._arbitrate(stamp_ns, absences), absences, stamp_ns, now_ns, steady_ns)

    def _arbitrate(self, stamp_ns: int, absences: Absences) -> Arbitration:
        if self._stopped():
            return Arbitration(NOBODY, self._stopped())
        return self.mode.choose(ArbitrationInput(stamp_ns, self.authority, absences))

    def _stopped(self) -> str:
        return self.estop.latched or self._ended

    # ---- what to decide ----------------------------------------------------------------------------------

    def _decide(
        self, arbitration: Arbitration, absences: Absences, stamp_ns: int, time_ns: int, steady_ns: int
    ) -> Decision:
        winner = arbitration.authority
        if winner != self.authority and not (arbitration.mixed and self._mixed):
            self._hand_over(arbitration, absences, stamp_ns)
        elif not (self._untold and winner == self.authority):
            self.authority = winner
            self.reason = (
                _why_none(arbitration, absences) if winner == NOBODY else arbitration.reason or "proposed"
            )
        self._mixed, self._untold = arbitration.mixed, False
        proposals = self.proposals_in.for_tick(stamp_ns)
        target, waiting = self._target(winner, stamp_ns, time_ns)
        limited = self._shaper.go(target, stamp_ns, time_ns, steady_ns, emergency=bool(self._stopped()))
        if target is not None:
            proposals[winner] = None if waiting == _REPEATED else target
        proposal = None if target is None else self.proposals_in.states[winner].proposal
        self._stamp_ns, self._decided_ns = stamp_ns, time_ns
        return Decision(
            stamp_ns=stamp_ns,
            sent_ns=time_ns,
            authority=NOBODY if target is None else winner,
            reason=f"{self.reason}; {waiting}" if waiting else self.reason,
            proposals=proposals,
            sent=self._shaper.sent,
            limited=limited,
            generation=self.generation,
            version=proposal.version if proposal else "",
            beta=arbitration.beta,
            uncertainty=proposal.uncertainty
            if proposal and proposal.uncertainty is not None
            else self.mode.uncertainty,
            rejected=self.proposals_in.rejections(),
            mode=self.mode.name,
            disagreement=self.mode.disagreement(stamp_ns),
            queried=arbitration.queried,
        )

    def _hand_over(self, arbitration: Arbitration, absences: Absences, from_ns: int) -> None:
        """Begin an epoch under the verdict's winner; its ramp starts afresh."""
        winner, before = arbitration.authority, self.authority
        self.authority, self._untold = winner, True
        self._generations.begin(from_ns, self.proposals_in.proposing_before(from_ns))
        if winner == NOBODY:
            self.reason = _why_none(arbitration, absences)
            return
        self._shaper.begin()
        if before == NOBODY:
            self.reason = f"{winner} has authority"
        elif absences[before]:
            self.reason = f"{winner} has authority: {before} {absences[before]}"
        else:
            self.reason = f"{winner} takes over from {before}"
        self.reason += f"; {arbitration.reason}" if arbitration.reason else ""

    def _target(self, winner: str, stamp_ns: int, time_ns: int) -> tuple[Numbers | None, str]:
        """Return what `winner` wants at the tick, None when it can't have it yet; and a remark."""
        proposal = None if winner == NOBODY else self.proposals_in.states[winner].proposal
        if proposal is None:
            return None, ""
        if not self._generations.admits(winner, proposal):
            return None, f"waiting for its first proposal of generation {self.generation}"
        step = 0 if proposal.stamp_ns == stamp_ns else step_due(proposal.stamp_ns, stamp_ns, self._period_ns)
        last = len(proposal.chunk) - 1
        target: Numbers = tuple(proposal.chunk[min(step, last)].tolist())
        missing = self._shaper.start(target, time_ns)
        if missing:
            return None, missing
        if step == 0:
            return target, ""
        return target, _REPEATED if step > last else f"step {step} of its last chunk"


def _why_none(arbitration: Arbitration, absences: Absences) -> str:
    return arbitration.reason or "; ".join(f"{name} {why}" for name, why in absences.items() if why)


_REPEATED = "silent this tick, its last wish again"
