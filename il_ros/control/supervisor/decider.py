"""What the supervisor decides for a tick: the source in authority, its target, and what is sent.

`supervision.py` says when. A decision passes through this file once: `arbitrate`, then `decide`. Each action group has
its own source in authority; the emergency stop, the rest and the contact stop are the whole robot's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from il_ros.control.chunks.steps import step_due
from il_ros.control.limiter.shaper import CommandShaper
from il_ros.control.supervisor.arbitration import (
    Absences,
    Arbitration,
    ArbitrationInput,
    Mode,
    anywhere,
    joined_reason,
    no_authority_reason,
)
from il_ros.control.supervisor.contact import ContactWatch
from il_ros.control.supervisor.estop import EmergencyStop
from il_ros.control.supervisor.following import FollowingCheck
from il_ros.control.supervisor.generations import Generations
from il_ros.control.supervisor.parts import (
    GroupPart,
    Target,
    TargetOrigin,
    joined_proposal,
    joined_target,
    oldest_s,
    with_targets,
)
from il_ros.control.supervisor.proposal_buffer import ProposalBuffer
from il_ros.control.supervisor.rest import Rest
from il_ros.core.contract import Contract
from il_ros.core.specs import ActionGroup
from il_ros.records.decision import NOBODY, Decision, Numbers, joined_authority
from il_ros.records.proposal import Proposal

Arbitrations = Mapping[str, Arbitration]
"""The arbitration of each action group."""


@dataclass
class GroupAuthority:
    """The authority over one action group.

    `source`: that in authority, or NOBODY; `reason`: why. `expires_s`: how old a command of a silent source may be.
    `mixed`: the source was drawn at random. `unreported`: no decision has reported the handover yet.
    """

    group: ActionGroup
    expires_s: float
    source: str = NOBODY
    reason: str = "no source has proposed"
    mixed: bool = False
    unreported: bool = False


class Decider:
    """Assigns authority, and limits the target of the source that has it; keeps the state of both.

    `buffer`: the proposals to choose from. `estop`: while it is latched, no source gets authority, and at `rest`
    only a manual one. `contact` and `following` latch it. `ended`: the reason for which none gets authority any
    more, "" while running. `simulated`: the robot's clock is the node's.
    """

    def __init__(
        self,
        contract: Contract,
        buffer: ProposalBuffer,
        shaper: CommandShaper,
        estop: EmergencyStop,
        mode: Mode,
        rest: Rest,
        contact: ContactWatch,
        following: FollowingCheck,
        *,
        simulated: bool,
    ) -> None:
        self.mode = mode
        self._rest, self._contact, self._following, self._simulated = rest, contact, following, simulated
        self.stop_decided = False
        """Whether the last decision answered the latched emergency stop."""
        self.ended = ""
        self.shaper = shaper
        self._period_ns, self._buffer, self._estop = contract.period_ns, buffer, estop
        self._grouped = contract.grouped
        self.groups = {
            group.name: GroupAuthority(group, _expires_s(contract, group)) for group in contract.groups
        }
        """The authority over each action group."""
        self._generations = Generations(tuple(self.groups))
        self._unchecked: tuple[Sequence[GroupPart], Numbers | None, int, int] | None = None

    @property
    def authority(self) -> str:
        """The source in authority, or NOBODY; of groups that differ, `joined_authority`."""
        return joined_authority(state.source for state in self.groups.values())

    @property
    def reason(self) -> str:
        """Why it has authority, or why none has."""
        return joined_reason({name: state.reason for name, state in self.groups.items()})

    @property
    def stop_due(self) -> bool:
        """Whether the emergency stop latched since the last decision."""
        return bool(self._estop.latched) and not self.stop_decided

    @property
    def generation(self) -> int:
        """Count of handovers, restarts and changes of mode."""
        return self._generations.number

    @property
    def generation_ns(self) -> int:
        """The tick at which the newest generation of all action groups began."""
        return self._generations.from_ns

    def switch(self, mode: Mode, now_ns: int) -> None:
        """Change the mode; start a new generation with a ramp from the measured state."""
        self.mode = mode
        for state in self.groups.values():
            state.mixed = False
        self._begin_all(now_ns)
        self.shaper.begin()

    def restart(self, now_ns: int, *, placed: bool) -> None:
        """Start a new episode and generation: discard proposals, ramp from the measured state.

        `placed`: a simulator may have placed the robot elsewhere, away from the last command.
        """
        self._begin_all(now_ns)
        self._buffer.forget()
        self.mode.restart()
        self.ended = ""
        for state in self.groups.values():
            state.source, state.reason, state.mixed, state.unreported = NOBODY, "restarted", False, False
        self.shaper.restart(placed=placed)

    def arbitrate(
        self, stamp_ns: int, time_ns: int, steady_ns: int
    ) -> tuple[Arbitrations, Mapping[str, Absences]]:
        """Return which source gets authority at the tick `stamp_ns`, and which are absent at `time_ns`, by group."""
        absences = self._buffer.absences(time_ns, steady_ns)
        stopped = self._stopped()
        if stopped:
            return dict.fromkeys(absences, Arbitration(NOBODY, stopped)), absences
        if self._rest.active:
            return {group: self._rest.choose(absent) for group, absent in absences.items()}, absences
        robot = anywhere(absences.values()) if self._grouped else None
        return {
            group: self.mode.choose(
                ArbitrationInput(stamp_ns, self.groups[group].source, absent, group, robot)
            )
            for group, absent in absences.items()
        }, absences

    def waits(self, arbitrations: Arbitrations) -> bool:
        """Return whether sources that have not proposed yet are awaited, so that there is nothing to decide."""
        for group, arbitration in arbitrations.items():
            state = self.groups[group]
            if not arbitration.early or state.source != NOBODY or state.unreported:
                return False
        return True

    def keeps(self, arbitrations: Arbitrations) -> bool:
        """Return whether no group changes hands, but for sources that are drawn at random."""
        for group, arbitration in arbitrations.items():
            if not arbitration.mixed and arbitration.authority != self.groups[group].source:
                return False
        return True

    def decide(
        self,
        arbitrations: Arbitrations,
        absences: Mapping[str, Absences],
        stamp_ns: int,
        time_ns: int,
        clocks_ns: tuple[int, int],
    ) -> Decision:
        """Return the decision for the tick `stamp_ns`, taken at `time_ns`; see `CommandShaper.advance`."""
        robot_ns = clocks_ns[0] if self._simulated else clocks_ns[1]
        self.stop_decided = bool(self._estop.latched)
        self._assign(arbitrations, absences, stamp_ns)
        parts: list[GroupPart] = []
        for group, state in self.groups.items():
            winner = state.source
            proposal = None if winner == NOBODY else self._buffer.of(group)[winner].proposal
            target = self._target(state, proposal, stamp_ns, time_ns, robot_ns)
            if target.values is None:
                winner, proposal = NOBODY, None
            reason = f"{state.reason}; {target.remark}" if target.remark else state.reason
            parts.append(GroupPart(state.group, winner, reason, target, proposal))
        emergency = bool(self._stopped()) and not self._estop.gentle
        self._unchecked = parts, self.shaper.sent, time_ns, robot_ns
        driven = [part.group.name for part in parts if part.target.values is not None]
        limited = self.shaper.advance(
            joined_target(parts), driven, stamp_ns, time_ns, clocks_ns, emergency=emergency
        )
        arbitration = next(iter(arbitrations.values()))
        proposal = joined_proposal(parts)
        used = [part.proposal for part in parts if part.proposal is not None]
        return Decision(
            stamp_ns=stamp_ns,
            sent_ns=time_ns,
            authority=joined_authority([part.source for part in parts]),
            reason=joined_reason({part.group.name: part.reason for part in parts}),
            proposals=with_targets(self._buffer.for_tick(stamp_ns), parts),
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
            groups={
                part.group.name: part.record(
                    self.mode.disagreement(stamp_ns, part.group.name),
                    self.mode.uncertainty_of(part.group.name),
                )
                for part in (parts if self._grouped else ())
            },
            age_s=oldest_s(used, time_ns),
            missing=tuple(dict.fromkeys(key for each in used for key in each.missing)),
            way=proposal.way if proposal else None,
        )

    def hand_over(self, arbitrations: Arbitrations, absences: Mapping[str, Absences], from_ns: int) -> None:
        """Start a new generation in groups under the winners of their arbitrations, with a new ramp in each."""
        self._generations.begin(
            from_ns, {group: self._buffer.proposing_before(from_ns, group) for group in arbitrations}
        )
        for group, arbitration in arbitrations.items():
            state = self.groups[group]
            winner, before, absent = arbitration.authority, state.source, absences[group]
            self._following.clear(state.group.keys)
            state.source, state.unreported = winner, True
            if winner == NOBODY:
                state.reason = no_authority_reason(arbitration, absent)
                continue
            self.shaper.begin((group,))
            if before == NOBODY:
                state.reason = f"{winner} has authority"
            elif absent[before]:
                state.reason = f"{winner} has authority: {before} {absent[before]}"
            else:
                state.reason = f"{winner} takes over from {before}"
            state.reason += f"; {arbitration.reason}" if arbitration.reason else ""

    def _begin_all(self, now_ns: int) -> None:
        self._generations.begin(now_ns, {group: self._buffer.of(group) for group in self.groups})

    def _assign(self, arbitrations: Arbitrations, absences: Mapping[str, Absences], stamp_ns: int) -> None:
        """Give authority over each group to the winner of its arbitration."""
        changed: dict[str, Arbitration] = {}
        for group, arbitration in arbitrations.items():
            state, winner = self.groups[group], arbitration.authority
            if winner != state.source and not (arbitration.mixed and state.mixed):
                changed[group] = arbitration
            elif not (state.unreported and winner == state.source):
                state.source = winner
                state.reason = (
                    no_authority_reason(arbitration, absences[group])
                    if winner == NOBODY
                    else arbitration.reason or "proposed"
                )
        if changed:
            self.hand_over(changed, absences, stamp_ns)
        for group, arbitration in arbitrations.items():
            state = self.groups[group]
            state.mixed, state.unreported = arbitration.mixed, False

    def check_last(self) -> None:
        """Latch the stop when the robot did not follow its commands up to the last decision; call it with each input.

        The command of that decision did not depend on it, and so did not wait for it.
        """
        if self._unchecked is None:
            return
        (parts, sent, time_ns, robot_ns), self._unchecked = self._unchecked, None
        if not self._following.needed:
            return
        checked: list[str] = []
        for part in parts:
            if part.target.values is None or sent is None:
                self._following.clear(part.group.keys)
            else:
                checked += part.group.keys
        if sent is None or not checked:
            return
        problem = self._following.problem(sent, self.shaper.measured.at(time_ns)[0], robot_ns, checked)
        if problem:
            self._estop.trip(problem)

    def _target(
        self, state: GroupAuthority, proposal: Proposal | None, stamp_ns: int, time_ns: int, robot_ns: int
    ) -> Target:
        """Return the target (A,) of a group at the tick from the newest proposal of the source in authority.

        Only the group's numbers are its target. No values while the group may not move.
        """
        group = state.group.name
        if proposal is None:
            return Target(None, TargetOrigin.NONE)
        if not self._generations.admits(group, state.source, proposal):
            waiting = f"waiting for its first proposal of generation {self.generation}"
            return Target(None, TargetOrigin.NONE, waiting)
        step = 0 if proposal.stamp_ns == stamp_ns else step_due(proposal.stamp_ns, stamp_ns, self._period_ns)
        last = len(proposal.chunk) - 1
        age_s = (stamp_ns - proposal.stamp_ns - last * self._period_ns) / 1e9
        if age_s > state.expires_s:
            expired = f"its last command has expired, {age_s:.3f} s old; expires_s is {state.expires_s:g}"
            return Target(None, TargetOrigin.NONE, expired)
        values: Numbers = tuple(proposal.chunk[min(step, last)].tolist())
        missing = self._contact.missing(robot_ns) or self.shaper.start(group, values, time_ns)
        if missing:
            return Target(None, TargetOrigin.NONE, missing)
        if step == 0:
            return Target(values, TargetOrigin.PROPOSED)
        if step > last:
            return Target(values, TargetOrigin.REPEATED, "silent this tick, last target repeated")
        return Target(values, TargetOrigin.CONTINUED, f"step {step} of its last chunk")

    def _stopped(self) -> str:
        return self._estop.latched or self.ended


def _expires_s(contract: Contract, group: ActionGroup) -> float:
    """Return how long a command of a silent source counts in a group, in s."""
    # without a declaration the source's time-out alone decides
    declared = [contract.action(key).expires_s for key in group.keys]
    return min((each for each in declared if each is not None), default=math.inf)
