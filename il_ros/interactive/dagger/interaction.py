"""Interactive learning in one process: episodes under the supervisor's modes, with labelled decisions.

The modes are those of the supervisor (`options.make_mode`), and the labels follow the rule for its records
(`records.labelling`). The loop is synchronous: proposals are never late. With a limiter, targets are limited as on
the robot, with a ramp at each handover.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from il_ros.control.limiter.in_process import InProcessLimiter, LimitedCommand
from il_ros.control.supervisor.arbitration import NOT_YET, PRESENT, RELEASED, ArbitrationInput, Mode
from il_ros.core import actions
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.protocol import Observation
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.window import TickWindow
from il_ros.records.decision import NOBODY, Decision, Numbers
from il_ros.records.labelling import BY_MODE, EXPERT, POLICY
from il_ros.records.proposal import Proposal
from il_ros.records.takeovers import takeovers


class Human(Protocol):
    """Decides when the expert proposes; see `human.SimulatedHuman`."""

    def begin(self) -> None:
        """Start a new episode: the policy drives."""

    def propose(self, policy: Vector, own: Vector) -> Vector | None:
        """Return the proposal (A,), given the policy's and the expert's action; None: released."""


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
        found = takeovers((decision.authority, decision.mode) for decision in self.decisions)
        return tuple(self.decisions[index].stamp_ns for index in found)

    def episode(self, name: str, contract: Contract) -> EpisodeArrays | None:
        """Return the labelled ticks as training data, None without a label."""
        found = [(*both, BY_MODE.choose(both[1])) for both in zip(self.seen, self.decisions, strict=True)]
        labelled = [(seen, decision, np.array(label)) for seen, decision, label in found if label is not None]
        if not labelled:
            return None
        relative = [actions.relative(contract, label, seen) for seen, _, label in labelled]
        commands = np.array([label for _, _, label in labelled])
        return EpisodeArrays(
            name,
            {
                spec.key: np.array([seen[spec.key] for seen, _, _ in labelled])
                for spec in contract.observations
            },
            commands,
            commands - np.array(relative),
            np.array([decision.stamp_ns for _, decision, _ in labelled]),
            contract.period_ns,
            "success" if self.success else "failure",
            authority=tuple(decision.authority for _, decision, _ in labelled),
            takeovers_ns=self.takeovers_ns,
        )


class InteractionLoop:
    """Applies one mode over many episodes, on one clock.

    `human` decides when the expert proposes; None: it proposes at every tick. `limiter`: limits each target; None:
    targets are sent as they are.
    """

    def __init__(
        self,
        mode: Mode,
        period_ns: int,
        human: Human | None = None,
        limiter: InProcessLimiter | None = None,
    ) -> None:
        self._mode, self._period_ns, self._human, self._limiter = mode, period_ns, human, limiter
        self._now_ns, self._authority, self._mixed = 0, NOBODY, False
        self._window = TickWindow(1, period_ns)

    def begin(self) -> None:
        """Start an episode."""
        self._mode.restart()
        self._window = TickWindow(1, self._period_ns)
        self._authority, self._mixed = NOBODY, False
        if self._limiter is not None:
            self._limiter.begin()
        if self._human is not None:
            self._human.begin()

    def decide(self, seen: Observation, policy: LoadedPolicy | None, expert: Expert) -> Decision | None:
        """Return the decision of the next tick, None when the expert gives up, which ends the episode.

        Raises ValueError when no source gets authority, or no ramp can start.
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
            raise ValueError(
                f"no source has authority, and the loop cannot wait for one: {arbitration.reason}"
            )
        handover = arbitration.authority != self._authority and not (arbitration.mixed and self._mixed)
        self._authority, self._mixed = arbitration.authority, arbitration.mixed
        targets = {name: tuple(proposal.chunk[0].tolist()) for name, proposal in proposals.items()}
        command = self._limited(targets[arbitration.authority], seen, handover)
        return Decision(
            self._now_ns,
            self._now_ns,
            arbitration.authority,
            arbitration.reason,
            targets,
            command.sent,
            command.limited,
            beta=arbitration.beta,
            uncertainty=self._mode.uncertainty,
            mode=self._mode.name,
            queried=arbitration.queried,
        )

    def _limited(self, target: Numbers, seen: Observation, handover: bool) -> LimitedCommand:
        if self._limiter is None:
            return LimitedCommand(target)
        if handover:
            self._limiter.hand_over()
        command = self._limiter.limit(np.array(target), seen)
        if command.missing:
            raise ValueError(command.missing)
        return command

    def _proposals(
        self, seen: Observation, policy: LoadedPolicy | None, advice: Vector
    ) -> dict[str, Proposal]:
        own: Vector | None = advice
        found = {}
        if policy is not None:
            self._window.lengthen(policy.history)
            window = self._window.push(self._now_ns, seen)
            chunk, uncertainty = policy.act_with_uncertainty(window, seed=self._now_ns)
            found[POLICY] = Proposal(POLICY, self._now_ns, chunk, policy.version, uncertainty=uncertainty)
            if self._human is not None:
                own = self._human.propose(chunk[0], advice)
        if own is not None:
            found[EXPERT] = Proposal(EXPERT, self._now_ns, own[None])
        return found
