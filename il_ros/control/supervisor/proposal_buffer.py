"""The proposals of all sources: which of them are accepted, and which sources are absent at a time."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

import numpy as np

from il_ros.control.limiter.rotation import NORM_TOLERANCE
from il_ros.control.limiter.safety import LARGEST, problem
from il_ros.control.supervisor.arbitration import Absence, Source, SourceState, absence, ranked
from il_ros.core.specs import Vector
from il_ros.records.decision import Numbers
from il_ros.records.proposal import Proposal


class Reception(Enum):
    """What became of a received proposal.

    LATE: the stamp is wrong, there is nothing to decide. FAULTY: not a valid command, so its source is absent from now
    on, which requires a decision.
    """

    ACCEPTED = auto()
    FAULTY = auto()
    LATE = auto()


class ProposalBuffer:
    """The newest accepted proposal of each source, and a count of the rejected ones.

    `patience_s`: see `arbitration.absence`. `names`: the contract's action names (A), `quaternions`: the places
    of quaternions among them.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        names: Sequence[str],
        period_ns: int,
        patience_s: float,
        quaternions: Sequence[slice] = (),
    ):
        self.sources = ranked(sources)
        self.states: dict[str, SourceState] = {source.name: SourceState() for source in self.sources}
        self._by_name = {source.name: source for source in self.sources}
        self._names, self._period_ns, self._patience_ns = tuple(names), period_ns, int(patience_s * 1e9)
        self._quaternions = tuple(quaternions)
        self._rejected: dict[str, str] = {}

    def add(self, name: str, proposal: Proposal, now_ns: int, steady_ns: int) -> Reception:
        """Add a proposal from the topic of source `name`; return what became of it.

        A proposal that is faulty and late makes its source faulty, but requires no decision for its tick.
        """
        state = self.states[name]
        fault = self._fault(name, proposal)
        late = self._late(name, proposal.stamp_ns, now_ns)
        if fault:
            self.reject(name, fault, faulty=True)
        elif late:
            self.reject(name, late, faulty=False)
        else:
            unbroken = not absence(self._by_name[name], state, now_ns, steady_ns, self._patience_ns)
            # in a simulation /clock may arrive after the proposal
            self.states[name] = state.accepting(proposal, max(now_ns, proposal.stamp_ns), steady_ns, unbroken)
            return Reception.ACCEPTED
        return Reception.LATE if late else Reception.FAULTY

    def release(self, name: str, proposal: Proposal, now_ns: int) -> bool:
        """Process a release by source `name`; return False when it is outdated or names another source."""
        state = self.states[name]
        newest_ns = 0 if state.proposal is None else state.proposal.stamp_ns
        ahead_s = (proposal.stamp_ns - now_ns) / 1e9
        wrong = "" if proposal.source == name else _wrong_name(proposal)
        if proposal.stamp_ns < newest_ns or proposal.stamp_ns <= state.released_ns:
            wrong = "release is older than the newest proposal or release"
        elif ahead_s > self._by_name[name].max_age_s:
            wrong = f"release is stamped {ahead_s:.2f} s ahead of the clock"
        if wrong:
            self.reject(name, wrong, faulty=False)
            return False
        self.states[name] = state.releasing(proposal.stamp_ns)
        return True

    def reject(self, name: str, reason: str, *, faulty: bool) -> None:
        """Record a rejected proposal; a faulty source is absent until it proposes a valid command."""
        self.states[name] = self.states[name].rejecting(reason, faulty=faulty)
        self._rejected[name] = reason

    def rejections(self) -> dict[str, str]:
        """Return the reasons of the rejections since the last call, by source."""
        rejected, self._rejected = self._rejected, {}
        return rejected

    def forget(self) -> None:
        """Discard all proposals and keep the counts."""
        self.states = {name: state.forgetting() for name, state in self.states.items()}

    def absences(self, time_ns: int, steady_ns: int) -> dict[str, Absence]:
        """Return the absence of each source at this time, highest priority first."""
        return {
            source.name: absence(source, self.states[source.name], time_ns, steady_ns, self._patience_ns)
            for source in self.sources
        }

    def lag_ns(self, name: str) -> int:
        """Return the delay from tick to arrival of the newest proposal of source `name`; 0 without one."""
        state = self.states.get(name)
        return 0 if state is None or state.proposal is None else state.arrival_ns - state.proposal.stamp_ns

    def proposing_before(self, stamp_ns: int) -> list[str]:
        """Return the sources with a proposal for an earlier tick that have not been absent since."""
        return [
            name
            for name, state in self.states.items()
            if state.proposal is not None and (state.run > 1 or state.proposal.stamp_ns < stamp_ns)
        ]

    def for_tick(self, stamp_ns: int) -> dict[str, Numbers | None]:
        """Return the action (A,) that each source has proposed for this tick so far, None without one."""
        found: dict[str, Numbers | None] = {}
        for name, state in self.states.items():
            proposal = state.proposal
            if proposal is not None and 2 * abs(proposal.stamp_ns - stamp_ns) < self._period_ns:
                found[name] = tuple(proposal.chunk[0].tolist())
            else:
                found[name] = None
        return found

    def _fault(self, name: str, proposal: Proposal) -> str:
        if proposal.source != name:
            return _wrong_name(proposal)
        if proposal.chunk.shape[1] == len(self._names) and self._valid(proposal.chunk):
            return ""
        problems = (problem(step, self._names, self._quaternions) for step in proposal.chunk.tolist())
        return next(filter(None, problems), "")

    def _valid(self, chunk: Vector) -> bool:
        """Return whether all steps are valid commands: `problem` for whole arrays."""
        if not (np.abs(chunk) <= LARGEST).all():
            return False
        return all(
            (np.abs(np.linalg.norm(chunk[:, part], axis=1) - 1.0) <= NORM_TOLERANCE).all()
            for part in self._quaternions
        )

    def _late(self, name: str, stamp_ns: int, now_ns: int) -> str:
        age_s, most_s = (now_ns - stamp_ns) / 1e9, self._by_name[name].max_age_s
        newest = self.states[name].proposal
        if age_s > most_s:
            return f"{age_s:.2f} s old, at most {most_s:g} s is accepted"
        if -age_s > most_s:
            return f"for a tick {-age_s:.2f} s ahead of the clock"
        if 0 < stamp_ns <= self.states[name].released_ns:
            return "for a tick before its release"
        if newest is not None and stamp_ns <= newest.stamp_ns:
            return "for a tick not after that of its newest proposal"
        return ""


def _wrong_name(proposal: Proposal) -> str:
    return f"carries the name of another source: '{proposal.source}'"
