"""Teaching in one process: episodes under the supervisor's modes, kept as decisions, labelled by rule.

Who drives is said by the strategies that the supervisor uses (`options.make_mode`), what is learnt by the
rule for its records (`episodes.rules`). What isn't shared is time and motion: here nobody is late, so
nobody waits, and there is no ramp and no safety gate between the wish and the command.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from il_ros.control.supervisor.arbitration import NOT_YET, PRESENT, RELEASED, ArbitrationInput, Mode
from il_ros.core import actions
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.protocol import Observation
from il_ros.policies.runner import LoadedPolicy
from il_ros.records.decision import NOBODY, Decision
from il_ros.records.labelling import BY_MODE, EXPERT, POLICY
from il_ros.records.proposal import Proposal
from il_ros.records.takeovers import takeovers


class Person(Protocol):
    """Who decides when the expert proposes; see `human.SimulatedHuman`."""

    def begin(self) -> None:
        """Let go: a new episode begins."""

    def propose(self, policy: Vector, own: Vector) -> Vector | None:
        """Return what it proposes (A,), seeing the policy's action and knowing its own; None: it lets go."""


class Expert(Protocol):
    """Who is asked what to do; a trained policy can be one, too."""

    def act(self, observation: Observation) -> Vector | None:
        """Return (H, A) absolute commands, None when it gives the episode up: it can't be brought back."""


@dataclass
class DrivenEpisode:
    """One episode as it is driven: at each tick what was seen, and the decision."""

    seen: list[Observation] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    success: bool = False

    @property
    def labels(self) -> int:
        """How many ticks teach."""
        return sum(BY_MODE.choose(decision) is not None for decision in self.decisions)

    @property
    def expert_ticks(self) -> int:
        """How many the expert drove."""
        return sum(decision.authority == EXPERT for decision in self.decisions)

    @property
    def takeovers_ns(self) -> tuple[int, ...]:
        """The stamps of the takeovers."""
        found = takeovers((decision.authority, decision.mode) for decision in self.decisions)
        return tuple(self.decisions[index].stamp_ns for index in found)

    def episode(self, name: str, contract: Contract) -> EpisodeArrays | None:
        """Return what is to be learnt, None when that is nothing."""
        found = [(*both, BY_MODE.choose(both[1])) for both in zip(self.seen, self.decisions, strict=True)]
        taught = [(seen, decision, np.array(label)) for seen, decision, label in found if label is not None]
        if not taught:
            return None
        learnt = [actions.relative(contract, label, seen) for seen, _, label in taught]
        commands = np.array([label for _, _, label in taught])
        return EpisodeArrays(
            name,
            {spec.key: np.array([seen[spec.key] for seen, _, _ in taught]) for spec in contract.observations},
            commands,
            commands - np.array(learnt),
            np.array([decision.stamp_ns for _, decision, _ in taught]),
            contract.period_ns,
            "success" if self.success else "failure",
            authority=tuple(decision.authority for _, decision, _ in taught),
            takeovers_ns=self.takeovers_ns,
        )


class InteractionLoop:
    """One mode over many episodes, on one clock. The expert proposes at every tick, or when `person` does."""

    def __init__(self, mode: Mode, period_ns: int, person: Person | None = None) -> None:
        self._mode, self._period_ns, self._person = mode, period_ns, person
        self._now_ns, self._authority = 0, NOBODY

    def begin(self) -> None:
        """Begin an episode."""
        self._mode.restart()
        self._authority = NOBODY
        if self._person is not None:
            self._person.begin()

    def decide(self, seen: Observation, policy: LoadedPolicy | None, expert: Expert) -> Decision | None:
        """Return the next tick's decision, None when the expert gives up: then the lesson is over.

        Raises ValueError when nobody may drive.
        """
        self._now_ns += self._period_ns
        advice = expert.act(seen)
        if advice is None:
            return None
        proposals = self._proposals(seen, policy, advice[0])
        for name, proposal in proposals.items():
            self._mode.observe(name, proposal)
        missing = {EXPERT: RELEASED, POLICY: NOT_YET}
        absences = {name: PRESENT if name in proposals else absence for name, absence in missing.items()}
        arbitration = self._mode.choose(ArbitrationInput(self._now_ns, self._authority, absences))
        if arbitration.authority == NOBODY:
            raise ValueError(f"nobody drives, and nobody else will come: {arbitration.reason}")
        self._authority = arbitration.authority
        targets = {name: tuple(proposal.chunk[0].tolist()) for name, proposal in proposals.items()}
        sent = targets[arbitration.authority]
        return Decision(
            self._now_ns,
            self._now_ns,
            arbitration.authority,
            arbitration.reason,
            targets,
            sent,
            beta=arbitration.beta,
            uncertainty=self._mode.uncertainty,
            mode=self._mode.name,
            queried=arbitration.queried,
        )

    def _proposals(
        self, seen: Observation, policy: LoadedPolicy | None, advice: Vector
    ) -> dict[str, Proposal]:
        own: Vector | None = advice
        found = {}
        if policy is not None:
            chunk, uncertainty = policy.act_with_uncertainty(seen)
            found[POLICY] = Proposal(POLICY, self._now_ns, chunk, policy.version, uncertainty=uncertainty)
            if self._person is not None:
                own = self._person.propose(chunk[0], advice)
        if own is not None:
            found[EXPERT] = Proposal(EXPERT, self._now_ns, own[None])
        return found
