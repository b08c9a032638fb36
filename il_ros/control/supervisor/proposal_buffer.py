"""What the sources have proposed: which proposals are let in, and who is in the running at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from il_ros.control.limiter.safety import problem
from il_ros.control.supervisor.arbitration import Source, SourceState, absence, ranked
from il_ros.records.decision import Numbers
from il_ros.records.proposal import Proposal


class ProposalBuffer:
    """The newest proposal of each source, and a count of those that were not let in.

    `patience_s`: see `arbitration.absence`. `names`: the contract's action names (A).
    """

    def __init__(self, sources: Sequence[Source], names: Sequence[str], period_ns: int, patience_s: float):
        self.sources = ranked(sources)
        self.states: dict[str, SourceState] = {source.name: SourceState() for source in self.sources}
        self._by_name = {source.name: source for source in self.sources}
        self._names, self._period_ns, self._patience_ns = tuple(names), period_ns, int(patience_s * 1e9)
        self._rejected: dict[str, str] = {}

    def take(self, name: str, proposal: Proposal, now_ns: int, steady_ns: int) -> bool:
        """Let a proposal in that came on source `name`'s topic; return False when its time is wrong.

        One that is no command counts as taken: its source is faulty, and that must be answered.
        """
        states = self.states[name]
        fault = self._fault(name, proposal)
        late = self._late(name, proposal.stamp_ns, now_ns)
        if fault:
            self.reject(name, fault, faulty=True)
        elif late:
            self.reject(name, late, faulty=False)
        else:
            unbroken = not absence(self._by_name[name], states, now_ns, steady_ns, self._patience_ns)
            # in a simulation /clock may arrive after the proposal
            self.states[name] = states.accepting(
                proposal, max(now_ns, proposal.stamp_ns), steady_ns, unbroken
            )
        return not late

    def release(self, name: str, proposal: Proposal, now_ns: int) -> bool:
        """Take in that a source lets go; return False when that is old news, or from elsewhere."""
        states = self.states[name]
        newest_ns = 0 if states.proposal is None else states.proposal.stamp_ns
        ahead_s = (proposal.stamp_ns - now_ns) / 1e9
        wrong = "" if proposal.source == name else f"says it is '{proposal.source}'"
        if proposal.stamp_ns < newest_ns or proposal.stamp_ns <= states.released_ns:
            wrong = "let go before its newest word"
        elif ahead_s > self._by_name[name].max_age_s:
            wrong = f"lets go {ahead_s:.2f} s ahead of the clock"
        if wrong:
            self.reject(name, wrong, faulty=False)
            return False
        self.states[name] = states.releasing(proposal.stamp_ns)
        return True

    def reject(self, name: str, reason: str, *, faulty: bool) -> None:
        """Note that a proposal was not let in; a faulty source is out until it proposes a command again."""
        self.states[name] = self.states[name].rejecting(reason, faulty=faulty)
        self._rejected[name] = reason

    def rejections(self) -> dict[str, str]:
        """Return why proposals were rejected since the last call, by source."""
        rejected, self._rejected = self._rejected, {}
        return rejected

    def forget(self) -> None:
        """Forget all proposals, keep the counts."""
        self.states = {name: states.forgetting() for name, states in self.states.items()}

    def absences(self, time_ns: int, steady_ns: int) -> dict[str, str]:
        """Return why each source is out of the running now, "" when it is in; highest priority first."""
        return {
            source.name: absence(source, self.states[source.name], time_ns, steady_ns, self._patience_ns)
            for source in self.sources
        }

    def lag_ns(self, name: str) -> int:
        """Return how long after its tick the newest proposal of source `name` came; 0 without one."""
        states = self.states.get(name)
        return (
            0 if states is None or states.proposal is None else states.arrival_ns - states.proposal.stamp_ns
        )

    def proposing_before(self, stamp_ns: int) -> list[str]:
        """Return who had proposed, and not fallen silent since, before its proposal for this very tick."""
        return [
            name
            for name, states in self.states.items()
            if states.proposal is not None and (states.run > 1 or states.proposal.stamp_ns < stamp_ns)
        ]

    def for_tick(self, stamp_ns: int) -> dict[str, Numbers | None]:
        """Return what each source had proposed by now for this very tick, None when it had not."""
        found: dict[str, Numbers | None] = {}
        for name, states in self.states.items():
            proposal = states.proposal
            if proposal is not None and 2 * abs(proposal.stamp_ns - stamp_ns) < self._period_ns:
                found[name] = tuple(proposal.chunk[0].tolist())
            else:
                found[name] = None
        return found

    def _fault(self, name: str, proposal: Proposal) -> str:
        if proposal.source != name:
            return f"says it is '{proposal.source}'"
        if proposal.chunk.shape[1] == len(self._names) and np.isfinite(proposal.chunk).all():
            return ""
        return next(filter(None, (problem(step, self._names) for step in proposal.chunk.tolist())))

    def _late(self, name: str, stamp_ns: int, now_ns: int) -> str:
        age_s, most_s = (now_ns - stamp_ns) / 1e9, self._by_name[name].max_age_s
        newest = self.states[name].proposal
        if age_s > most_s:
            return f"{age_s:.2f} s old, at most {most_s:g} s is let in"
        if -age_s > most_s:
            return f"for a tick {-age_s:.2f} s ahead of the clock"
        if 0 < stamp_ns <= self.states[name].released_ns:
            return "for a tick before it let go"
        if newest is not None and stamp_ns <= newest.stamp_ns:
            return "for a tick that it had proposed for, or an earlier one"
        return ""
