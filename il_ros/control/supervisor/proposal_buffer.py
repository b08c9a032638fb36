"""The proposals of all sources: which of them are accepted, and which sources are absent at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto

import numpy as np

from il_ros.control.limiter.rotation import NORM_TOLERANCE
from il_ros.control.limiter.safety import LARGEST, problem
from il_ros.control.supervisor.arbitration import (
    Absence,
    Absences,
    Source,
    SourceState,
    absence,
    anywhere,
    ranked,
)
from il_ros.core.specs import WHOLE, ActionGroup, Vector
from il_ros.records.decision import Numbers
from il_ros.records.proposal import Proposal

FEW = 64
"""Numbers that a loop compares sooner than NumPy does."""


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
    of quaternions among them. `groups`: the contract's action groups; with several, each has its own state of each
    source, which a proposal changes in the groups that it covers. `states`: those of the sources as a whole.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        names: Sequence[str],
        period_ns: int,
        patience_s: float,
        quaternions: Sequence[slice] = (),
        groups: Sequence[ActionGroup] = (),
    ):
        self.sources = ranked(sources)
        self.states: dict[str, SourceState] = {source.name: SourceState() for source in self.sources}
        self._by_name = {source.name: source for source in self.sources}
        self._names, self._period_ns, self._patience_ns = tuple(names), period_ns, int(patience_s * 1e9)
        self._quaternions = tuple(quaternions)
        self._rejected: dict[str, str] = {}
        self._groups = {group.name: group for group in groups} if len(groups) > 1 else {}
        self._by_group = {name: dict(self.states) for name in self._groups}
        if not self._groups:
            self._by_group = {groups[0].name if groups else WHOLE: self.states}

        self._every = tuple(self._by_group.values())

    def add(self, name: str, proposal: Proposal, now_ns: int, steady_ns: int) -> Reception:
        """Add a proposal from the topic of source `name`; return what became of it.

        A proposal that is faulty and late makes its source faulty, but requires no decision for its tick.
        """
        fault = self._fault(name, proposal)
        tables = self._tables(proposal.groups)
        lateness = [self._late(name, states[name], proposal.stamp_ns, now_ns) for states in tables]
        late = "" if "" in lateness else lateness[0]
        late = late or self._outdated(name, proposal)
        if fault:
            self.reject(name, fault, faulty=True, groups=proposal.groups)
        elif late:
            self.reject(name, late, faulty=False, groups=proposal.groups)
        else:
            fresh = [states for states, each in zip(tables, lateness, strict=True) if not each]
            for states in fresh if not self._groups else (*fresh, self.states):
                state = states[name]
                unbroken = not absence(self._by_name[name], state, now_ns, steady_ns, self._patience_ns)
                # in a simulation /clock may arrive after the proposal
                arrival_ns = max(now_ns, proposal.stamp_ns)
                states[name] = state.accepting(proposal, arrival_ns, steady_ns, unbroken)
            return Reception.ACCEPTED
        return Reception.LATE if late else Reception.FAULTY

    def release(self, name: str, proposal: Proposal, now_ns: int) -> bool:
        """Process a release by source `name`; return False when it is outdated or names another source."""
        tables = self._tables(proposal.groups)
        wrongs = [self._wrong_release(name, states[name], proposal, now_ns) for states in tables]
        if all(wrongs):
            self.reject(name, wrongs[0], faulty=False)
            return False
        for states, wrong in zip(tables, wrongs, strict=True):
            if not wrong:
                states[name] = states[name].releasing(proposal.stamp_ns)
        return True

    def reject(self, name: str, reason: str, *, faulty: bool, groups: Sequence[str] = ()) -> None:
        """Record a rejected proposal; a faulty source is absent until it proposes a valid command.

        `groups`: those that the proposal covers; empty: every group, of a faulty one those in which the source has
        proposed, if any.
        """
        self.states[name] = self.states[name].rejecting(reason, faulty=faulty)
        self._rejected[name] = reason
        if not self._groups:
            return
        if not faulty:
            for states in self._tables(groups):
                states[name] = replace(states[name], refused=reason)
            return
        driven = [states for states in self._by_group.values() if states[name].proposal is not None]
        for states in self._tables(groups) if groups else driven or self._by_group.values():
            states[name] = states[name].rejecting(reason, faulty=True)

    def rejections(self) -> dict[str, str]:
        """Return the reasons of the rejections since the last call, by source."""
        rejected, self._rejected = self._rejected, {}
        return rejected

    def forget(self) -> None:
        """Discard all proposals and keep the counts."""
        for states in (self.states, *(self._by_group[name] for name in self._groups)):
            states.update({name: state.forgetting() for name, state in states.items()})

    def of(self, group: str) -> Mapping[str, SourceState]:
        """Return the state of each source in a group."""
        return self._by_group[group]

    def absences(self, time_ns: int, steady_ns: int) -> dict[str, dict[str, Absence]]:
        """Return the absence of each source from each group at this time, highest priority first."""
        return {
            group: {
                source.name: absence(source, states[source.name], time_ns, steady_ns, self._patience_ns)
                for source in self.sources
            }
            for group, states in self._by_group.items()
        }

    def absent(self, time_ns: int, steady_ns: int) -> Absences:
        """Return the absence of each source from the whole robot at this time, highest priority first."""
        return anywhere(self.absences(time_ns, steady_ns).values())

    def lag_ns(self, name: str, group: str) -> int:
        """Return the delay from tick to arrival of a source's newest proposal in a group; 0 without one."""
        state = self._by_group[group].get(name)
        return 0 if state is None or state.proposal is None else state.arrival_ns - state.proposal.stamp_ns

    def proposing_before(self, stamp_ns: int, group: str) -> list[str]:
        """Return the sources with a proposal in a group for an earlier tick that have not been absent since."""
        return [
            name
            for name, state in self._by_group[group].items()
            if state.proposal is not None and (state.run > 1 or state.proposal.stamp_ns < stamp_ns)
        ]

    def for_tick(self, stamp_ns: int) -> dict[str, Numbers | None]:
        """Return the action (A,) that each source has proposed for this tick so far, None without one.

        NaN in groups without a proposal for it.
        """
        if not self._groups:
            return {name: self._step(state, stamp_ns) for name, state in self.states.items()}
        found: dict[str, Numbers | None] = dict.fromkeys(self.states)
        for group, states in self._by_group.items():
            for name, state in states.items():
                step = self._step(state, stamp_ns)
                if step is not None:
                    found[name] = replaced(found[name], step, self._groups[group])
        return found

    def _step(self, state: SourceState, stamp_ns: int) -> Numbers | None:
        proposal = state.proposal
        if proposal is None or 2 * abs(proposal.stamp_ns - stamp_ns) >= self._period_ns:
            return None
        return tuple(proposal.chunk[0].tolist())

    def _tables(self, groups: Sequence[str]) -> Sequence[dict[str, SourceState]]:
        """Return the states of the sources in the groups that a proposal covers; empty: all."""
        return [self._by_group[group] for group in groups] if groups else self._every

    def _fault(self, name: str, proposal: Proposal) -> str:
        if proposal.source != name:
            return _wrong_name(proposal)
        if proposal.groups:
            return self._partial_fault(proposal)
        if proposal.chunk.shape[1] == len(self._names) and self._valid(proposal.chunk):
            return ""
        problems = (problem(step, self._names, self._quaternions) for step in proposal.chunk.tolist())
        return next(filter(None, problems), "")

    def _valid(self, chunk: Vector) -> bool:
        """Return whether all steps are valid commands: `problem` for whole arrays."""
        if chunk.size <= FEW:
            if not all(-LARGEST <= value <= LARGEST for step in chunk.tolist() for value in step):
                return False
        elif not (np.abs(chunk) <= LARGEST).all():
            return False
        return all(
            (np.abs(np.linalg.norm(chunk[:, part], axis=1) - 1.0) <= NORM_TOLERANCE).all()
            for part in self._quaternions
        )

    def _partial_fault(self, proposal: Proposal) -> str:
        """Return why the numbers in the groups that a proposal covers are no valid commands, "" if they are."""
        for group in (self._groups[name] for name in proposal.groups):
            names = [self._names[place] for place in group.columns]
            turned = [part for part in self._quaternions if part.start in group.columns]
            moved = [slice(start := group.columns.index(part.start), start + 4) for part in turned]
            steps = proposal.chunk[:, group.index].tolist()
            found = next(filter(None, (problem(step, names, moved) for step in steps)), "")
            if found:
                return found
        return ""

    def _wrong_release(self, name: str, state: SourceState, proposal: Proposal, now_ns: int) -> str:
        newest_ns = 0 if state.proposal is None else state.proposal.stamp_ns
        ahead_s = (proposal.stamp_ns - now_ns) / 1e9
        if proposal.stamp_ns < newest_ns or proposal.stamp_ns <= state.released_ns:
            return "release is older than the newest proposal or release"
        if ahead_s > self._by_name[name].max_age_s:
            return f"release is stamped {ahead_s:.2f} s ahead of the clock"
        return "" if proposal.source == name else _wrong_name(proposal)

    def _late(self, name: str, state: SourceState, stamp_ns: int, now_ns: int) -> str:
        age_s, most_s = (now_ns - stamp_ns) / 1e9, self._by_name[name].max_age_s
        newest = state.proposal
        if age_s > most_s:
            return f"{age_s:.2f} s old, at most {most_s:g} s is accepted"
        if -age_s > most_s:
            return f"for a tick {-age_s:.2f} s ahead of the clock"
        if 0 < stamp_ns <= state.released_ns:
            return "for a tick before its release"
        if newest is not None and stamp_ns <= newest.stamp_ns:
            return "for a tick not after that of its newest proposal"
        return ""

    def _outdated(self, name: str, proposal: Proposal) -> str:
        age_s, most_s = (
            (proposal.stamp_ns - proposal.seen_ns) / 1e9,
            self._by_name[name].max_observation_age_s,
        )
        if age_s <= most_s:
            return ""
        return f"from an observation {age_s:.2f} s before its tick, at most {most_s:g} s is accepted"


def replaced(numbers: Numbers | None, values: Numbers, group: ActionGroup) -> Numbers:
    """Return numbers (A,) with those of a group taken from `values` (A,); None: NaN in the other groups."""
    out = [math.nan] * len(values) if numbers is None else list(numbers)
    for place in group.columns:
        out[place] = values[place]
    return tuple(out)


def _wrong_name(proposal: Proposal) -> str:
    return f"carries the name of another source: '{proposal.source}'"
