"""The supervisor without ROS: proposals, measurements and timer ticks with their times in; decisions out.

The supervisor decides as soon as the source in authority has proposed for a new tick. Without a proposal the
timer decides: it continues the source's last chunk, then repeats the last target until that expires
(a declared `expires_s`) or the source times out. Authority then passes to the next source or to the declared
safe behaviour. There is one decision per tick. It is the whole robot's: with several action groups it is due when the
sources in authority over all of them have proposed.

Times: `now_ns` is the node's clock (ROS time, possibly simulated); `steady_ns` is monotonic. The robot's clock
bounds motion: the steady clock on a robot, /clock in simulation. A stamp never counts as time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from il_ros.control.limiter.safety import quaternion_slices
from il_ros.control.limiter.shaper import CommandShaper
from il_ros.control.limiter.workspace import Workspace
from il_ros.control.supervisor.arbitration import Absences, Mode, Priority, Source
from il_ros.control.supervisor.contact import ContactWatch
from il_ros.control.supervisor.decider import Arbitrations, Decider
from il_ros.control.supervisor.estop import EmergencyStop
from il_ros.control.supervisor.following import FollowingCheck
from il_ros.control.supervisor.options import SupervisorOptions as SupervisorOptions
from il_ros.control.supervisor.proposal_buffer import ProposalBuffer, Reception
from il_ros.control.supervisor.rest import Rest
from il_ros.control.supervisor.watchdog import Watchdog
from il_ros.core.contract import Contract
from il_ros.records.decision import NOBODY, Decision
from il_ros.records.proposal import Proposal


class Supervision:
    """Decides when to decide; `Decider` decides what. Together they hold the full state, but no clock."""

    def __init__(
        self,
        contract: Contract,
        sources: Sequence[Source],
        options: SupervisorOptions,
        estop: EmergencyStop | None = None,
        mode: Mode | None = None,
        workspace: Workspace | None = None,
    ):
        self.proposal_buffer = ProposalBuffer(
            sources,
            contract.action_names,
            contract.period_ns,
            2 * options.silence_s,
            quaternion_slices(contract.actions),
            contract.groups,
        )
        unknown = [name for name in options.manual if name not in self.proposal_buffer.states]
        if unknown:
            known = ", ".join(self.proposal_buffer.states)
            raise ValueError(f"manual: '{unknown[0]}' is not a source; there are: {known}")
        self._rest = Rest(options.start_at_rest, options.manual)
        self.estop = estop or EmergencyStop()
        self.watchdog = Watchdog(int(options.silence_s * 1e9), contract.period_ns)
        self.skipped = 0
        """Count of accepted proposals without a decision: their tick, or the one just before, was answered."""
        self.episode_ns = 0
        """When the last episode began, by the node's clock; 0 without one."""
        self._period_ns, self._grouped = contract.period_ns, contract.grouped
        self._shaper = shaper = CommandShaper(
            contract,
            without_measurement=options.without_measurement,
            keep_command=options.keep_command,
            hold_at_start=options.hold_at_start,
            tolerance=options.tolerance(),
            simulated=options.simulated,
            workspace=workspace,
        )
        self.measured = shaper.measured
        self._contact = ContactWatch(contract)
        self._decider = Decider(
            contract,
            self.proposal_buffer,
            shaper,
            self.estop,
            Priority() if mode is None else mode,
            self._rest,
            self._contact,
            FollowingCheck(contract, options.tolerance(), options.unresponsive_s, options.keep_command),
            simulated=options.simulated,
        )
        self._simulated = options.simulated
        self._now_ns = self._stamp_ns = self._decided_ns = self._moved_ns = 0
        self._ahead: tuple[str, int] | None = None
        self._by_timer = True

    @property
    def authority(self) -> str:
        """The source in authority, or NOBODY; of groups that differ, `joined_authority`."""
        return self._decider.authority

    @property
    def authorities(self) -> dict[str, str]:
        """The source in authority over each action group, or NOBODY."""
        return {group: state.source for group, state in self._decider.groups.items()}

    @property
    def reasons(self) -> dict[str, str]:
        """Why it has authority over each action group, or why none has."""
        return {group: state.reason for group, state in self._decider.groups.items()}

    @property
    def reason(self) -> str:
        """Why it has authority, or why none has."""
        return self._decider.reason

    @property
    def mode(self) -> Mode:
        """The rule that assigns authority."""
        return self._decider.mode

    @property
    def generation(self) -> int:
        """Count of handovers, restarts and changes of mode."""
        return self._decider.generation

    @property
    def generation_ns(self) -> int:
        """The tick at which the newest generation of all action groups began."""
        return self._decider.generation_ns

    @property
    def at_rest(self) -> bool:
        """Whether the robot is at rest until a person lets it drive."""
        return self._rest.active

    @property
    def measurements(self) -> dict[str, str]:
        """Type of each topic that `measure` needs."""
        specs = (*self.measured.specs, *self._contact.specs)
        return {topic: spec.type for spec in specs for topic in spec.topics}

    @property
    def stop_due(self) -> bool:
        """Whether the emergency stop latched since the last decision."""
        return self._decider.stop_due

    # ---- inputs ------------------------------------------------------------------------------------------

    def propose(self, name: str, proposal: Proposal, now_ns: int, steady_ns: int) -> Decision | None:
        """Process a proposal from the topic of source `name`; return the decision it triggered, if any."""
        self._decider.check_last()
        self._notice_clock(now_ns)
        if proposal.releases:
            return self._release(name, proposal, now_ns, steady_ns)
        reception = self.proposal_buffer.add(name, proposal, now_ns, steady_ns)
        if reception is Reception.LATE:
            return None
        if reception is Reception.ACCEPTED:
            self._decider.mode.observe(name, proposal)
        stamp_ns = proposal.stamp_ns
        self._ahead = None
        decision = self._answer(name, stamp_ns, max(now_ns, stamp_ns), steady_ns)
        if decision is None and self._ahead is None:
            self.skipped += name in self.authorities.values()
        return decision

    def measure(self, topic: str, raw: bytes, now_ns: int, steady_ns: int) -> Decision | None:
        """Process a serialised message of the robot's sensors; return the stopping decision on a contact.

        Raises KeyError when the topic is not needed, ValueError when the bytes are not a message.
        """
        self._decider.check_last()
        if topic in self.measured.topics:
            self.measured.push(topic, raw, now_ns)
        contact = self._contact.push(topic, raw, now_ns, self._robot_ns(steady_ns))
        if contact:
            self.estop.trip(contact, gently=self._contact.gentle)
        return self.answer_estop(now_ns, steady_ns)

    def fault(self, name: str, reason: str) -> None:
        """Record an unreadable message of source `name`, which is faulty until its next valid proposal."""
        self.proposal_buffer.reject(name, reason, faulty=True)

    def tick(self, now_ns: int, steady_ns: int) -> Decision | None:
        """Answer a proposal that arrived before its /clock; check for silence. Return the decision, if any.

        While the node's clock stands still, an unchanged command is not repeated.
        """
        self._decider.check_last()
        self._notice_clock(now_ns)
        if self._ahead is not None and self._ahead[1] <= now_ns:
            (name, stamp_ns), self._ahead = self._ahead, None
            answer = self._answer(name, stamp_ns, now_ns, steady_ns)
            if answer is not None:
                return answer
        self.estop.check(steady_ns)
        if not (self.watchdog.overdue(steady_ns) or self._decider.stop_due):
            return None
        before = (self.authority, self._shaper.sent)
        clock_stopped = now_ns <= self._decided_ns
        decision = self._decide_by_timer(now_ns, steady_ns)
        return None if clock_stopped and before == (self.authority, decision.sent) else decision

    def answer_estop(self, now_ns: int, steady_ns: int) -> Decision | None:
        """Return the stopping decision if the emergency stop latched since the last decision, else None."""
        self._decider.check_last()
        if not self._decider.stop_due:
            return None
        self._notice_clock(now_ns)
        return self._decide_by_timer(now_ns, steady_ns)

    def reset_estop(self, steady_ns: int) -> str:
        """Reset the emergency stop and restart; return the reason of a refusal, "" on success.

        With `start_at_rest` the robot is at rest afterwards.
        """
        refused = self.estop.reset(steady_ns)
        if not refused:
            self._decider.stop_decided = False
            self._rest.begin()
            self.restart()
        return refused

    def drive(self, allowed: bool) -> str:
        """Let the sources drive, or go to rest; return the reason of a refusal, "" on success.

        The next decision hands over, with a new generation and a ramp from the measured state.
        """
        if allowed and self.estop.latched:
            return f"{self.estop.latched}; release the emergency stop first"
        self._rest.active = not allowed
        return ""

    def switch(self, mode: Mode) -> None:
        """Change the mode; start a new generation with a ramp from the measured state."""
        self._decider.switch(mode, self._now_ns)

    def activate(self) -> None:
        """Restart without a last command: other nodes may have moved the robot meanwhile.

        Nothing is sent until a ramp starts, anywhere within the position limits.
        """
        self._shaper.forget()
        self._rest.begin()
        self.restart()

    def begin_episode(self) -> None:
        """Start a new episode: restart, and drop the past in the sources' windows."""
        self.episode_ns = self._now_ns
        self.restart()

    def restart(self) -> None:
        """Start a new generation: discard proposals, ramp from the measured state.

        On a robot, that state must be near the last command; a simulator may have placed the robot elsewhere.
        """
        self._ahead = None
        self._decider.restart(self._now_ns, placed=self._simulated)

    def finish(self, now_ns: int, steady_ns: int) -> Decision | None:
        """Return the final decision, which stops the robot; None when no command was ever sent."""
        self._decider.check_last()
        self._decider.ended = "deactivated"
        decision = self._decide_by_timer(now_ns, steady_ns)
        return None if decision.sent is None else decision

    def _release(self, name: str, proposal: Proposal, now_ns: int, steady_ns: int) -> Decision | None:
        """Hand over at once; the command follows with the next source's proposal, or now without a source."""
        if not self.proposal_buffer.release(name, proposal, now_ns):
            return None
        arbitrations, absences = self._decider.arbitrate(proposal.stamp_ns, now_ns, steady_ns)
        left = {
            group: arbitration
            for group, arbitration in arbitrations.items()
            if self._decider.groups[group].source == name != arbitration.authority
        }
        if left:
            self._decider.hand_over(left, absences, max(proposal.stamp_ns, self._stamp_ns + 1))
        return self._answer(name, proposal.stamp_ns, max(now_ns, proposal.stamp_ns), steady_ns)

    def _notice_clock(self, now_ns: int) -> None:
        if now_ns < self._now_ns - self._period_ns:
            self.measured.clear()
            self._contact.clear()
            self._now_ns = self._stamp_ns = self._decided_ns = self._moved_ns = 0
            self.restart()
        self._now_ns = now_ns

    def _robot_ns(self, steady_ns: int) -> int:
        return self._now_ns if self._simulated else steady_ns

    # ---- when to decide ----------------------------------------------------------------------------------

    def _answer(self, name: str, stamp_ns: int, time_ns: int, steady_ns: int) -> Decision | None:
        """Decide for the tick `stamp_ns`, unless it was decided or the source in authority is still due."""
        if stamp_ns <= self._stamp_ns:
            return None
        arbitrations, absences = self._decider.arbitrate(stamp_ns, time_ns, steady_ns)
        if self._decider.waits(arbitrations):
            return None
        for group, arbitration in arbitrations.items():
            if self._due(group, arbitration.authority, stamp_ns):
                return None  # the winner's proposal for this tick will trigger the decision, or the timer
        if self._decider.keeps(arbitrations) and not self._by_timer:
            apart_ns = min(2 * (stamp_ns - self._stamp_ns), 4 * (self._robot_ns(steady_ns) - self._moved_ns))
            if apart_ns < self._period_ns:  # one command per control period, also in a burst
                if self._simulated and stamp_ns > self._now_ns:
                    self._ahead = name, stamp_ns  # its /clock is still on the way
                return None
        self._by_timer = False
        self.watchdog.feed(steady_ns)
        return self._decide(arbitrations, absences, stamp_ns, time_ns, steady_ns)

    def _due(self, group: str, winner: str, stamp_ns: int) -> bool:
        """Return whether the proposal of a group's winner for the tick is still awaited.

        Of several groups, one whose source has missed a tick does not hold up the others: its last chunk is continued.
        """
        newest = None if winner == NOBODY else self.proposal_buffer.of(group)[winner].proposal
        if newest is None:
            return winner != NOBODY
        behind_ns = stamp_ns - newest.stamp_ns
        return behind_ns > 0 and not (self._grouped and 2 * behind_ns > 3 * self._period_ns)

    def _decide_by_timer(self, now_ns: int, steady_ns: int) -> Decision:
        self._by_timer = True
        # Stamp the tick that is due by now, not the present time: with the present time, the next proposals
        # would be for ticks already decided, and the timer would decide all following ticks.
        lags_ns = [self.proposal_buffer.lag_ns(name, group) for group, name in self.authorities.items()]
        stamp_ns = max(
            now_ns - max(lags_ns), self._stamp_ns + 1
        )  # stamps increase, even when the clock stands still
        arbitrations, absences = self._decider.arbitrate(stamp_ns, now_ns, steady_ns)
        return self._decide(arbitrations, absences, stamp_ns, now_ns, steady_ns)

    def _decide(
        self,
        arbitrations: Arbitrations,
        absences: Mapping[str, Absences],
        stamp_ns: int,
        time_ns: int,
        steady_ns: int,
    ) -> Decision:
        clocks_ns = self._now_ns, steady_ns
        decision = self._decider.decide(arbitrations, absences, stamp_ns, time_ns, clocks_ns)
        self._stamp_ns, self._decided_ns, self._moved_ns = stamp_ns, time_ns, self._robot_ns(steady_ns)
        return decision
