"""Modes: the rules that give authority to the expert or the policy at each tick.

| mode      | source in authority                                                                    |
|-----------|----------------------------------------------------------------------------------------|
| priority  | the available source with the highest priority                                         |
| expert    | the expert                                                                             |
| policy    | the policy                                                                             |
| shadow    | the expert; the policy's proposals are compared with the expert's                      |
| dagger    | drawn at random: the expert with probability beta, else the policy; both must propose  |
| hg_dagger | the expert while it proposes (deadman held), else the policy                           |
| gated     | the policy until its uncertainty exceeds a threshold; then the robot waits for the expert |

If the selected source does not propose, no source has authority and the robot behaves safely.

Under a contract with several action groups the rule applies to each group: in hg_dagger the expert drives the groups
that it proposes for, and the policy the others. The draws of dagger are the whole robot's, and so are the
requests of gated, unless the policy gives an uncertainty for each group.
"""

from __future__ import annotations

from typing import Any

from il_ros.control.supervisor.arbitration import AbsenceKind, Arbitration, ArbitrationInput, Request
from il_ros.core.specs import WHOLE
from il_ros.interactive.modes.beta import BetaSchedule, Mixer, QuerySampler
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.records.decision import NOBODY
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.records.proposal import Proposal


class InteractiveMode:
    """Base of the interactive modes: the memory that outlives them, and their status."""

    name = ""

    def __init__(self, memory: ModeMemory) -> None:
        self.memory = memory

    @property
    def uncertainty(self) -> float | None:
        """The policy's newest uncertainty, None when unknown."""
        return self.memory.uncertainty

    @property
    def request(self) -> Request | None:
        """The open request for the expert; this mode makes none."""
        return None

    @property
    def threshold(self) -> float | None:
        """The threshold learnt from interventions, None before the first one."""
        return self.memory.threshold.value

    def uncertainty_of(self, group: str) -> float | None:
        """Return the policy's newest uncertainty in an action group, None when it is known as a whole only."""
        return self.memory.uncertainties.get(group)

    def disagreement(self, stamp_ns: int, group: str = WHOLE) -> float | None:
        """Return the distance between the policy's and the expert's action at a tick or the one before."""
        return self.memory.disagreements.get(group, self.memory.disagreement).at(stamp_ns)

    def observe(self, name: str, proposal: Proposal) -> None:
        """Process an accepted proposal."""
        self.memory.observe(name, proposal)

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return the source that gets authority at a tick."""
        raise NotImplementedError

    def restart(self) -> None:
        """Start a new episode."""

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return the fields of this mode in the supervisor's status."""
        memory = self.memory
        return {"round": memory.round, "uncertainty": memory.uncertainty, "threshold": self.threshold}


class SingleSource(InteractiveMode):
    """Gives authority to one source only, the expert or the policy; the mode has the source's name."""

    def __init__(self, source: str, memory: ModeMemory) -> None:
        super().__init__(memory)
        self.name = self._source = source

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return the source, or NOBODY when it is absent."""
        return _only(self._source, inputs)


class ShadowMode(SingleSource):
    """The expert drives; the policy only proposes, and its distance from the expert is measured."""

    def __init__(self, memory: ModeMemory) -> None:
        super().__init__(EXPERT, memory)
        self.name = "shadow"

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return the status with the last tick's disagreement and the mean."""
        return super().state(now_ns) | self.memory.disagreement.state()


class Dagger(InteractiveMode):
    """Beta mixing (Ross, Gordon and Bagnell 2011): the driver of each step, segment or episode is drawn.

    One draw is valid for one control period, for the driver and for the query of the expert. Unless beta is 0
    or 1 both sources must propose, because the mixture of the available ones would be a different policy.
    `round_index` below 0: the round is counted by `memory`.
    """

    name = "dagger"

    def __init__(
        self,
        memory: ModeMemory,
        schedule: BetaSchedule,
        mixer: Mixer,
        queries: QuerySampler,
        period_ns: int,
        round_index: int = -1,
    ) -> None:
        super().__init__(memory)
        self._schedule, self._mixer, self._queries = schedule, mixer, queries
        self._round_index, self._queried = round_index, True
        self._holds_ns = 3 * period_ns // 4  # the sources' timers are not synchronised
        self._drawn_ns: int | None = None
        self._drawn, self.beta = EXPERT, self._schedule(self.round)

    @property
    def round(self) -> int:
        """The current round of the schedule."""
        return self.memory.round if self._round_index < 0 else self._round_index

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return the driver drawn for this control period."""
        stamp_ns = inputs.stamp_ns
        if self._drawn_ns is None or not 0 <= stamp_ns - self._drawn_ns < self._holds_ns:
            self._drawn_ns, self.beta = stamp_ns, self._schedule(self.round)
            self._drawn = EXPERT if self._mixer.expert_drives(self.beta) else POLICY
            self._queried = self._queries.draw()
        needed = (EXPERT, POLICY) if 0 < self.beta < 1 else (self._drawn,)
        missing = [name for name in needed if inputs.absences[name]]
        if missing:
            reason = "; ".join(f"{name} {inputs.absences[name]}" for name in missing)
            early = any(inputs.absences[name].kind is AbsenceKind.NOT_YET for name in missing)
            return Arbitration(NOBODY, reason, self.beta, early=early, queried=self._queried)
        return Arbitration(self._drawn, f"{self._drawn} drawn", self.beta, mixed=True, queried=self._queried)

    def restart(self) -> None:
        """Start a new episode with a new draw."""
        self._mixer.restart()
        self._drawn_ns = None

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return the status with beta and the round."""
        return super().state(now_ns) | {"beta": self.beta, "round": self.round}


class HumanGated(InteractiveMode):
    """HG-DAgger (Kelly et al. 2019): the human takes over by proposing and hands back by releasing.

    The threshold in the status is learnt from the policy's uncertainty at the start of each intervention.
    """

    name = "hg_dagger"

    def __init__(self, memory: ModeMemory) -> None:
        super().__init__(memory)
        self._intervening: set[str] = set()
        self._intervened_ns: int | None = None

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return the expert while it proposes for the group, otherwise the policy."""
        if inputs.absences[EXPERT]:
            self._intervening.discard(inputs.group)
            return _only(POLICY, inputs)
        if inputs.group not in self._intervening and inputs.authority == POLICY:
            self._learn(inputs.stamp_ns, inputs.group)
        self._intervening.add(inputs.group)
        return Arbitration(EXPERT)

    def _learn(self, stamp_ns: int, group: str) -> None:
        """Learn from the start of an intervention; several groups at one tick are one intervention of the robot."""
        own = self.uncertainty_of(group)
        if own is not None and group in self.memory.thresholds:
            self.memory.thresholds[group].intervened(own)
        if self.uncertainty is not None and stamp_ns != self._intervened_ns:
            self.memory.threshold.intervened(self.uncertainty)
        self._intervened_ns = stamp_ns


def _only(source: str, inputs: ArbitrationInput) -> Arbitration:
    absent = inputs.absences[source]
    return (
        Arbitration(NOBODY, f"{source} {absent}", early=absent.kind is AbsenceKind.NOT_YET)
        if absent
        else Arbitration(source)
    )
