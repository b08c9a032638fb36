"""Interactive learning in one process: episodes under the supervisor's modes, with labelled decisions.

The modes are those of the supervisor (`options.make_mode`), and the labels follow the rule for its records
(`records.labelling`). The loop is synchronous: proposals are never late. With a limiter, targets are limited as on
the robot, with a ramp at each handover.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from il_ros.control.limiter.in_process import InProcessLimiter, LimitedCommand
from il_ros.control.supervisor.arbitration import (
    NOT_YET,
    PRESENT,
    RELEASED,
    Absence,
    Arbitration,
    ArbitrationInput,
    Mode,
    anywhere,
)
from il_ros.control.supervisor.proposal_buffer import replaced
from il_ros.core import actions
from il_ros.core.contract import Contract
from il_ros.core.specs import WHOLE, ActionGroup, Vector
from il_ros.episodes.arrays.episode import EpisodeArrays, UnlabelledTicks
from il_ros.policies.protocol import Observation
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.window import TickWindow
from il_ros.records.decision import NOBODY, Decision, GroupDecision, Numbers, joined_authority
from il_ros.records.labelling import BY_MODE, EXPERT, POLICY
from il_ros.records.proposal import Proposal
from il_ros.records.takeovers import group_takeovers


class Human(Protocol):
    """Decides when the expert proposes; see `human.SimulatedHuman` and `human.GroupedHuman`."""

    def begin(self) -> None:
        """Start a new episode: the policy drives."""

    def propose(self, policy: Vector, own: Vector) -> Vector | None:
        """Return the proposal (A,), given the policy's and the expert's action; None: released.

        NaN in action groups that the human does not drive.
        """


class Expert(Protocol):
    """The source of labels: a scripted expert or a trained policy."""

    def act(self, observation: Observation) -> Vector | None:
        """Return absolute commands (H, A), None when the task cannot be completed from here."""


@dataclass
class DrivenEpisode:
    """One recorded episode: the observation and the decision of each tick, and the outcome."""

    seen: list[Observation] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    success: bool = False
    gave_up: bool = False
    """Whether the episode ended because the expert could not complete the task any more."""

    @property
    def labels(self) -> int:
        """The number of labelled ticks."""
        return sum(BY_MODE.choose(decision) is not None for decision in self.decisions)

    @property
    def expert_ticks(self) -> int:
        """The number of ticks under expert control."""
        return sum(decision.authority == EXPERT for decision in self.decisions)

    @property
    def takeovers_ns(self) -> tuple[int, ...]:
        """The stamps of the takeovers."""
        return tuple(self._takeovers)

    @property
    def _takeovers(self) -> dict[int, tuple[str, ...]]:
        """The groups that the expert took over, by stamp."""
        found = group_takeovers((decision.authorities, decision.mode) for decision in self.decisions)
        return {self.decisions[index].stamp_ns: taken for index, taken in found.items()}

    def episode(self, name: str, contract: Contract, history: int = 1) -> EpisodeArrays | None:
        """Return the labelled ticks as training data, None without a label; `history`: the ticks of a window."""
        found = [(*both, BY_MODE.choose(both[1])) for both in zip(self.seen, self.decisions, strict=True)]
        labelled = [(seen, decision, np.array(label)) for seen, decision, label in found if label is not None]
        if not labelled:
            return None
        places = [place for place, (_, _, label) in enumerate(found) if label is not None]
        windows = {place - back for place in places for back in range(1, min(history, place + 1))}
        before = [found[place] for place in sorted(windows - set(places))]
        commands = np.array([label for _, _, label in labelled])
        grouped: dict[str, Any] = {}
        if contract.grouped:
            none = np.zeros(contract.action_size)
            offsets = np.array([actions.absolute(contract, none, seen) for seen, _, _ in labelled])
            grouped = self._by_group(contract, [decision for _, decision, _ in labelled])
        else:
            relative = [actions.relative(contract, label, seen) for seen, _, label in labelled]
            offsets = commands - np.array(relative)
        return EpisodeArrays(
            name,
            _observations(labelled, contract),
            commands,
            offsets,
            _stamps(labelled),
            contract.period_ns,
            "success" if self.success else "failure",
            authority=tuple(decision.authority for _, decision, _ in labelled),
            takeovers_ns=self.takeovers_ns,
            unlabelled=UnlabelledTicks(_stamps(before), _observations(before, contract)),
            span_ns=(self.decisions[0].stamp_ns, self.decisions[-1].stamp_ns),
            **grouped,
        )

    def _by_group(self, contract: Contract, labelled: Sequence[Decision]) -> dict[str, Any]:
        """Return the fields of an episode under a contract with several action groups."""
        taken = self._takeovers
        names = [group.name for group in contract.groups]
        return {
            "groups": contract.groups,
            "authorities": {name: tuple(each.authorities[name] for each in labelled) for name in names},
            "group_takeovers_ns": {
                name: tuple(stamp_ns for stamp_ns, groups in taken.items() if name in groups)
                for name in names
            },
        }


def _observations(ticks: Sequence[tuple[Observation, Decision, Any]], contract: Contract) -> dict[str, Any]:
    """Return the observations of ticks as arrays (T, ...) by key; of no ticks, none."""
    keys = [spec.key for spec in contract.observations] if ticks else []
    return {key: np.array([seen[key] for seen, _, _ in ticks]) for key in keys}


def _stamps(ticks: Sequence[tuple[Observation, Decision, Any]]) -> NDArray[np.int64]:
    return np.array([decision.stamp_ns for _, decision, _ in ticks], dtype=np.int64)


class InteractionLoop:
    """Applies one mode over many episodes, on one clock.

    `human` decides when the expert proposes; None: it proposes at every tick. `groups`: the contract's action groups,
    each of which has its own source in authority; without, all actions are one group. `limiter`: limits each target;
    None: targets are sent as they are.
    """

    def __init__(
        self,
        mode: Mode,
        period_ns: int,
        human: Human | None = None,
        groups: Sequence[ActionGroup] = (),
        limiter: InProcessLimiter | None = None,
    ) -> None:
        self._mode, self._period_ns, self._human, self._limiter = mode, period_ns, human, limiter
        self._mixed = False
        self._window = TickWindow(1, period_ns)
        self._groups = tuple(groups) if len(groups) > 1 else ()
        self._names = tuple(group.name for group in self._groups) or (WHOLE,)
        self._now_ns, self._authorities = 0, dict.fromkeys(self._names, NOBODY)

    def begin(self) -> None:
        """Start an episode."""
        self._mode.restart()
        self._window = TickWindow(1, self._period_ns)
        self._authorities, self._mixed = dict.fromkeys(self._names, NOBODY), False
        if self._limiter is not None:
            self._limiter.begin()
        if self._human is not None:
            self._human.begin()

    def decide(self, seen: Observation, policy: LoadedPolicy | None, expert: Expert) -> Decision | None:
        """Return the decision of the next tick, None when the expert gives up, which ends the episode.

        Raises ValueError when no source gets authority over a group, or no ramp can start.
        """
        self._now_ns += self._period_ns
        advice = expert.act(seen)
        if advice is None:
            return None
        proposals = self._proposals(seen, policy, advice[0])
        for name, proposal in proposals.items():
            self._mode.observe(name, proposal)
        absences = {group: self._absences(group, proposals) for group in self._names}
        robot = anywhere(absences.values()) if self._groups else None
        chosen = {
            group: self._mode.choose(
                ArbitrationInput(self._now_ns, self._authorities[group], absences[group], group, robot)
            )
            for group in self._names
        }
        for arbitration in chosen.values():
            if arbitration.authority == NOBODY:
                raise ValueError(
                    f"no source has authority, and the loop cannot wait for one: {arbitration.reason}"
                )
        self._hand_over(chosen)
        targets = {name: tuple(proposal.chunk[0].tolist()) for name, proposal in proposals.items()}
        first = chosen[self._names[0]]
        sent = targets[first.authority]
        for group in self._groups:
            sent = replaced(sent, targets[self._authorities[group.name]], group)
        command = self._limited(sent, seen)
        return Decision(
            self._now_ns,
            self._now_ns,
            joined_authority(self._authorities.values()),
            first.reason,
            targets,
            command.sent,
            command.limited,
            beta=first.beta,
            uncertainty=self._mode.uncertainty,
            mode=self._mode.name,
            queried=first.queried,
            groups={
                group.name: GroupDecision(
                    group.columns,
                    self._authorities[group.name],
                    chosen[group.name].reason,
                    uncertainty=self._mode.uncertainty_of(group.name),
                )
                for group in self._groups
            },
        )

    def _hand_over(self, chosen: Mapping[str, Arbitration]) -> None:
        """Give authority over each group; its ramp begins at a handover, but not between draws at random."""
        mixed = all(arbitration.mixed for arbitration in chosen.values())
        for name, arbitration in chosen.items():
            if (
                arbitration.authority != self._authorities[name]
                and not (mixed and self._mixed)
                and self._limiter
            ):
                keys = [group.keys for group in self._groups if group.name == name]
                self._limiter.hand_over(keys[0] if keys else None)
            self._authorities[name] = arbitration.authority
        self._mixed = mixed

    def _limited(self, target: Numbers, seen: Observation) -> LimitedCommand:
        if self._limiter is None:
            return LimitedCommand(target)
        command = self._limiter.limit(np.array(target), seen)
        if command.missing:
            raise ValueError(command.missing)
        return command

    def _absences(self, group: str, proposals: Mapping[str, Proposal]) -> dict[str, Absence]:
        """Return the absence of each source from a group at this tick."""
        return {
            name: PRESENT
            if name in proposals and (not proposals[name].groups or group in proposals[name].groups)
            else absence
            for name, absence in {EXPERT: RELEASED, POLICY: NOT_YET}.items()
        }

    def _proposals(
        self, seen: Observation, policy: LoadedPolicy | None, advice: Vector
    ) -> dict[str, Proposal]:
        own: Vector | None = advice
        found = {}
        if policy is not None:
            self._window.lengthen(policy.history)
            window = self._window.push(self._now_ns, seen)
            given = policy.act_in_parts(window, seed=self._now_ns)
            found[POLICY] = Proposal(
                POLICY,
                self._now_ns,
                given.commands,
                policy.version,
                uncertainty=given.uncertainty,
                uncertainties=given.uncertainties,
                way=given.way,
            )
            if self._human is not None:
                own = self._human.propose(given.commands[0], advice)
        if own is not None:
            covered = [group.name for group in self._groups if np.isfinite(own[group.index]).all()]
            some = tuple(covered) if len(covered) < len(self._groups) else ()
            found[EXPERT] = Proposal(EXPERT, self._now_ns, own[None], groups=some)
        return found
